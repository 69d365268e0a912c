from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from pix2pix_ilm import PretrainedGenerator, Translator, hub
from pix2pix_ilm.checkpoints import (
    discriminator_weights,
    load_generator,
    save_generator,
)
from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.evaluation.record import METRICS_FILE, RecordedMetrics, read_metrics
from pix2pix_ilm.evaluation.statistics import Interval
from pix2pix_ilm.files import write_json
from pix2pix_ilm.hub import export_folder
from pix2pix_ilm.models.generator import GeneratorConfig

RECORD = RecordedMetrics(
    protocol={"data": "facades", "split": "test", "images": 106},
    step=7,
    metrics={"lpips": Interval(mean=0.43, low=0.42, high=0.44)},
)


@pytest.fixture
def checkpoint(make_checkpoint):
    """A checkpoint with metrics."""
    folder = make_checkpoint(data="facades", image_size=32)
    write_json(folder / METRICS_FILE, RECORD)
    return folder


def test_a_checkpoints_folder_is_a_pretrained_model(checkpoint):
    generator = PretrainedGenerator.from_pretrained(str(checkpoint))
    expected, model_config = load_generator(checkpoint)
    label_map = torch.rand(1, 3, 32, 32)
    assert torch.equal(generator(label_map), expected(label_map))
    assert generator.model_config == model_config
    assert generator.record == RECORD
    assert not generator.training


def test_what_is_saved_is_a_checkpoint_again(checkpoint, tmp_path):
    saved = tmp_path / "saved"
    PretrainedGenerator.from_pretrained(str(checkpoint)).save_pretrained(saved)
    label_map = np.zeros((40, 50, 3), np.uint8)
    photos = [Translator.load(folder, "cpu")([label_map])[0] for folder in (checkpoint, saved)]
    assert np.array_equal(*photos)
    assert read_metrics(saved, 7) == RECORD
    assert PretrainedGenerator.from_pretrained(str(saved)).model_config == load_generator(saved)[1]


def test_what_is_saved_is_the_generator_as_it_is_now(make_checkpoint, tmp_path):
    """With another pattern than in training, none, and without metrics of other photos."""
    folder = make_checkpoint(generator=GeneratorConfig(ngf=4, depth=5, noise=0.2), data="facades")
    write_json(folder / METRICS_FILE, RECORD)
    for noise in (0.1, 0.0):
        generator = PretrainedGenerator.from_pretrained(folder)
        generator.set_noise(noise)
        generator.save_pretrained(tmp_path / str(noise))
        saved = PretrainedGenerator.from_pretrained(tmp_path / str(noise))
        assert saved.config.noise == noise
        assert saved.record is None
        label_map = torch.rand(1, 3, 32, 32)
        assert torch.equal(saved(label_map), generator(label_map))


def test_a_noise_that_is_refused_changes_nothing(checkpoint):
    generator = PretrainedGenerator.from_pretrained(checkpoint)
    with pytest.raises(SettingError, match="noise: expected none"):
        generator.set_noise(0.1)
    assert generator.record == RECORD


def test_what_is_saved_does_not_tell_where_the_data_lay(make_checkpoint, tmp_path):
    for number, data in enumerate(("/home/alice/pairs", r"C:\Users\alice\pairs")):
        folder = make_checkpoint(f"{number}", data=data, image_size=32)
        saved = tmp_path / f"saved{number}"
        PretrainedGenerator.from_pretrained(folder).save_pretrained(saved)
        for path in saved.iterdir():
            assert b"alice" not in path.read_bytes(), path.name
        assert load_generator(saved)[1].data == "pairs"


def test_the_card_carries_metrics_citations_and_a_drawn_picture(checkpoint, tmp_path):
    saved = tmp_path / "saved"
    PretrainedGenerator.from_pretrained(str(checkpoint)).save_pretrained(saved)
    _, front, text = (saved / "README.md").read_text("utf-8").split("---\n", 2)
    data = yaml.safe_load(front)
    assert data["pipeline_tag"] == "image-to-image"
    [metric] = data["model-index"][0]["results"][0]["metrics"]
    assert (metric["type"], metric["value"]) == ("lpips", 0.43)
    assert "| LPIPS | 0.4300 | 0.4200 to 0.4400 |" in text
    assert "images 106" in text
    assert "CVPR 2019" in text
    assert "CMP Facades for 7 steps" in text
    assert "(facades.png)" in text
    assert read_image(saved / "facades.png").shape == (64, 128, 3)


def test_a_model_of_classes_keeps_them_and_its_picture_shows_facades(make_checkpoint, tmp_path):
    folder = make_checkpoint(label_classes=FACADES_PALETTE)
    export_folder(folder, tmp_path / "saved")
    assert load_generator(tmp_path / "saved")[1].palette == FACADES_PALETTE
    assert read_image(tmp_path / "saved" / "facades.png").shape == (64, 128, 3)


def test_a_model_of_other_data_has_no_facades_on_its_card(make_checkpoint, tmp_path):
    saved = tmp_path / "saved"
    folder = make_checkpoint(data="/some/where/shoes")
    PretrainedGenerator.from_pretrained(str(folder)).save_pretrained(saved)
    text = (saved / "README.md").read_text("utf-8")
    assert "`shoes`" in text
    assert "/some/where" not in text
    assert not (saved / "facades.png").exists()


def test_pushing_uploads_the_saved_folder(checkpoint, monkeypatch):
    uploaded = {}

    class Api:
        def __init__(self, **_):
            pass

        def create_repo(self, repo_id, **_):
            uploaded["repository"] = repo_id
            return type("Repository", (), {"repo_id": repo_id})

        def upload_folder(self, *, folder_path, **_):
            uploaded["files"] = {path.name for path in Path(folder_path).iterdir()}
            return "https://example.com/commit"

    for module in ("huggingface_hub.hub_mixin", "pix2pix_ilm.hub"):
        monkeypatch.setattr(f"{module}.HfApi", Api)
    generator = PretrainedGenerator.from_pretrained(checkpoint)
    for push, more in (
        (lambda: generator.push_to_hub("me/facades"), set()),
        (lambda: hub.push(checkpoint, "me/facades", float16=True), {"discriminator.safetensors"}),
    ):
        uploaded.clear()
        push()
        assert uploaded["repository"] == "me/facades"
        assert uploaded["files"] == {
            "config.json", "facades.png", "metrics.json", "model.safetensors", "README.md", *more,
        }  # fmt: skip


def test_what_the_hub_refuses_is_said_in_one_line(checkpoint, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("me/facades", "a/b/c"):
        with pytest.raises(
            UserError, match=rf"^{name}: cannot be written on the Hugging Face"
        ) as said:
            hub.push(checkpoint, name)
        assert "\n" not in str(said.value)


def test_the_hubs_own_reader_finds_everything_on_the_card(checkpoint):
    card = PretrainedGenerator.from_pretrained(checkpoint).generate_model_card()
    read = ModelCard(str(card))
    assert read.data.to_dict() == card.data.to_dict()
    assert read.data.license == "mit"
    assert read.data.datasets == ["facades"]
    [result] = read.data.eval_results
    assert (result.metric_type, result.metric_value) == ("lpips", 0.43)
    assert result.dataset_split == "test"
    assert "without a clear license" in read.text


def test_untrained_weights_have_nothing_to_say(tmp_path):
    generator = PretrainedGenerator(GeneratorConfig(ngf=4, depth=5))
    with pytest.raises(
        ValueError, match="model_config: expected what the generator was trained for"
    ):
        generator.save_pretrained(tmp_path)


def test_a_shared_model_is_half_as_large_and_names_no_paths(make_checkpoint, tmp_path):
    folder, shared = make_checkpoint(data="/home/somebody/facades", image_size=32), tmp_path / "s"
    export_folder(folder, shared, float16=True)
    sizes = [(one / "model.safetensors").stat().st_size for one in (folder, shared)]
    assert 0.4 < sizes[1] / sizes[0] < 0.7
    assert {path.name for path in shared.iterdir()} == {
        "config.json", "model.safetensors", "discriminator.safetensors", "README.md",
        "facades.png",
    }  # fmt: skip
    assert not any("somebody" in path.read_text("latin-1") for path in shared.iterdir())
    generator, model_config = load_generator(shared)
    assert model_config.data == "facades"
    assert {weight.dtype for weight in generator.parameters()} == {torch.float32}
    expected, _ = load_generator(folder)
    for weight, original in zip(generator.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(weight, original.half().float(), rtol=0, atol=0)


def test_a_shared_model_has_its_discriminator_to_train_on_with(checkpoint, tmp_path):
    weights = {"layers.0.weight": torch.randn(4, 6, 4, 4), "steps": torch.tensor(3)}
    torch.save({"discriminator": weights, "step": 7}, checkpoint / "training_state.pt")
    shared, again = tmp_path / "shared", tmp_path / "again"
    export_folder(checkpoint, shared, float16=True)
    export_folder(shared, again)
    for folder in (shared, again):
        found = discriminator_weights(folder, weights)
        expected = weights | {"layers.0.weight": weights["layers.0.weight"].half().float()}
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert not (shared / "training_state.pt").exists()


def test_nothing_of_another_model_stays_where_one_is_exported(
    make_checkpoint, checkpoint, tmp_path
):
    weights = {"layers.0.weight": torch.randn(4, 6, 4, 4)}
    torch.save({"discriminator": weights}, checkpoint / "training_state.pt")
    other = make_checkpoint("other", data="shoes")
    (other / "training_state.pt").unlink(missing_ok=True)
    export_folder(checkpoint, tmp_path / "shared")
    export_folder(other, tmp_path / "shared")
    left = {path.name for path in (tmp_path / "shared").iterdir()}
    assert left == {"config.json", "model.safetensors", "README.md"}


def test_a_shared_model_exported_onto_itself_gains_its_metrics(checkpoint, tmp_path):
    shared = tmp_path / "shared"
    (checkpoint / METRICS_FILE).unlink()
    export_folder(checkpoint, shared, float16=True)
    before = (shared / "model.safetensors").read_bytes()
    write_json(shared / METRICS_FILE, RECORD)
    export_folder(shared, shared, float16=True)
    assert (shared / "model.safetensors").read_bytes() == before
    assert "| LPIPS | 0.4300 |" in (shared / "README.md").read_text("utf-8")


def test_a_shared_model_can_have_less_noise_and_then_has_other_metrics(make_checkpoint, tmp_path):
    noisy = GeneratorConfig(ngf=4, upsample="resize", noise=0.4)
    folder, shared = make_checkpoint(image_size=32, generator=noisy), tmp_path / "shared"
    write_json(folder / METRICS_FILE, RECORD)
    export_folder(folder, shared, noise=0.1)
    generator, model_config = load_generator(shared)
    assert model_config.generator.noise == generator.config.noise == 0.1
    expected, _ = load_generator(folder)
    torch.testing.assert_close(generator.pattern, expected.pattern / 4)
    assert not (shared / METRICS_FILE).exists()
    assert "0.4300" not in (shared / "README.md").read_text("utf-8")


def test_weights_beyond_float16_are_refused(checkpoint, tmp_path):
    generator, model_config = load_generator(checkpoint)
    generator.head.bias.data.fill_(1e6)
    save_generator(checkpoint, generator.state_dict(), model_config)
    with pytest.raises(UserError, match=r"head.bias: has weights that float16 cannot"):
        export_folder(checkpoint, tmp_path / "shared", float16=True)
    assert not (tmp_path / "shared").exists()


def test_what_cannot_be_measured_leaves_an_earlier_export_whole(
    make_checkpoint, checkpoint, tmp_path
):
    export_folder(checkpoint, tmp_path / "shared")
    before = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}
    other = make_checkpoint("other", data="shoes")
    with pytest.raises(UserError, match="nowhere: no such folder"):
        export_folder(other, tmp_path / "shared", data="nowhere")
    after = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}
    assert after == before
    with pytest.raises(UserError, match="nowhere: no such folder"):
        export_folder(other, tmp_path / "new", data="nowhere")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("files", [["README.md", "metrics.json"], ["config.json", "README.md"]])
@pytest.mark.parametrize("content", [b"made with pix2pix-ilm", b"\xff\xfe"])
def test_a_folder_with_anything_but_an_export_is_left_alone(checkpoint, tmp_path, files, content):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"^{folder}: has other files than an earlier export"):
        export_folder(checkpoint, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == (
        dict.fromkeys(files, content)
    )


def test_an_export_goes_into_an_empty_repository_and_over_one_that_was_cut_short(
    checkpoint, tmp_path
):
    for name in (".git", ".0123.tmp"):
        (tmp_path / "shared" / name).mkdir(parents=True)
    for _ in range(2):
        export_folder(checkpoint, tmp_path / "shared")
        (tmp_path / "shared" / "LICENSE").write_text("mine")
    assert (tmp_path / "shared" / "LICENSE").read_text() == "mine"
    assert (tmp_path / "shared" / ".git").exists()


def test_a_best_generator_is_not_exported_over(checkpoint, make_checkpoint):
    best = make_checkpoint("best")
    (best / "training_state.pt").unlink()
    before = (best / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="has other files than an earlier export"):
        export_folder(checkpoint, best)
    assert (best / "model.safetensors").read_bytes() == before


def test_a_full_disk_leaves_an_earlier_export_whole_and_nothing_new(
    checkpoint, tmp_path, monkeypatch
):
    export_folder(checkpoint, tmp_path / "shared")
    before = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}

    def full(folder, _):
        raise UserError(f"{folder / 'weights'}: cannot be written (No space left on device)")

    def full_for_pictures(*_, **__):
        raise OSError(28, "No space left on device")

    for target, failing, where in (
        ("pix2pix_ilm.hub.save_discriminator", full, "/weights"),  # after the generator
        ("PIL.Image.Image.save", full_for_pictures, ""),
    ):
        monkeypatch.setattr(target, failing)
        for folder in (tmp_path / "shared", tmp_path / "new"):
            expected = rf"^{folder}{where}: cannot be written \(No space"
            with pytest.raises(UserError, match=expected):
                export_folder(checkpoint, folder, float16=True)
        monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_metrics_name_their_data_without_its_place(checkpoint, drawn_pairs, tmp_path):
    recorded = replace(RECORD, protocol=RECORD.protocol | {"data": "/home/somebody/pairs"})
    write_json(checkpoint / METRICS_FILE, recorded)
    export_folder(checkpoint, tmp_path / "recorded")
    export_folder(checkpoint, tmp_path / "measured", data=str(drawn_pairs), split="train")
    for folder in (tmp_path / "recorded", tmp_path / "measured"):
        assert (folder / METRICS_FILE).exists()
        for path in folder.iterdir():
            text = path.read_text("latin-1")
            assert "somebody" not in text
            assert str(drawn_pairs) not in text


def test_a_run_is_not_exported_into(checkpoint, make_checkpoint):
    """Its discriminator would be the one that training goes on with elsewhere."""
    run = make_checkpoint("run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    for source in (run, checkpoint):
        with pytest.raises(UserError, match=f"^{run}: is the folder of a training run"):
            export_folder(source, run, float16=True)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    ("direction", "reads", "makes"),
    [("BtoA", "label map", "photo"), ("AtoB", "photo", "label map")],
)
def test_the_card_says_what_becomes_what(make_checkpoint, tmp_path, direction, reads, makes):
    folder = make_checkpoint(data="facades", direction=direction)
    export_folder(folder, tmp_path / "shared")
    text = " ".join((tmp_path / "shared" / "README.md").read_text("utf-8").split())
    assert f"that translates 32x32 {reads}s into {makes}s, trained on CMP Facades" in text
    files = [f"{name.replace(' ', '_')}.png" for name in (reads, makes)]
    assert 'translator("{}").save("{}")'.format(*files) in text
    assert ("real places" in text) == (makes == "photo")
    assert (tmp_path / "shared" / "facades.png").exists() == (makes == "photo")
