import pytest

from pix2pix_ilm.cli.reproduce import as_flags
from pix2pix_ilm.training import run_folder


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "--seeds: expected at least 1, found 0"),
        (["--set", "epochs"], "--set: expected NAME=VALUE, found 'epochs'"),
        (["--set", "image-size=100"], "--image-size: expected one of 32"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--set", "data=maps"], "--set: expected no data, which --data gives, found 'data=maps'"),
        (["--set", "epochs=3", "seed=5"], "--set: expected no seed, which --seeds gives"),
        (["--set", "name=x"], "--set: expected no name, which the configuration gives"),
        (["--set", "checkpoints=x"], "--set: expected no checkpoints, which --out gives"),
        (["--set", "generator.norm=bn"], "--set: expected no generator.norm, in which in-in dif"),
        (["norms", "--set", "generator.norm_options.affine=false"], "no generator.norm-options.af"),
        (["recipe", "--set", "ema=0.9"], "--set: expected no ema, in which in-ema differs, found"),
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--only", "nothing"], "--only: expected some of in-in, ilm-in-in, ilm-in-ilm-in, found"),
        (["recipe", "--only", "in-in"], "--only: expected some of in, ilm, "),
        (["nonsense"], "Invalid choice"),
    ],
)
def test_bad_flags_are_refused_in_words(run, flags, message, tmp_path, capsys):
    assert run("reproduce", *flags, "--out", tmp_path / "study") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_settings_become_flags_and_several_values_one_flag():
    settings = ["epochs=5", "flip=false", "generator.dropout=TRUE", "a=x", "b=1", "a=y"]
    assert as_flags(settings) == [
        "--epochs=5", "--no-flip", "--generator.dropout", "--a", "x", "y", "--b=1",
    ]  # fmt: skip


def test_settings_of_configurations_that_are_not_trained_may_be_set(run, tmp_path, capsys):
    flags = ("--only", "in", "ilm", "--data", tmp_path, "--set", "l1-weight=50")
    assert run("reproduce", "recipe", *flags) == 2  # for want of data
    assert "--set" not in capsys.readouterr().err
    assert run("reproduce", "recipe", "--only", "in", "ilm", "--set", "generator.norm=bn") == 2
    assert "expected no generator.norm, in which ilm differs" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_the_papers_table(run, drawn_pairs, tmp_path, capsys):
    out = tmp_path / "study"
    settings = ["train-split=train[:4]", "val-split=val", "image-size=32", "generator.ngf=4",
                "discriminator.ndf=4", "discriminator.n-layers=2", "epochs=1", "flip=false",
                "device=cpu", "tracker=none"]  # fmt: skip
    code = run("reproduce", "--data", drawn_pairs, "--seeds", 1, "--out", out, "--set", *settings)
    assert code == 0
    printed, said = capsys.readouterr()
    assert "ILM+IN / ILM+IN" in printed
    assert "108.17" in printed  # the paper's
    assert said.splitlines()[-1] == f"Done: {out / 'report'}"
    assert run_folder.open_run(out / "in-in-seed0").config.flip is False
