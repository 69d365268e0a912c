def test_translate_writes_photos(run, trained, drawn_pairs, tmp_path):
    out = tmp_path / "out"
    code = run(
        "translate", drawn_pairs / "test", "--checkpoint", trained, "--out", out, "--side-by-side"
    )
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "2.png"]
