from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pix2pix_ilm.checkpoints import load_generator
from pix2pix_ilm.data.images import to_model_range, to_uint8
from pix2pix_ilm.data.palette import FACADES_COLORS, FACADES_PALETTE
from pix2pix_ilm.inference import (
    fast_dtype,
    flushed_denormals,
    flushes_denormals,
    generate,
    infer,
    pad_to_multiple,
)
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NORM_NAMES, NormOptions
from pix2pix_ilm.seeds import INIT, SAMPLE, derive_seed
from pix2pix_ilm.serving.translator import Translator

CPU = torch.device("cpu")
CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"


def make_generator(norm="ilm-in", **config):
    config = {"ngf": 8, "depth": 5, "norm_options": NormOptions(num_groups=4)} | config
    generator = UNetGenerator(GeneratorConfig(norm=norm, **config))
    with torch.no_grad():
        for parameter in generator.parameters():  # nothing that could hide a missing term
            parameter.normal_(0, 0.1)
    return generator.eval()


def random_maps(batch=1, height=32, width=64, channels=3):
    return torch.randint(0, 256, (batch, height, width, channels), dtype=torch.uint8)


@pytest.mark.parametrize("norm", NORM_NAMES)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_photo_is_what_the_network_computes(norm, batch):
    generator, maps = make_generator(norm), random_maps(batch)
    with torch.no_grad():
        expected = generator(to_model_range(maps))
    torch.testing.assert_close(infer(generator, to_model_range(maps)), expected)
    assert torch.equal(generate(generator, maps), to_uint8(infer(generator, to_model_range(maps))))


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", ["facades-ilm", "facades-in"])
def test_a_large_flat_wall_is_within_one_level_of_float64(name, layout):
    """Means are large and variances small there, which a careless variance does not survive."""
    generator, config = load_generator(CHECKPOINTS / name)
    wall = torch.tensor(FACADES_COLORS["facade"], dtype=torch.uint8).expand(1, 512, 512, 3)
    palette = config.palette
    exact = generate(deepcopy(generator).double(), wall, palette=palette).int()
    generator.to(memory_format=layout)
    assert (generate(generator, wall, palette=palette).int() - exact).abs().max() <= 1
    photo = Translator(generator, config)([wall[0].numpy()])[0]
    assert np.abs(photo.astype(int) - exact[0].numpy()).max() <= 1


def test_the_generator_is_left_as_it_was_found():
    generator = make_generator().train()
    generator.encoder.eval()
    modes = [module.training for module in generator.modules()]
    before = deepcopy(generator.state_dict())
    seen = []
    generator.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    generate(generator, random_maps())
    generate(generator, random_maps(), sample=0)
    assert seen == [False, False]
    assert [module.training for module in generator.modules()] == modes
    torch.testing.assert_close(generator.state_dict(), before, rtol=0, atol=0)


def test_samples_follow_from_seed_and_number_in_any_batch():
    generator, maps = make_generator(), random_maps(3)
    still = generate(generator, maps)
    together = generate(generator, maps, sample=2, seed=5)
    alone = [generate(generator, one, sample=2, seed=5) for one in maps.split(1)]
    assert torch.equal(together, torch.cat(alone))
    for other in (
        still,
        generate(generator, maps, sample=1, seed=5),
        generate(generator, maps, sample=2),
    ):
        assert not torch.equal(together, other)
    torch.manual_seed(derive_seed(5, SAMPLE, 2))
    for module in generator.modules():
        module.training = isinstance(module, torch.nn.Dropout)
    with torch.no_grad():
        expected = to_uint8(generator(to_model_range(maps[:1])))
    assert (together[:1].int() - expected.int()).abs().max() <= 1


CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_sampling_leaves_the_callers_random_generators_alone(device):
    generator, maps = make_generator().to(device), random_maps()
    torch.manual_seed(3)
    expected = torch.rand(2, device=device), torch.rand(2)
    torch.manual_seed(3)
    samples = [generate(generator, maps, sample=0) for _ in range(2)]
    assert torch.equal(*samples)
    assert torch.equal(torch.rand(2, device=device), expected[0])
    assert torch.equal(torch.rand(2), expected[1])


def test_samples_do_not_share_a_seed_with_a_training():
    assert derive_seed(0, SAMPLE, 0) != derive_seed(0, INIT)


def test_denormals_are_flushed_in_the_thread_that_computes_and_only_meanwhile():
    generator, seen = make_generator(), []
    generator.register_forward_pre_hook(lambda *_: seen.append(flushes_denormals()))

    def work():
        generate(generator, random_maps())
        return flushes_denormals()

    with ThreadPoolExecutor(1) as worker:
        assert not worker.submit(work).result()
    assert seen == [True]
    assert not flushes_denormals()


def test_who_flushes_denormals_anyway_goes_on_doing_so():
    try:
        torch.set_flush_denormal(True)
        with flushed_denormals():
            assert flushes_denormals()
        assert flushes_denormals()
    finally:
        torch.set_flush_denormal(False)


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.sampled_from([4, 32]))
@settings(max_examples=50)
def test_padding_is_the_least_that_fits(height, width, multiple):
    padded = pad_to_multiple(torch.ones(1, 1, height, width), multiple)
    assert all(side % multiple == 0 for side in padded.shape[2:])
    assert padded.shape[2] - height < multiple
    assert padded.shape[3] - width < multiple
    assert (padded == 1).all()


def test_a_label_map_is_translated_as_if_its_edge_went_on():
    generator, label_map = make_generator(), random_maps(1, 20, 30)
    grown = np.pad(label_map.numpy(), ((0, 0), (0, 12), (0, 2), (0, 0)), mode="edge")
    photo = generate(generator, torch.from_numpy(grown))
    assert torch.equal(generate(generator, label_map), photo[:, :20, :30])


def test_bfloat16_weights_give_photos_close_to_float32():
    generator, maps = make_generator(), to_model_range(random_maps())
    photo = infer(deepcopy(generator).bfloat16(), maps)
    assert photo.dtype == torch.float32
    assert 0 < (photo - infer(generator, maps)).abs().mean() < 0.02


def test_fast_is_float32_where_there_are_no_instructions_for_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert fast_dtype(CPU) is None
    assert fast_dtype(torch.device("mps")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_photos_of_a_gpu():
    generator, maps = make_generator(), to_model_range(random_maps())
    expected = infer(generator, maps)
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.bfloat16, 0.1)):
        photo = infer(deepcopy(generator).to("cuda", dtype), maps).cpu()
        torch.testing.assert_close(photo, expected, rtol=0, atol=tolerance)


def seen_by(generator, translate):
    """Return what the network gets while something is translated."""
    seen = []
    handle = generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    translate()
    handle.remove()
    return torch.cat(seen)


def test_classes_reach_the_network_one_hot_and_the_edges_are_repeated():
    generator = make_generator(in_channels=12)
    indices = torch.randint(0, 12, (2, 33, 40, 1), dtype=torch.uint8)
    colors = torch.from_numpy(FACADES_PALETTE.paint(indices.numpy()))
    seen = [
        seen_by(generator, lambda maps=maps: generate(generator, maps, palette=FACADES_PALETTE))
        for maps in (indices, colors)
    ]
    assert torch.equal(*seen)
    assert seen[0].shape == (2, 12, 64, 64)
    assert (seen[0].sum(dim=1) == 1 - 11).all()  # every pixel is of one class, padding included
    classes = seen[0].argmax(dim=1)
    assert torch.equal(classes[:, :33, :40], indices[..., 0].long())
    assert torch.equal(classes[:, 33:, :40], indices[:, -1:, :, 0].long().expand(-1, 31, -1))
    assert torch.equal(classes[:, :33, 40:], indices[:, :, -1:, 0].long().expand(-1, -1, 24))


def test_colors_of_compression_are_translated_as_the_classes_they_stand_for():
    generator = make_generator(in_channels=12)
    indices = torch.randint(0, 12, (1, 32, 32, 1), dtype=torch.uint8)
    colors = torch.from_numpy(FACADES_PALETTE.paint(indices.numpy()))
    noisy = (colors.int() + torch.randint(-9, 10, colors.shape)).clamp(0, 255).byte()
    photos = [generate(generator, maps, palette=FACADES_PALETTE) for maps in (indices, noisy)]
    assert torch.equal(*photos)
