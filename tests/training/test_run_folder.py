import json
import shutil
from dataclasses import fields, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from pix2pix_ilm import checkpoints, files
from pix2pix_ilm.errors import LockedError, UserError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.training import run_folder
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.losses import Objective
from pix2pix_ilm.training.settings import (
    OTHERWISE_KNOWN,
    WITHOUT_EFFECT,
    describe_generator,
    recipe,
)
from pix2pix_ilm.training.setup import make_accelerator
from pix2pix_ilm.training.step import Networks, train_step

CONFIG = TrainConfig(
    image_size=32,
    generator=GeneratorConfig(ngf=4, norm="ilm-in"),
    discriminator=DiscriminatorConfig(ndf=4),
)


def trained_networks(steps: int = 1) -> Networks:
    generator = UNetGenerator(CONFIG.sized_generator)
    discriminator = PatchDiscriminator(CONFIG.discriminator)
    optimizers = (torch.optim.Adam(n.parameters(), fused=True) for n in (generator, discriminator))
    networks = Networks(generator, discriminator, *optimizers)
    for _ in range(steps):
        label_map, photo = torch.rand(2, 1, 3, 32, 32).mul(2).sub(1)
        train_step(networks, label_map, photo, Objective(gan_loss="bce", l1_weight=100))
    return networks


def states(networks: Networks) -> dict:
    return {name: part.state_dict() for name, part in networks.parts.items()}


def test_a_save_restores_weights_and_optimizers_to_the_bit(tmp_path):
    saved = trained_networks(steps=3)
    run_folder.save_run(tmp_path, saved, 3, describe_generator(CONFIG))
    other = trained_networks()
    assert run_folder.restore(tmp_path, other) == 3
    torch.testing.assert_close(states(other), states(saved), rtol=0, atol=0)


def test_without_a_save_nothing_is_restored(tmp_path):
    assert run_folder.restore(tmp_path, trained_networks()) == 0


def test_the_exported_generator_translates_like_the_trained_one(tmp_path):
    networks = trained_networks()
    run_folder.save_run(tmp_path, networks, 1, describe_generator(CONFIG))
    generator, model_config = checkpoints.load_generator(tmp_path)
    label_map = torch.rand(1, 3, 32, 32)
    assert torch.equal(generator(label_map), networks.generator.eval()(label_map))
    assert (model_config.image_size, model_config.step) == (32, 1)
    assert model_config.generator == CONFIG.sized_generator


@pytest.mark.parametrize("failing", ["write", "torch.save"])
def test_a_full_disk_leaves_the_last_save_intact(tmp_path, monkeypatch, failing):
    networks = trained_networks()
    run_folder.save_run(tmp_path, networks, 1, describe_generator(CONFIG))
    state = (tmp_path / run_folder.STATE).read_bytes()
    names = {path.name for path in tmp_path.iterdir()}

    def no_space(*_arguments):
        if failing == "write":
            raise OSError(28, "No space left on device")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(UserError, match=r"training_state.pt: cannot be written .*intact"):
        run_folder.save_run(tmp_path, trained_networks(), 2, describe_generator(CONFIG))
    assert {path.name for path in tmp_path.iterdir()} == names
    unchanged = (tmp_path / run_folder.STATE).read_bytes() == state  # no diff of megabytes
    assert unchanged
    assert run_folder.restore(tmp_path, trained_networks()) == 1
    checkpoints.load_generator(tmp_path)  # whole, whichever save it is of


@pytest.fixture(scope="module")
def saved_state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    run_folder.save_run(folder, trained_networks(), 1, describe_generator(CONFIG))
    return torch.load(folder / run_folder.STATE, weights_only=True)


@pytest.mark.parametrize("step", ["absent", "text", -5, 2.0, True, None, torch.tensor(3)])
def test_a_save_without_a_proper_step_is_refused(saved_state, tmp_path, step):
    damaged = saved_state | {"step": step}
    if step == "absent":
        del damaged["step"]
    torch.save(damaged, tmp_path / run_folder.STATE)
    with pytest.raises(UserError, match=r"training_state.pt: .*\(step: expected a whole number"):
        run_folder.restore(tmp_path, trained_networks())


@pytest.mark.parametrize(
    ("part", "content", "problem"),
    [
        ("generator", None, "generator: expected tensors by name, found NoneType"),
        ("generator", {"head.weight": torch.zeros(2)}, "generator: .*mismatch for head.weight"),
        ("generator", {"head.bias": 3}, "generator: 'head.bias': expected a tensor, found int"),
        ("discriminator", {"layers.0.bias": torch.full((4,), torch.nan)},
         "discriminator: layers.0.bias: expected finite numbers"),
        ("discriminator", {"layers.0.bias": torch.zeros(4, dtype=torch.int64)},
         "discriminator: layers.0.bias: expected torch.float32, found torch.int64"),
        ("generator_optimizer", [1], "generator_optimizer: "),
    ],
)  # fmt: skip
def test_a_damaged_part_of_a_save_is_named(saved_state, tmp_path, part, content, problem):
    torch.save(saved_state | {part: content}, tmp_path / run_folder.STATE)
    with pytest.raises(UserError, match=rf"training_state.pt: cannot be resumed from \({problem}"):
        run_folder.restore(tmp_path, trained_networks())


def test_a_part_that_is_missing_is_named(saved_state, tmp_path):
    parts = {name: value for name, value in saved_state.items() if name != "discriminator"}
    torch.save(parts, tmp_path / run_folder.STATE)
    with pytest.raises(UserError, match=r"training_state.pt: .*\(discriminator: missing"):
        run_folder.restore(tmp_path, trained_networks())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda bias: bias * torch.inf, "head.bias: expected finite numbers"),
        (lambda bias: bias.double() + 1e300, "head.bias: expected finite numbers"),
        (lambda bias: bias.int(), "head.bias: expected torch.float32, found torch.int32"),
        (lambda bias: bias[:1], "size mismatch for head.bias"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_name(checkpoint, tmp_path, change, problem):
    shutil.copytree(checkpoint, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / checkpoints.WEIGHTS)
    weights["head.bias"] = change(weights["head.bias"] + 1)
    save_file(weights, tmp_path / checkpoints.WEIGHTS)
    with pytest.raises(UserError, match=rf"model.safetensors: cannot be loaded \({problem}"):
        checkpoints.load_generator(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_are_read_as_float32(checkpoint, tmp_path, dtype):
    shutil.copytree(checkpoint, tmp_path, dirs_exist_ok=True)
    weights = {name: w.to(dtype) for name, w in load_file(tmp_path / checkpoints.WEIGHTS).items()}
    save_file(weights, tmp_path / checkpoints.WEIGHTS)
    generator, _ = checkpoints.load_generator(tmp_path)
    for name, weight in generator.state_dict().items():
        assert torch.equal(weight, weights[name].float())
    assert all(parameter.requires_grad for parameter in generator.parameters())


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    run_folder.save_run(tmp_path, trained_networks(), 1, describe_generator(CONFIG))
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "epochs" / "0001").mkdir(parents=True)
    for leftover in (".training_state.pt.123.tmp", "epochs/0001/.0123456789abcdef.tmp"):
        (tmp_path / leftover).write_bytes(b"half")
    run_folder.remove_leftovers(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_save_is_named(tmp_path, damage):
    run_folder.save_run(tmp_path, trained_networks(), 1, describe_generator(CONFIG))
    state = tmp_path / run_folder.STATE
    state.write_bytes(state.read_bytes()[:1000] if damage is None else damage)
    with pytest.raises(UserError, match=r"training_state.pt: cannot be resumed from"):
        run_folder.restore(tmp_path, trained_networks())


def test_a_save_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("harm",))

    torch.save({"step": Harmful()}, tmp_path / run_folder.STATE)
    with pytest.raises(UserError, match="cannot be resumed from"):
        run_folder.restore(tmp_path, trained_networks())


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a checkpoint"):
        checkpoints.load_generator(tmp_path)
    run_folder.save_run(tmp_path, trained_networks(), 1, describe_generator(CONFIG))
    (tmp_path / checkpoints.WEIGHTS).write_bytes(b"garbage")
    with pytest.raises(UserError, match=r"model.safetensors: cannot be loaded"):
        checkpoints.load_generator(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path):
    run_folder.save_run(tmp_path, trained_networks(), 1, describe_generator(CONFIG))
    config = json.loads((tmp_path / checkpoints.MODEL_CONFIG).read_text())
    config["generator"]["ngf"] = 8
    (tmp_path / checkpoints.MODEL_CONFIG).write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"model.safetensors: cannot be loaded"):
        checkpoints.load_generator(tmp_path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    run_folder.export_generator(
        folder, UNetGenerator(CONFIG.sized_generator), 1, describe_generator(CONFIG)
    )
    return folder


@pytest.mark.parametrize(
    ("where", "value", "problem"),
    [
        ("image_size", 0, "expected a multiple of 32 up to 1024, found 0"),
        ("image_size", -5, "found -5"),
        ("image_size", 10**12, "found 1000000000000"),
        ("image_size", 40, "found 40"),
        ("image_size", "32", "valid integer, found '32'"),
        ("image_size", None, "valid integer, found None"),
        ("step", -1, "expected at least 0, found -1"),
        ("direction", "AtoC", "'AtoB' or 'BtoA', found 'AtoC'"),
        ("discriminator_norm", ["in"], "found ['in']"),
        ("color", 3, "Unexpected keyword argument, found 3"),
        ("generator", 7, "an object, found 7"),
        ("generator.ngf", 10**6, "expected 1 to 512, found 1000000"),
        ("generator.ngf", 10**18, "expected 1 to 512, found 1000000000000000000"),
        ("generator.ngf", True, "valid integer, found True"),
        ("generator.ngf", "wide" * 10**5, "valid integer, found 'wide"),
        ("generator.depth", 60, "expected 2 to 10, found 60"),
        ("generator.norm", "<b>", "found '<b>'"),
        ("generator.spectral", True, "Unexpected keyword argument, found True"),
        ("generator.norm_options.key_group_size", 7, "found 7; 1 would fit"),
        ("generator.norm_options.reduction", 0, "expected at least 1, found 0"),
    ],
)
def test_a_config_is_checked_where_it_is_read(checkpoint, tmp_path, where, value, problem):
    config = json.loads((checkpoint / checkpoints.MODEL_CONFIG).read_text())
    *groups, name = where.split(".")
    inner = config
    for group in groups:
        inner = inner[group]
    inner[name] = value
    (tmp_path / checkpoints.MODEL_CONFIG).write_text(json.dumps(config))
    with pytest.raises(UserError) as refused:
        checkpoints.read_model_config(tmp_path)
    line = str(refused.value)
    assert line.startswith(f"{tmp_path / checkpoints.MODEL_CONFIG}: {where}: ")
    assert problem in line
    assert len(line) < len(str(tmp_path)) + 250


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"[1, 2]", b"null", b"{}"])
def test_what_is_no_config_is_refused_by_its_file(tmp_path, content):
    (tmp_path / checkpoints.MODEL_CONFIG).write_bytes(content)
    with pytest.raises(UserError, match=r"config.json: (content|generator): "):
        checkpoints.read_model_config(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"processes": 0}, "processes: expected at least 1, found 0"),
        ({"train": "1"}, "train: Input should be a valid array, found '1'"),
        ({"config": {"lr": "fast"}}, "config.lr: Input should be a valid number, found 'fast'"),
        ({"config": {"beta1": 1.0}}, "beta1: expected 0 to below 1, found 1.0"),
    ],
)
def test_a_damaged_record_is_refused_by_file_and_field(tmp_path, change, problem):
    record = run_folder.RunRecord(
        config=CONFIG, data_digest="d", train=["1"], val=["2"], versions={}
    )
    files.write_json(tmp_path / run_folder.RUN, record)
    written = json.loads((tmp_path / run_folder.RUN).read_text())
    config = written["config"] | change.pop("config", {})
    (tmp_path / run_folder.RUN).write_text(json.dumps(written | {"config": config} | change))
    with pytest.raises(UserError) as refused:
        run_folder.open_run(tmp_path)
    assert str(refused.value) == f"{tmp_path / run_folder.RUN}: {problem}"


def test_a_record_survives_json(tmp_path):
    record = run_folder.RunRecord(
        config=CONFIG,
        data_digest="d",
        train=["1"],
        val=["2"],
        versions=run_folder.current_versions(),
    )
    files.write_json(tmp_path / run_folder.RUN, record)
    assert run_folder.open_run(tmp_path) == record


def test_a_setting_that_was_renamed_is_read_under_its_old_name_and_written_under_its_new(tmp_path):
    config = replace(CONFIG, step_mode="eager")
    record = run_folder.RunRecord(
        config=config, data_digest="d", train=["1"], val=["2"], versions={}
    )
    path = tmp_path / run_folder.RUN
    files.write_json(path, record)
    written = path.read_text()
    path.write_text(written.replace('"step_mode"', '"accelerate_step"'))
    assert path.read_text() != written
    assert run_folder.open_run(tmp_path) == record


def test_weights_are_stored_under_the_modules_names(tmp_path):
    run_folder.save_run(tmp_path, trained_networks(), 1, describe_generator(CONFIG))
    names = load_file(tmp_path / checkpoints.WEIGHTS).keys()
    assert names == UNetGenerator(CONFIG.sized_generator).state_dict().keys()


def test_unnamed_runs_are_numbered_and_named_ones_never_overwritten(tmp_path):
    unnamed = TrainConfig(checkpoints=tmp_path, data="walls")
    folders = []
    for _ in range(3):
        folder, lock = run_folder.create_folder(unnamed)
        with lock:
            (folder / run_folder.RUN).touch()
        folders.append(folder.name)
    assert folders == ["walls-in-in", "walls-in-in-2", "walls-in-in-3"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"--resume .*mine"):
        run_folder.create_folder(TrainConfig(checkpoints=tmp_path, name="mine"))
    assert len(list((tmp_path / "mine").iterdir())) == 1  # no lock in other people's folders


def test_a_start_that_was_cut_short_is_as_good_as_none_unless_it_is_going_on(tmp_path):
    named = TrainConfig(checkpoints=tmp_path, name="mine")
    folder, lock = run_folder.create_folder(named)
    with lock, pytest.raises(LockedError, match="mine: another process is training this run"):
        run_folder.create_folder(named)
    again, lock = run_folder.create_folder(named)
    assert again == folder
    with lock:
        (folder / run_folder.RUN).touch()
        with pytest.raises(LockedError, match="mine: another process is training this run"):
            run_folder.create_folder(named)  # a study's process passes by
    with pytest.raises(UserError, match="is there already"):
        run_folder.create_folder(named)


def test_a_start_that_wrote_nothing_leaves_no_folder(tmp_path):
    config = replace(CONFIG, checkpoints=tmp_path / "new", name="mine")
    accelerator = make_accelerator(config)

    def start(*files: str) -> None:
        with run_folder.share_new_folder(config, accelerator) as folder:
            for name in files:
                (folder / name).touch()
            raise UserError("no room")

    with pytest.raises(UserError, match="no room"):
        start()
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="no room"):
        start(run_folder.RUN)
    assert (tmp_path / "new" / "mine" / run_folder.RUN).exists()


def test_an_unnamed_run_passes_by_one_that_is_just_starting(tmp_path):
    unnamed = TrainConfig(checkpoints=tmp_path, data="walls")
    first, lock = run_folder.create_folder(unnamed)
    with lock:
        second, other = run_folder.create_folder(unnamed)
        with other:
            assert (first.name, second.name) == ("walls-in-in", "walls-in-in-2")


def test_the_last_generators_are_kept_also_beyond_epoch_9999(tmp_path):
    for epoch in range(9997, 10002):
        (tmp_path / f"{epoch:04d}").mkdir()
    (tmp_path / "notes").mkdir()
    run_folder.drop_older(tmp_path, keep_last=2)
    assert {path.name for path in tmp_path.iterdir()} == {"10000", "10001", "notes"}


def test_a_checkpoint_tells_its_data_by_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_folder.save_run(
        tmp_path, trained_networks(), 1, describe_generator(replace(CONFIG, data="."))
    )
    assert checkpoints.read_model_config(tmp_path).data == str(tmp_path)


def test_a_checkpoint_tells_how_it_was_trained_and_nothing_that_seeds_differ_in(tmp_path):
    changed = replace(
        CONFIG, seed=3, name="other", save_every=1, l1_weight=7.0, init_from="some/where/model"
    )
    told = []
    for config in (CONFIG, changed):
        run_folder.save_run(tmp_path, trained_networks(), 1, describe_generator(config))
        told.append(checkpoints.read_model_config(tmp_path).recipe)
    first, second = told
    differing = {name: value for name, value in second.items() if first[name] != value}
    assert differing == {"l1_weight": 7.0, "init_from": "model"}
    assert "data_digest" not in first
    assert first["discriminator.ndf"] == 4
    assert first["augment_discriminator"] == "()"


@pytest.mark.parametrize(
    ("checkpoint", "told"),
    [
        ("facades-ilm", "facades-ilm"),
        ("/home/me/runs/x/best", "x/best"),
        ("runs/y/epochs/0006", "y/epochs/0006"),
        ("other/0006", "0006"),
    ],
)
def test_the_weights_to_start_from_are_told_without_where_their_run_lies(checkpoint, told):
    assert recipe(replace(CONFIG, init_from=checkpoint))["init_from"] == told


def test_generators_of_other_learning_rates_are_of_other_recipes():
    """The middle of a long training is not the end of a short one."""
    long, short = replace(CONFIG, epochs=100), replace(CONFIG, epochs=50)
    assert recipe(long) != recipe(short)
    assert recipe(long) == recipe(replace(long, decay_epochs=50))
    constant = replace(long, decay_epochs=0)
    assert recipe(constant) == recipe(replace(constant, epochs=50))


def test_every_setting_is_of_the_recipe_or_known_not_to_be():
    names = {name.partition(".")[0] for name in recipe(CONFIG)}
    others = {*OTHERWISE_KNOWN, *WITHOUT_EFFECT}
    assert names.isdisjoint(others)
    assert names | others == {field.name for field in fields(TrainConfig)}
    assert names == {
        "train_split", "batch_size", "init_from", "load_size", "flip", "zoom", "discriminator",
        "epochs", "decay_epochs", "lr", "beta1", "beta2", "gan_loss", "l1_weight",
        "feature_matching", "perceptual", "augment_discriminator", "ema", "precision",
    }  # fmt: skip
