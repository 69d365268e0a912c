import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pix2pix_ilm import metrics
from pix2pix_ilm.metrics.distribution import frechet_distance, kernel_distance, pooled_features


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6))
    second = rng.normal(1.0, 2.0, size=(30, 6))
    return torch.from_numpy(first), torch.from_numpy(second)


def test_the_frechet_distance_is_that_of_fitted_gaussians(sets):
    (m1, c1), (m2, c2) = ((x.mean(0).numpy(), np.cov(x.numpy().T)) for x in sets)
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_needs_no_more_images_than_features():
    few = torch.randn(5, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(few, few + 2) == pytest.approx(400, rel=1e-9)


def test_the_kernel_distance_is_the_unbiased_discrepancy(sets):
    from sklearn.metrics.pairwise import polynomial_kernel  # seconds, also where it is not run

    kernels = [
        polynomial_kernel(x.numpy(), y.numpy(), degree=3, coef0=1)  # gamma: 1 / features
        for x, y in ((sets[0], sets[0]), (sets[1], sets[1]), sets)
    ]
    own = [k[~np.eye(len(k), dtype=bool)].mean() for k in kernels[:2]]
    assert kernel_distance(*sets) == pytest.approx(sum(own) - 2 * kernels[2].mean(), rel=1e-9)


def test_samples_of_one_distribution_have_a_kernel_distance_of_zero_on_average():
    generator = torch.Generator().manual_seed(1)
    draws = [torch.randn(20, 8, dtype=torch.float64, generator=generator) for _ in range(400)]
    found = [kernel_distance(*pair) for pair in zip(draws[::2], draws[1::2], strict=True)]
    assert min(found) < 0
    assert abs(np.mean(found)) < 4 * np.std(found) / len(found) ** 0.5


def test_features_tell_images_apart_whatever_the_batch():
    images = torch.randint(0, 256, (18, 32, 32, 3), dtype=torch.uint8)
    features = pooled_features(images)
    assert features.shape == (18, 64 + 192 + 384 + 256 + 256)
    torch.testing.assert_close(pooled_features(images[16:]), features[16:])
    assert (features[0] != features[1]).any()
    mirrored = kernel_distance(features, pooled_features(images.flip(2)))
    assert mirrored < kernel_distance(features, pooled_features(images // 4))


def test_haarpsi_is_one_of_equals_and_less_of_others():
    images = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8)
    same = metrics.haarpsi(images, images)
    torch.testing.assert_close(same, torch.ones(2))
    little, much = (metrics.haarpsi(images, (images * of).byte()) for of in (0.9, 0.3))
    assert (same > little).all()
    assert (little > much).all()
    with pytest.raises(ValueError, match="at least 16x16"):
        metrics.haarpsi(images[:, :15], images[:, :15])
