"""Wrong labels as the released code of Wu et al. 2018 draws them, and where it would never end."""

import numpy as np
import pytest

from repro.stability import data


def test_wrong_labels_are_the_released_draw():
    """numpy.random.seed(12345), then randint(0, largest) until it differs, by hand."""
    labels = np.random.default_rng(0).integers(0, 10, 200)
    np.random.seed(12345)
    expected = []
    for label in labels:
        drawn = np.random.randint(0, 9)
        while drawn == label:
            drawn = np.random.randint(0, 9)
        expected.append(drawn)
    np.testing.assert_array_equal(data.wrong_labels(labels, 9), expected)


def test_two_classes_have_no_wrong_label_for_the_first():
    with pytest.raises(ValueError, match="with two classes an image of class 0 can get no wrong"):
        data.wrong_labels(np.array([1, 0, 1]), 1)
    with pytest.raises(ValueError, match="set wrong_examples to 0"):
        data.load(
            "digits",
            None,
            download=False,
            classes=[3, 5],
            train_split="train",
            test_split="test",
            train_examples=10,
            wrong_examples=20,
        )


def test_two_classes_are_fine_where_no_draw_is_asked_for():
    train, _ = data.load(
        "digits",
        None,
        download=False,
        classes=[3, 5],
        train_split="train",
        test_split="test",
        train_examples=10,
    )
    assert len(train) == 10
    np.testing.assert_array_equal(data.wrong_labels(np.array([1, 1]), 1), [0, 0])
    assert len(data.wrong_labels(np.array([], int), 1)) == 0
