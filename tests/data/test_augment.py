import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pix2pix_ilm.data.augment import augment_pairs, random_crop_flip, random_crop_size


def coordinates(count, size):
    """Images whose channels are their own number, row and column."""
    number, row, column = np.indices((count, size, size))
    return torch.from_numpy(np.stack([number, row, column], axis=-1).astype(np.uint8))


def to_levels(images):
    return images.add(1).mul(127.5).round().to(torch.int64).numpy()


def indices_of(seed, index, load_size, size, flip):
    generator = torch.Generator().manual_seed(seed)
    return random_crop_flip(torch.tensor(index), load_size, size, flip, generator)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    index=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    size=st.integers(1, 9),
    margin=st.integers(0, 5),
    flip=st.booleans(),
)
def test_every_window_is_one_crop_perhaps_mirrored(seed, index, size, margin, flip):
    load_size = size + margin
    images = coordinates(5, load_size)
    crops = to_levels(indices_of(seed, index, load_size, size, flip).gather(images))
    assert crops.shape == (len(index), 3, size, size)
    for number, crop in zip(index, crops, strict=True):
        top, left = crop[1].min(), crop[2].min()
        expected = images[number, top : top + size, left : left + size].numpy()
        if crop[2, 0, 0] > left:
            assert flip
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(crop, expected.transpose(2, 0, 1))


def test_label_and_photo_get_the_same_window():
    label_map = coordinates(6, 12)
    photo = 255 - label_map
    indices = indices_of(0, [3, 1, 4, 1, 5], 12, 8, flip=True)
    assert (indices.gather(label_map) + indices.gather(photo)).abs().max() < 1e-6
    assert torch.equal(indices.gather(label_map[..., 1:2]), indices.gather(label_map)[:, 1:2])


@pytest.mark.parametrize("flip", [True, False])
def test_all_offsets_and_flips_are_reached_equally_often(flip):
    count, margin, size = 6400, 4, 3
    crops = to_levels(
        indices_of(0, [0] * count, size + margin - 1, size, flip).gather(coordinates(1, 6))
    )
    top, left = crops[:, 1, 0, 0], crops[:, 2].min(axis=(1, 2))
    mirrored = crops[:, 2, 0, 0] > left
    found, counts = np.unique(np.stack([top, left, mirrored]), axis=1, return_counts=True)
    outcomes = margin**2 * (2 if flip else 1)
    assert found.shape[1] == outcomes
    expected = count / outcomes
    assert ((counts - expected) ** 2 / expected).sum() < 2.5 * outcomes  # chi-squared


def test_images_of_a_batch_are_cropped_and_mirrored_each_by_its_own_draw():
    crops = to_levels(indices_of(0, [0] * 64, 16, 8, flip=True).gather(coordinates(1, 16)))
    assert len({crop.tobytes() for crop in crops}) > 32


def test_without_margin_and_flip_images_pass_unchanged():
    images = coordinates(3, 8)
    crops = indices_of(0, [2, 0], 8, 8, flip=False).gather(images)
    np.testing.assert_array_equal(to_levels(crops), images[[2, 0]].permute(0, 3, 1, 2).numpy())
    assert crops.dtype == torch.float32
    assert crops.is_contiguous()


def test_a_seed_repeats_its_indices_and_another_draws_others():
    images = coordinates(4, 32)
    first, again, other = (
        indices_of(seed, [0, 1, 2, 3], 32, 16, flip=True).gather(images) for seed in (7, 7, 8)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_only_the_given_generator_is_drawn_from():
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    random_crop_flip(torch.arange(4), 12, 8, flip=True, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(generator.get_state(), state)


def test_the_number_of_draws_does_not_depend_on_flipping():
    """So that runs with and without it see the same crops."""
    states = []
    for flip in (True, False):
        generator = torch.Generator().manual_seed(0)
        rows = random_crop_flip(torch.arange(4), 12, 8, flip, generator).rows
        states.append((rows, generator.get_state()))
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_torchs_own_generator_is_the_default():
    torch.manual_seed(3)
    first = random_crop_flip(torch.arange(8), 32, 16, flip=True)
    torch.manual_seed(3)
    again = random_crop_flip(torch.arange(8), 32, 16, flip=True)
    assert torch.equal(first.rows, again.rows)
    assert torch.equal(first.columns, again.columns)


def pairs_of(batch=8, size=16):
    """Label maps that hold each pixel's place, and photos that show their own label map."""
    places = torch.arange(1.0, size * size + 1).view(1, 1, size, size).expand(batch, 1, -1, -1)
    return places.contiguous(), places.expand(-1, 3, -1, -1) + 0.5


def test_no_augmentation_draws_nothing():
    label_map, photo = pairs_of()
    before = torch.get_rng_state()
    images = augment_pairs((), label_map, photo)
    assert images[0] is label_map
    assert images[1] is photo
    assert torch.equal(torch.get_rng_state(), before)


def test_translations_move_a_pair_together_by_whole_pixels_up_to_an_eighth():
    torch.manual_seed(0)
    label_map, photo = pairs_of(batch=300)
    moved_map, moved_photo = augment_pairs(("translation",), label_map, photo)
    inside = moved_map > 0
    assert torch.equal(moved_photo[:, :1][inside], moved_map[inside] + 0.5)
    assert not moved_photo[:, :1][~inside].any()
    places = (moved_map - 1).long()
    rows = torch.arange(16)[None, None, :, None] - places // 16
    columns = torch.arange(16)[None, None, None, :] - places % 16
    for shifts in (rows, columns):
        by_pair = [shifts[i][inside[i]].unique() for i in range(300)]
        assert all(len(one) == 1 for one in by_pair)
        assert torch.cat(by_pair).unique().tolist() == [-2, -1, 0, 1, 2]


def test_cutouts_hide_the_same_square_of_a_pair_and_every_pixel_equally_often():
    torch.manual_seed(0)
    label_map, photo = pairs_of(batch=4000)
    cut_map, cut_photo = augment_pairs(("cutout",), label_map, photo)
    hidden = cut_map == 0
    assert torch.equal(hidden, cut_photo[:, :1] == 0)
    for i in range(50):
        rows, columns = hidden[i, 0].any(1), hidden[i, 0].any(0)
        assert max(rows.sum(), columns.sum()) <= 8
        assert torch.equal(hidden[i, 0], rows[:, None] & columns)
    share = hidden.float().mean((0, 1))
    assert (share - (8 / 24) ** 2).abs().max() < 0.03


def test_colors_change_as_the_paper_says_and_label_maps_do_not():
    torch.manual_seed(0)
    label_map, photo = torch.rand(200, 3, 8, 8), torch.rand(200, 3, 8, 8, dtype=torch.float64)
    same, changed, twin = augment_pairs(("color",), label_map, photo, photo.clone())
    assert same is label_map
    assert torch.equal(changed, twin)
    brightness = (changed - photo).mean((1, 2, 3))
    assert -0.5 <= brightness.min() < -0.4
    assert 0.4 < brightness.max() <= 0.5
    gray, old_gray = changed.mean(1), photo.mean(1)
    contrast = gray.flatten(1).std(1) / old_gray.flatten(1).std(1)
    assert 0.5 <= contrast.min() < 0.55
    assert 1.45 < contrast.max() <= 1.5
    color = (changed - gray[:, None]).flatten(1).std(1) / (photo - old_gray[:, None]).flatten(
        1
    ).std(1)
    saturation = color / contrast
    assert 0 <= saturation.min() < 0.1
    assert 1.9 < saturation.max() <= 2 + 1e-9


@pytest.mark.parametrize("kind", ["color", "translation", "cutout"])
def test_gradients_pass_through_every_augmentation(kind):
    torch.manual_seed(1)
    photo = torch.rand(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    label_map = torch.rand(2, 1, 6, 6, dtype=torch.float64)

    def changed(photo):
        torch.manual_seed(2)
        return augment_pairs((kind,), label_map, photo)[1]

    assert torch.autograd.gradcheck(changed, (photo,))


def test_indices_are_cut_like_the_pixels_beside_them():
    images = coordinates(5, 12)
    crops = indices_of(0, [3, 1, 4], 12, 8, flip=True)
    cut = crops.cut(images)
    assert cut.dtype == torch.uint8
    assert np.array_equal(cut.permute(0, 3, 1, 2).numpy(), to_levels(crops.gather(images)))
    assert torch.equal(crops.cut(images[..., :1]), cut[..., :1])


def test_crops_are_smaller_down_to_half_in_a_share_of_the_steps():
    torch.manual_seed(0)
    sizes = [random_crop_size(16, 0.25) for _ in range(2000)]
    assert set(sizes) == {8, 10, 12, 14, 16}
    assert np.mean([size < 16 for size in sizes]) == pytest.approx(0.25, abs=0.04)
    assert {random_crop_size(32, 1.0) for _ in range(200)} == {16, 20, 24, 28}
    assert {random_crop_size(32, 1.0, smallest=24) for _ in range(200)} == {24, 28}


def test_without_zoom_nothing_is_drawn():
    before = torch.random.get_rng_state()
    assert random_crop_size(16, 0.0) == 16
    assert torch.equal(torch.random.get_rng_state(), before)
