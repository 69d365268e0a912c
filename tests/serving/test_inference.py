import pytest
import torch

from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.serving import inference
from pix2pix_ilm.serving.inference import PackedConv, Prepared, fast_dtype

CPU = torch.device("cpu")


def generator(norm="ilm-in", **settings):
    torch.manual_seed(0)
    settings = {"ngf": 8, "depth": 5, "norm_options": NormOptions(num_groups=4)} | settings
    made = UNetGenerator(GeneratorConfig(norm=norm, **settings))
    with torch.no_grad():
        for parameter in made.parameters():  # nothing that could hide a missing term
            parameter.normal_(0, 0.1)
        for name, buffer in made.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
    return made.eval()


def labels(batch=1, channels=3, height=32, width=64):
    return torch.rand(batch, channels, height, width) * 2 - 1


def packed(network):
    return [module for module in network.modules() if isinstance(module, PackedConv)]


@pytest.mark.parametrize("norm", ["none", "bn", "in", "gn", "ln", "ilm-in", "ilm-gn", "ilm-ln"])
@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_a_prepared_generator_gives_the_same_photos(norm, batch):
    plain, label = generator(norm), labels(batch)
    prepared = Prepared(plain, CPU, fast=False)
    assert len(packed(prepared)) == 10
    torch.testing.assert_close(prepared(label), plain(label), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [{"in_channels": 1}, {"out_channels": 1}, {"depth": 2}])
@torch.inference_mode()
def test_other_shapes_are_prepared_too(settings):
    plain = generator(**settings)
    label = labels(channels=plain.config.in_channels, height=96, width=32)
    torch.testing.assert_close(
        Prepared(plain, CPU, fast=False)(label), plain(label), rtol=1e-4, atol=1e-5
    )


@torch.inference_mode()
def test_dropout_draws_as_in_the_plain_generator():
    plain, label = generator("in"), labels()
    prepared = Prepared(plain, CPU, fast=False)
    for network in (plain, prepared.generator):
        network.set_dropout(True)
    torch.manual_seed(1)
    expected = plain(label)
    torch.manual_seed(1)
    photo = prepared(label)
    assert photo.shape == expected.shape
    assert not torch.equal(photo, prepared(label))


def test_the_generator_itself_stays_as_it_is():
    plain = generator()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    Prepared(plain, CPU, fast=True)
    assert not packed(plain)
    torch.testing.assert_close(plain.state_dict(), before, rtol=0, atol=0)


@torch.inference_mode()
def test_without_the_operators_it_translates_all_the_same(monkeypatch):
    class Missing:
        def __getattr__(self, name):
            raise AttributeError(name)

    plain, label = generator(), labels()
    monkeypatch.setattr(torch.ops, "mkldnn", Missing())
    prepared = Prepared(plain, CPU, fast=False)
    assert not packed(prepared)
    torch.testing.assert_close(prepared(label), plain(label), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_fast_is_close_to_float32_where_there_are_instructions_for_it(monkeypatch):
    plain, label = generator(), labels()
    monkeypatch.setattr(inference, "fast_dtype", lambda _: torch.bfloat16)
    fast = Prepared(plain, CPU, fast=True)
    assert fast.dtype == torch.bfloat16
    photo = fast(label)
    assert photo.dtype == torch.float32
    assert 0 < (photo - plain(label)).abs().mean() < 0.02


@torch.inference_mode()
def test_fast_is_float32_elsewhere(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert fast_dtype(CPU) is None
    assert Prepared(generator(), CPU, fast=True).dtype == torch.float32
    assert fast_dtype(torch.device("mps")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.inference_mode()
def test_fast_on_a_gpu():
    plain, label = generator(), labels()
    expected = plain(label)
    device = torch.device("cuda")
    for fast, tolerance in ((False, 1e-3), (True, 0.1)):
        photo = Prepared(plain, device, fast=fast)(label.to(device)).cpu()
        torch.testing.assert_close(photo, expected, rtol=0, atol=tolerance)
