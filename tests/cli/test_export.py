import pytest


def test_export_without_onnx_writes_a_folder_to_share(run, trained, tmp_path, drawn_pairs):
    shared = tmp_path / "shared"
    assert run("export", trained, "--out", shared, "--float16") == 0
    assert run("evaluate", shared, "--data", drawn_pairs, "--split", "val", "--record") == 0
    assert run("export", shared, "--out", shared, "--float16") == 0
    assert "| LPIPS |" in (shared / "README.md").read_text("utf-8")


@pytest.mark.usefixtures("unchecked")  # the exporter cannot trace them
def test_export_writes_a_file_and_says_how_far_it_is_from_pytorch(run, trained, tmp_path, capsys):
    assert run("export", trained, "--out", tmp_path / "model.ONNX") == 0
    assert "largest differences from PyTorch" in capsys.readouterr().err
    assert (tmp_path / "model.ONNX").stat().st_size > 10_000
