"""Corruptions are what Zhang et al. 2017, section 2.1, say, drawn once per (seed, example)."""

import numpy as np
import pytest

from repro.data.corruption import CORRUPTIONS, corrupt, redraw_seed

COUNT, CLASSES = 20_000, 10
PIXELS = ("shuffled_pixels", "random_pixels", "gaussian")


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


@pytest.mark.parametrize("prob", [0.0, 0.1, 0.5, 1.0])
def test_share_of_replaced_labels_is_p(blank, prob):
    """Labels of -1, which no draw gives, show every replacement; 4 binomial sigma."""
    nowhere = np.full(COUNT, -1)
    _, drawn = corrupt(blank, nowhere, "partial_labels", prob, 0, CLASSES)
    assert abs((drawn != -1).mean() - prob) <= 4 * sigma(prob)


@pytest.mark.parametrize("prob", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_share_of_wrong_labels_counts_hits_of_the_true_class(blank, prob, classes):
    labels = np.random.default_rng(3).integers(0, classes, COUNT)
    _, drawn = corrupt(blank, labels, "partial_labels", prob, 0, classes)
    expected = prob * (classes - 1) / classes
    assert abs((drawn != labels).mean() - expected) <= 4 * sigma(expected)


def test_replaced_labels_are_uniform_over_classes(blank):
    _, drawn = corrupt(blank, np.full(COUNT, -1), "random_labels", 0.0, 0, CLASSES)
    shares = np.bincount(drawn, minlength=CLASSES) / COUNT  # fails on labels outside 0..9 too
    assert len(shares) == CLASSES
    assert np.abs(shares - 1 / CLASSES).max() <= 4 * sigma(1 / CLASSES)


def test_random_labels_are_partial_labels_with_p_1(images, labels):
    random = corrupt(images, labels, "random_labels", 0.0, 5, CLASSES)[1]
    partial = corrupt(images, labels, "partial_labels", 1.0, 5, CLASSES)[1]
    np.testing.assert_array_equal(random, partial)


def test_replaced_labels_grow_with_p(blank):
    """The coin of an example is one number: what p = 0.3 replaces, p = 0.6 replaces likewise."""
    nowhere = np.full(COUNT, -1)
    some = corrupt(blank, nowhere, "partial_labels", 0.3, 0, CLASSES)[1]
    more = corrupt(blank, nowhere, "partial_labels", 0.6, 0, CLASSES)[1]
    np.testing.assert_array_equal(more[some != -1], some[some != -1])


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


def test_a_subset_meets_the_same_noise_up_to_the_moments(images, labels):
    whole = corrupt(images, labels, "gaussian", 0, 0, CLASSES)[0]
    part = corrupt(images[9:10], labels[9:10], "gaussian", 0, 0, CLASSES, ids=np.array([9]))[0]

    def noise(corrupted, moments_of):
        mean, std = moments_of.mean((0, 1, 2)), moments_of.std((0, 1, 2))
        return (corrupted - mean) / std

    # Values up to about 300 with float32's 24 bits, over deviations above 10: errors below 1e-5.
    np.testing.assert_allclose(noise(whole[9], images), noise(part[0], images[9:10]), atol=1e-5)


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


def test_redraw_gives_a_fresh_draw_at_every_access(blank):
    seeds = [redraw_seed(0, access) for access in range(100)]
    assert len({*seeds, 0}) == 101
    assert redraw_seed(0, 3) == seeds[3]
    assert redraw_seed(1, 3) != seeds[3]
    # Two draws of 10 classes agree in one case of ten.
    nowhere = np.full(COUNT, -1)
    one, two = (
        corrupt(blank, nowhere, "random_labels", 1, seed, CLASSES)[1] for seed in seeds[:2]
    )
    assert abs((one == two).mean() - 0.1) <= 4 * sigma(0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "blurred"}, "choose from none, partial_labels, random_labels, shuffled_pixels"),
        ({"permute": "rows"}, "choose from entries, positions"),
        ({"gaussian_moments": "class"}, "choose from dataset, image"),
        ({"prob": 1.1}, "must lie in"),
        ({"prob": -0.1}, "must lie in"),
        ({"prob": float("nan")}, "must lie in"),
    ],
)
def test_errors_list_the_choices(images, labels, change, message):
    settings = {"kind": "gaussian", "prob": 0.5, "seed": 0, "num_classes": CLASSES, **change}
    with pytest.raises(ValueError, match=message):
        corrupt(images, labels, **settings)
