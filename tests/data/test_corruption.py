"""Corruptions are what Zhang et al. 2017, section 2.1, say, drawn once per (seed, example)."""

import numpy as np
import pytest

from repro.data import CORRUPTIONS
from repro.data.corruption import corrupt, redraw_seed

COUNT, CLASSES = 20_000, 10
PIXELS = ("shuffled_pixels", "random_pixels", "gaussian")
# So many classes that a draw hits the true one with chance 1e-9: every replacement shows.
COUNTLESS = 10**9


@pytest.fixture(scope="module")
def blank():
    return np.zeros((COUNT, 1, 1, 1), np.uint8)


@pytest.fixture
def images():
    """64 images whose channels differ in mean and spread, as photographs' do."""
    rng = np.random.default_rng(1)
    bright = rng.integers(0, [60, 160, 256], (64, 16, 16, 3))
    return (bright * rng.uniform(0.3, 1, (64, 1, 1, 1))).astype(np.uint8)


@pytest.fixture
def labels():
    return np.random.default_rng(2).integers(0, CLASSES, 64)


def sigma(share: float, count: int = COUNT) -> float:
    """Standard deviation of a share of `count` independent draws."""
    return np.sqrt(share * (1 - share) / count)


@pytest.fixture
def zeros():
    return np.zeros(COUNT, int)


@pytest.mark.parametrize("prob", [0.0, 0.1, 0.5, 1.0])
def test_share_of_replaced_labels_is_p(blank, zeros, prob):
    """4 binomial sigma, which are 0 for p = 0 and 1: none and all are replaced."""
    _, drawn = corrupt(blank, zeros, "partial_labels", prob, 0, COUNTLESS)
    assert abs((drawn != 0).mean() - prob) <= 4 * sigma(prob)


@pytest.mark.parametrize("prob", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_share_of_wrong_labels_counts_hits_of_the_true_class(blank, prob, classes):
    labels = np.random.default_rng(3).integers(0, classes, COUNT)
    _, drawn = corrupt(blank, labels, "partial_labels", prob, 0, classes)
    expected = prob * (classes - 1) / classes
    assert abs((drawn != labels).mean() - expected) <= 4 * sigma(expected)


def test_replaced_labels_are_uniform_over_classes(blank, zeros):
    _, drawn = corrupt(blank, zeros, "random_labels", 0.0, 0, CLASSES)
    shares = np.bincount(drawn, minlength=CLASSES) / COUNT  # fails on labels outside 0..9 too
    assert len(shares) == CLASSES
    assert np.abs(shares - 1 / CLASSES).max() <= 4 * sigma(1 / CLASSES)


def test_random_labels_are_partial_labels_with_p_1(images, labels):
    random = corrupt(images, labels, "random_labels", 0.0, 5, CLASSES)[1]
    partial = corrupt(images, labels, "partial_labels", 1.0, 5, CLASSES)[1]
    np.testing.assert_array_equal(random, partial)


def test_replaced_labels_grow_with_p(blank, zeros):
    """The coin of an example is one number: what p = 0.3 replaces, p = 0.6 replaces likewise."""
    some = corrupt(blank, zeros, "partial_labels", 0.3, 0, COUNTLESS)[1]
    more = corrupt(blank, zeros, "partial_labels", 0.6, 0, COUNTLESS)[1]
    np.testing.assert_array_equal(more[some != 0], some[some != 0])


def test_coin_and_class_are_independent(blank, zeros):
    """Among the labels that p = 0.1 replaces, drawn classes are as uniform as among all."""
    some = corrupt(blank, zeros, "partial_labels", 0.1, 0, COUNTLESS)[1]
    classes = some[some != 0] // (COUNTLESS // CLASSES)
    shares = np.bincount(classes, minlength=CLASSES) / len(classes)
    assert np.abs(shares - 1 / CLASSES).max() <= 4 * sigma(1 / CLASSES, len(classes))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_same_seed_same_draw(images, labels, kind):
    first = corrupt(images, labels, kind, 0.5, 7, CLASSES)
    again = corrupt(images, labels, kind, 0.5, 7, CLASSES)
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", CORRUPTIONS[1:])
def test_other_seed_other_draw(images, labels, kind):
    first = corrupt(images, labels, kind, 0.5, 7, CLASSES)
    other = corrupt(images, labels, kind, 0.5, 8, CLASSES)
    assert any((one != two).any() for one, two in zip(first, other))


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("first_id", [0, 10**7])
def test_a_subset_meets_the_same_corruption_as_the_whole(images, labels, kind, first_id):
    ids, chosen = first_id + np.arange(64), np.array([40, 3, 17, 63])
    options = {"gaussian_moments": "image"}  # the moments of a whole set are not a subset's
    whole = corrupt(images, labels, kind, 0.5, 0, CLASSES, ids=ids, **options)
    part = corrupt(
        images[chosen], labels[chosen], kind, 0.5, 0, CLASSES, ids=ids[chosen], **options
    )
    for all_, some in zip(whole, part):
        np.testing.assert_array_equal(all_[chosen], some)


def test_a_subset_meets_the_same_noise_with_the_moments_of_the_whole(images, labels):
    """Moments not given are those of the arrays passed, which a subset does not have."""
    moments = images.mean((0, 1, 2)), images.std((0, 1, 2))
    whole = corrupt(images, labels, "gaussian", 0, 0, CLASSES)[0]
    ids = np.array([9, 40])
    part = corrupt(images[ids], labels[ids], "gaussian", 0, 0, CLASSES, ids=ids, moments=moments)[0]
    own = corrupt(images[ids], labels[ids], "gaussian", 0, 0, CLASSES, ids=ids)[0]
    # Two float64 sums of the same pixels, then one rounding to float32 of values up to 400.
    np.testing.assert_allclose(part, whole[ids], rtol=2**-23, atol=2**-23)
    assert np.abs(own - whole[ids]).max() > 1


def test_moments_may_be_one_number_for_all_channels(images, labels):
    given = {"moments": (100.0, 20.0)}
    noise = corrupt(images, labels, "gaussian", 0, 0, CLASSES, **given)[0].astype(np.float64)
    # Standard errors of mean and deviation: s / sqrt(n) and s / sqrt(2 n).
    assert abs(noise.mean() - 100) < 4 * 20 / np.sqrt(noise.size)
    assert abs(noise.std() - 20) < 4 * 20 / np.sqrt(2 * noise.size)


def test_train_and_test_ids_draw_differently(images, labels):
    train = corrupt(images, labels, "random_labels", 1, 0, CLASSES)[1]
    test = corrupt(images, labels, "random_labels", 1, 0, CLASSES, ids=10**7 + np.arange(64))[1]
    assert (train != test).any()


def test_shuffled_pixels_is_one_permutation_for_train_and_test():
    """Images that spell out their own positions show the permutation."""
    positions = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(1, 4, 4, 3).repeat(3, axis=0)
    labels = np.zeros(3, int)
    train = corrupt(positions, labels, "shuffled_pixels", 0, 0, CLASSES)[0]
    test = corrupt(positions, labels, "shuffled_pixels", 0, 0, CLASSES, ids=10**7 + np.arange(3))[0]
    np.testing.assert_array_equal(train, test)
    assert (train == train[0]).all()
    np.testing.assert_array_equal(np.sort(train[0], axis=None), np.arange(48))
    assert (train[0] != positions[0]).any()


@pytest.mark.parametrize("permute", ["entries", "positions"])
def test_random_pixels_permute_each_image_by_itself(permute):
    positions = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(1, 4, 4, 3).repeat(5, axis=0)
    permuted = corrupt(positions, np.zeros(5, int), "random_pixels", 0, 0, 2, permute=permute)[0]
    for image in permuted:
        np.testing.assert_array_equal(np.sort(image, axis=None), np.arange(48))
    assert len(np.unique(permuted.reshape(5, -1), axis=0)) == 5


@pytest.mark.parametrize("kind", ["shuffled_pixels", "random_pixels"])
def test_permuting_positions_keeps_colours_together(kind):
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(1, 4, 4, 3)
    colours = corrupt(image, np.zeros(1, int), kind, 0, 0, 2, permute="positions")[0]
    np.testing.assert_array_equal(colours[..., 1], colours[..., 0] + 1)
    np.testing.assert_array_equal(colours[..., 2], colours[..., 0] + 2)
    entries = corrupt(image, np.zeros(1, int), kind, 0, 0, 2, permute="entries")[0]
    assert (entries[..., 1] != entries[..., 0] + 1).any()


def test_gaussian_has_the_moments_of_the_dataset(images, labels):
    """Standard errors of a mean and a deviation of n normal numbers: s/sqrt(n) and s/sqrt(2n)."""
    noise = corrupt(images, labels, "gaussian", 0, 0, CLASSES)[0].astype(np.float64)
    count = 64 * 16 * 16
    mean, std = images.mean((0, 1, 2)), images.std((0, 1, 2))
    assert (np.abs(noise.mean((0, 1, 2)) - mean) < 4 * std / np.sqrt(count)).all()
    assert (np.abs(noise.std((0, 1, 2)) - std) < 4 * std / np.sqrt(2 * count)).all()


def test_gaussian_has_the_moments_of_each_image(images, labels):
    """As above; 5 sigma, as 384 numbers are looked at."""
    noise = corrupt(images, labels, "gaussian", 0, 0, CLASSES, gaussian_moments="image")[0]
    count = 16 * 16
    mean, std = images.mean((1, 2)), images.std((1, 2))
    assert (np.abs(noise.mean((1, 2)) - mean) < 5 * std / np.sqrt(count)).all()
    assert (np.abs(noise.std((1, 2)) - std) < 5 * std / np.sqrt(2 * count)).all()


def test_gaussian_of_dataset_moments_tells_nothing_about_an_image(images, labels):
    noise = corrupt(images, labels, "gaussian", 0, 0, CLASSES)[0]
    other = corrupt(images[::-1], labels, "gaussian", 0, 0, CLASSES)[0]
    np.testing.assert_array_equal(noise, other)


@pytest.mark.parametrize("kind", ("none", *PIXELS))
def test_labels_stay_under_corruptions_of_pixels(images, labels, kind):
    np.testing.assert_array_equal(corrupt(images, labels, kind, 0.5, 0, CLASSES)[1], labels)


@pytest.mark.parametrize("kind", ("none", "partial_labels", "random_labels"))
def test_images_stay_under_corruptions_of_labels(images, labels, kind):
    np.testing.assert_array_equal(corrupt(images, labels, kind, 0.5, 0, CLASSES)[0], images)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_inputs_are_not_modified(images, labels, kind):
    images_before, labels_before = images.copy(), labels.copy()
    corrupt(images, labels, kind, 0.5, 0, CLASSES)
    np.testing.assert_array_equal(images, images_before)
    np.testing.assert_array_equal(labels, labels_before)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_shapes_and_types(images, labels, kind):
    drawn_images, drawn_labels = corrupt(images, labels, kind, 0.5, 0, CLASSES)
    assert drawn_images.shape == images.shape
    assert drawn_images.dtype == (np.float32 if kind == "gaussian" else np.uint8)
    assert drawn_labels.shape == labels.shape
    assert drawn_labels.dtype == labels.dtype


def test_order_of_the_examples_does_not_matter(images, labels):
    order = np.random.default_rng(4).permutation(64)
    moments = (np.full(3, 100.0), np.full(3, 20.0))
    for kind in CORRUPTIONS:
        whole = corrupt(images, labels, kind, 0.5, 0, CLASSES, moments=moments)
        other = corrupt(
            images[order], labels[order], kind, 0.5, 0, CLASSES, ids=order, moments=moments
        )
        for one, two in zip(whole, other):
            np.testing.assert_array_equal(one[order], two)


def test_every_permutation_is_as_likely_as_any_other():
    """Of three entries: 6 permutations in 3,000 images, counts within 4 sigma of 500."""
    entries = np.tile(np.array([0, 1, 2], np.uint8).reshape(1, 1, 1, 3), (3000, 1, 1, 1))
    drawn = corrupt(entries, np.zeros(3000, int), "random_pixels", 0, 0, 2)[0].reshape(3000, 3)
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(found) == 6
    assert np.abs(counts - 500).max() <= 4 * np.sqrt(3000 * (1 / 6) * (5 / 6))


def test_redraw_gives_a_fresh_draw_at_every_access(blank, zeros):
    pairs = [(seed, access) for seed in (0, 1, 2**32 - 1) for access in (0, 1, 2, 2**27 - 2)]
    seeds = {redraw_seed(*pair) for pair in pairs}
    assert len(seeds) == len(pairs)
    assert min(seeds) >= 2**32  # no run without --redraw has such a seed
    assert max(seeds) < 2**59  # and corruption takes them all
    # Two draws of 10 classes agree in one case of ten.
    one, two = (
        corrupt(blank, zeros, "random_labels", 1, redraw_seed(0, access), CLASSES)[1]
        for access in (0, 1)
    )
    assert abs((one == two).mean() - 0.1) <= 4 * sigma(0.1)


@pytest.mark.parametrize("pair", [(2**32, 0), (-1, 0), (0, -1), (0, 2**27 - 1)])
def test_redraw_refuses_what_could_coincide(pair):
    with pytest.raises(ValueError, match="must lie in"):
        redraw_seed(*pair)
