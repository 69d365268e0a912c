def test_data_synthesize_and_check(run, tmp_path, capsys):
    assert run("data", "synthesize", "--out", tmp_path / "new", "--count", 4, "--size", 32) == 0
    assert run("data", "check", tmp_path / "new") == 0
    assert "train: 2 good pairs (side by side in train, halves of 32x32)" in capsys.readouterr().err


def test_data_download_from_an_archive_that_is_none(run, tmp_path, capsys):
    (tmp_path / "facades.tar.gz").write_bytes(b"no archive")
    code = run(
        "data", "download", "facades", "--out", tmp_path / "facades",
        "--archive", tmp_path / "facades.tar.gz",
    )  # fmt: skip
    assert code == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    assert not (tmp_path / "facades").exists()
