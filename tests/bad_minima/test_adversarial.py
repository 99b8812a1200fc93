"""Adversarial initialisation's data: exact counts, independent labels, copies keyed by image."""

import itertools
import math

import numpy as np
import pytest

from repro.bad_minima import adversarial
from repro.bad_minima.adversarial import random_label_copies, zero_masks
from repro.bad_minima.settings import check_copies


@pytest.fixture(scope="module")
def images():
    """Without any entry that is black already, which would hide a change."""
    return np.random.default_rng(0).integers(1, 256, (400, 32, 32, 3), dtype=np.uint8)


def test_exact_number_of_entries_is_black(images):
    copies, _ = random_label_copies(images, 2, 0.1, "entries", 10, 0)
    originals = np.repeat(images, 2, axis=0)
    black = copies == 0
    np.testing.assert_array_equal(black.sum((1, 2, 3)), 307)  # int(3072 * 0.1)
    np.testing.assert_array_equal(copies[~black], originals[~black])


def test_exact_number_of_pixels_is_black(images):
    black = random_label_copies(images, 1, 0.1, "pixels", 10, 0)[0] == 0
    np.testing.assert_array_equal(black.all(-1).sum((1, 2)), 102)  # int(1024 * 0.1)
    np.testing.assert_array_equal(black.any(-1), black.all(-1))


def test_entries_touch_a_quarter_of_the_pixels(images):
    """1 - 0.9^3 = 27.1 % lose a channel, 0.1^3 all three; 400 * 1024 pixels, 4 sigma."""
    black = random_label_copies(images, 1, 0.1, "entries", 10, 0)[0] == 0
    for share, expected in ((black.any(-1).mean(), 0.271), (black.all(-1).mean(), 0.001)):
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / (400 * 1024))


def test_without_zeroing_copies_are_the_image(images):
    copies, _ = random_label_copies(images, 3, 0.0, "entries", 10, 0)
    np.testing.assert_array_equal(copies, np.repeat(images, 3, axis=0))


def test_every_entry_is_as_likely_as_any_other():
    """2,000 masks with 307 of 3,072: each entry is hit 200 times, +- 5 sigma of 13.4."""
    hits = sum(zero_masks((32, 32, 3), 1, 0.1, "entries", 0, i)[0].astype(int) for i in range(2000))
    assert abs(hits - 2000 * 307 / 3072).max() < 5 * math.sqrt(2000 * 0.1 * 0.9)


def test_labels_are_uniform_and_ignore_the_image(images):
    """The same labels for other images; counts of 10 classes within 4 sigma."""
    _, labels = random_label_copies(images, 10, 0.1, "entries", 10, 0)
    _, others = random_label_copies(255 - images, 10, 0.1, "entries", 10, 0)
    np.testing.assert_array_equal(labels, others)
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10
    assert abs(counts - 400).max() < 4 * math.sqrt(4000 * 0.1 * 0.9)


def test_copies_of_an_image_carry_different_labels_and_masks(images):
    copies, labels = random_label_copies(images, 2, 0.1, "entries", 10, 0)
    agree = (labels[::2] == labels[1::2]).mean()
    assert abs(agree - 0.1) < 4 * math.sqrt(0.1 * 0.9 / 400)
    assert ((copies[::2] != copies[1::2]).any((1, 2, 3))).all()


def test_an_image_keeps_its_copies_in_any_subset(images):
    copies, labels = random_label_copies(images, 2, 0.1, "pixels", 10, 5)
    chosen = np.array([7, 3, 399])
    some, their = random_label_copies(images[chosen], 2, 0.1, "pixels", 10, 5, ids=chosen)
    rows = np.stack([2 * chosen, 2 * chosen + 1], axis=1).ravel()
    np.testing.assert_array_equal(some, copies[rows])
    np.testing.assert_array_equal(their, labels[rows])


def test_another_seed_draws_anew(images):
    first, again, other = (random_label_copies(images, 1, 0.1, "entries", 10, s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()
    assert (first[1] != other[1]).mean() > 0.8


@pytest.mark.parametrize("replicas, classes", [(1, 10), (2, 10), (3, 4), (5, 3)])
def test_ceiling_equals_enumeration_of_all_labelings(replicas, classes):
    """Every labeling of R copies is as likely as any other; the best prediction is the mode."""
    best = [
        max(labels.count(c) for c in range(classes))
        for labels in itertools.product(range(classes), repeat=replicas)
    ]
    expected = np.mean(best) / replicas
    assert adversarial.fit_ceiling(replicas, classes) == pytest.approx(expected, rel=1e-12)


def test_the_papers_ceiling():
    assert adversarial.fit_ceiling(2, 10) == pytest.approx(0.55)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ((0, 0.1, "entries"), "replicas=0"),
        ((1, 1.0, "entries"), r"must lie in \[0, 1\)"),
        ((1, -0.1, "pixels"), r"must lie in \[0, 1\)"),
        ((2, 1e-4, "entries"), "is none"),
        ((1, 0.1, "rows"), "from entries, pixels"),
    ],
)
def test_out_of_range(images, arguments, problem):
    with pytest.raises(ValueError, match=problem):
        random_label_copies(images[:1], *arguments, 10, 0)


def test_identical_copies_cannot_be_fitted():
    with pytest.raises(ValueError, match=r"at most 0\.55 can be fitted, not 0\.9999"):
        check_copies(2, 0.0, 10, "accuracy", 0.9999)
    for arguments in ((2, 0.1, 10, "a", 0.9999), (1, 0.0, 10, "a", 1.0), (2, 0.0, 10, "a", 0.5)):
        check_copies(*arguments)
    with pytest.raises(ValueError, match=r"at most 0\.04 can be fitted"):
        check_copies(200, 0.0, 50, "accuracy", 0.5)


@pytest.mark.parametrize("replicas, classes", [(2, 10), (2, 9), (2, 100), (5, 10)])
def test_the_accuracy_that_is_offered_is_accepted(replicas, classes):
    with pytest.raises(ValueError) as error:
        check_copies(replicas, 0.0, classes, "accuracy", 1.0)
    offered = float(str(error.value).rsplit(" ", 1)[1])
    check_copies(replicas, 0.0, classes, "accuracy", offered)


def test_what_drawn_labels_allow():
    labels = np.array([1, 1, 2, 0, 1, 2])  # three copies of two images: 2 + 1 of 6
    assert adversarial.fittable(labels, 3) == pytest.approx(0.5)
    _, drawn = random_label_copies(np.zeros((4000, 1, 1, 1), np.uint8), 2, 0.0, "entries", 10, 0)
    # Half the pairs' second labels are lost but for a tenth that agree: 4 sigma of 4,000 pairs.
    assert abs(adversarial.fittable(drawn, 2) - 0.55) < 4 * math.sqrt(0.1 * 0.9 / 4000) / 2
