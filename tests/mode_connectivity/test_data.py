"""Data of mode connectivity: 32x32, crops that reach over the edge, one subset for all seeds."""

import numpy as np
import pytest

from repro.data import pipeline
from repro.mode_connectivity import data as plain

SETTINGS = {
    "dataset": "digits",
    "data_dir": None,
    "download": False,
    "train_split": "train",
    "test_split": "test",
    "train_examples": 60,
    "eval_examples": None,
    "batch_size": 20,
    "augment": [],
    "seed": 0,
}


def prepare(**changes):
    return plain.prepare(**{**SETTINGS, **changes})


def images_of(batches, epoch=1):
    images, _ = zip(*batches.epoch(epoch))
    return np.concatenate(images)


@pytest.fixture(scope="module")
def digits():
    return prepare()


def test_images_are_32_pixels_wide_and_uncropped(digits):
    assert digits.image_shape == (32, 32, 3)
    from repro.data import datasets

    train, _ = datasets.load("digits")
    kept = train.take(datasets.class_balanced_subset(train.labels, 60, 0))
    padded = np.pad(kept.images, ((0, 0), (2, 2), (2, 2), (0, 0)))  # 28 to 32 by zeros
    np.testing.assert_allclose(digits.arrays["train"][0], pipeline.preprocess(padded, 32))


def test_seeds_share_the_subset_but_not_its_order(digits):
    other = prepare(seed=5)
    np.testing.assert_array_equal(digits.arrays["train"][1], other.arrays["train"][1])
    assert (images_of(digits.train) != images_of(other.train)).any()


def test_crops_reach_four_pixels_over_the_edge():
    """Of a 32-pixel image in 40 pixels a crop can lose up to 4 on a side, and shows zeros there."""
    images = images_of(prepare(augment=["crop"]).train)
    plain_images = images_of(prepare().train)
    changed = np.abs(images - plain_images).reshape(len(images), -1).max(axis=1) > 1e-3
    # One crop in 81 is the middle: of 60, 4 sigma around 0.7
    assert changed.sum() >= 60 - 0.75 - 4 * (60 / 81) ** 0.5


def test_evaluation_is_never_augmented_and_may_be_a_part():
    data = prepare(augment=["crop"], eval_examples=30)
    assert len(data.arrays["train"][0]) == 30
    assert np.bincount(data.arrays["train"][1]).tolist() == [3] * 10
    seen = np.sort(images_of(data.statistics).sum(axis=(1, 2, 3)))
    measured = data.arrays["train"][0].sum(axis=(1, 2, 3))
    assert np.isin(np.round(measured, 2), np.round(seen, 2)).all()
    assert data.facts == {"train_examples": 60, "test_examples": 359, "eval_examples": 30}
