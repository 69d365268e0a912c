import pytest

from pix2pix_ilm.cli.compatibility import name_export, rename_flags


@pytest.mark.parametrize("old", ["--accelerate-step", "--accelerate_step"])
def test_a_flag_that_was_renamed_has_its_new_name_with_its_value(old):
    assert rename_flags(["quick", old, "eager"]) == ["quick", "--step-mode", "eager"]
    assert rename_flags([f"{old}=a=b"]) == ["--step-mode=a=b"]


def test_values_and_other_flags_stay():
    arguments = ["quick", "--name", "accelerate-step", "--lr=1e-3", "--note=--accelerate-step"]
    assert rename_flags(arguments) == arguments


def test_commands_read_both_names_and_show_the_new_one(run, tmp_path, capsys):
    refused = "--step-mode: expected auto, eager or compile without one process on a CUDA device"
    for flag in ("--accelerate-step", "--step-mode"):
        data = ["--data", tmp_path, "--device", "cpu", "--checkpoints", tmp_path]
        assert run("train", "facades", *data, flag, "graph") == 2
        assert refused in capsys.readouterr().err
    assert run("train", "facades", "--help") == 0
    shown = capsys.readouterr().out
    assert "--step-mode" in shown
    assert "--accelerate-step" not in shown


@pytest.mark.parametrize(
    ("old", "kind"),
    [
        ("checkpoints/NAME --out model.onnx", "onnx"),
        ("--size 256 --out=model.ONNX checkpoints/NAME", "onnx"),
        ("checkpoints/old.onnx --float16 --out shared", "folder"),
        ("checkpoints/NAME --out", "folder"),
        ("--dynamic-size checkpoints/NAME", "folder"),
    ],
)
def test_an_export_without_its_kind_is_what_the_suffix_of_out_says(old, kind):
    assert name_export(old.split()) == [kind, *old.split()]


@pytest.mark.parametrize("now", ["", "--help", "onnx a --out b", "folder a --out b.onnx"])
def test_todays_exports_stay(now):
    assert name_export(now.split()) == now.split()
