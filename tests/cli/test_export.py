import pytest


def test_export_folder_writes_one_to_share(run, trained, tmp_path, drawn_pairs):
    shared = tmp_path / "shared"
    options = ("--float16", "--data", drawn_pairs, "--split", "val")
    assert run("export", "folder", trained, "--out", shared, *options) == 0
    card = (shared / "README.md").read_text("utf-8")
    assert "| LPIPS |" in card
    assert "split val" in card
    record = (shared / "metrics.json").read_text("utf-8")
    assert run("evaluate", shared, *options[1:], "--record") == 0
    place, name = f'"data": "{drawn_pairs}"', f'"data": "{drawn_pairs.name}"'
    assert (shared / "metrics.json").read_text("utf-8").replace(place, name) == record


def test_export_folder_refuses_noise_for_a_generator_without(run, trained, tmp_path, capsys):
    assert run("export", "folder", trained, "--out", tmp_path / "shared", "--noise", 0.1) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --noise: expected none, as the generator has no random pattern")
    assert not (tmp_path / "shared").exists()


@pytest.mark.usefixtures("unchecked")  # the exporter cannot trace them
def test_export_onnx_says_how_far_its_file_is_from_pytorch(run, trained, tmp_path, capsys):
    assert run("export", "onnx", trained, "--out", tmp_path / "model") == 0
    assert "largest differences from PyTorch" in capsys.readouterr().err
    assert (tmp_path / "model").stat().st_size > 10_000
