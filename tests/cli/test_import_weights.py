import torch
from serving.test_discriminator_port import port_discriminator
from serving.test_pix2pix_port import PortUNet


def test_an_import_with_its_discriminator_can_be_trained_on(run, drawn_pairs, tmp_path, capsys):
    files = {"G": PortUNet("batch"), "D": port_discriminator("batch", 2)}
    for name, network in files.items():
        torch.save(network.state_dict(), tmp_path / f"latest_net_{name}.pth")
    out = tmp_path / "imported"
    judge = ("--discriminator", tmp_path / "latest_net_D.pth")
    assert run("import-weights", tmp_path / "latest_net_G.pth", "--out", out, *judge) == 0
    assert "U-Net of 5 levels, ngf 8, norm bn" in capsys.readouterr().err
    names = {path.name for path in out.iterdir()}
    assert names == {"config.json", "model.safetensors", "discriminator.safetensors"}
    code = run(
        "train", "facades", "--data", drawn_pairs, "--init-from", out, "--image-size", 32,
        "--generator.ngf", 8, "--generator.norm", "bn", "--generator.dropout-placement", "port",
        "--discriminator.ndf", 8, "--discriminator.norm", "bn", "--discriminator.n-layers", 2,
        "--lr", 0, "--epochs", 1, "--checkpoints", tmp_path, "--name", "tuned", "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    state = torch.load(tmp_path / "tuned" / "training_state.pt", weights_only=True)
    theirs = files["D"].state_dict()["model.2.weight"]
    assert torch.equal(state["discriminator"]["layers.2.weight"], theirs)
