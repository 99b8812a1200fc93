"""Datasets arrive whole, in the right shape, and say clearly where they are missing."""

import itertools
import os

import numpy as np
import pytest

from repro.data import datasets


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_digits_shapes_and_types(digits):
    train, test = digits
    assert len(train) + len(test) == 1797
    assert len(test) == 359  # a fifth
    for split in digits:
        assert split.images.shape == (len(split), 28, 28, 3)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert split.ids.shape == (len(split),)
        assert set(split.labels) == set(range(10))


def test_digits_splits_do_not_overlap(digits):
    train, test = digits
    np.testing.assert_array_equal(np.sort(np.concatenate([train.ids, test.ids])), np.arange(1797))


def test_digits_are_the_embedded_ones_enlarged_threefold(digits):
    from sklearn.datasets import load_digits

    source = load_digits()
    for split in digits:
        np.testing.assert_array_equal(split.labels, source.target[split.ids])
        inner = split.images[:, 2:26, 2:26]
        for row in range(3):
            for column in range(3):
                small = inner[:, row::3, column::3].astype(float) * (16 / 255)
                # values 0..16 became round(v * 255 / 16): back within half a grey level
                difference = np.abs(small - source.images[split.ids][..., None])
                assert difference.max() <= 0.5 * 16 / 255
        assert split.images.sum() == inner.astype(np.int64).sum()  # the margin is black


def test_digits_test_split_is_balanced(digits):
    assert np.ptp(np.bincount(digits[1].labels)) <= 1


def test_digits_have_no_slices():
    with pytest.raises(ValueError, match="without slices"):
        datasets.load("digits", train_split="train[:100]")


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match="choose from cifar10, cifar100, mnist, fashion_mnist"):
        datasets.load("svhn")


def test_imagenet_is_not_read_into_memory():
    with pytest.raises(ValueError, match="does not fit into memory"):
        datasets.load("imagenet2012")


# --- subsets --------------------------------------------------------------------------------------


@pytest.fixture
def labels():
    """Ten classes of unequal size, at least 50 each."""
    counts = 50 + 13 * np.arange(10)
    return np.random.default_rng(0).permutation(np.repeat(np.arange(10), counts))


@pytest.mark.parametrize("size", [10, 250, 500])
def test_subset_is_exactly_balanced(labels, size):
    chosen = datasets.class_balanced_subset(labels, size, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), np.full(10, size // 10))
    assert len(np.unique(chosen)) == size
    assert (np.diff(chosen) > 0).all()


def test_subset_of_indivisible_size_is_off_by_one_at_most(labels):
    chosen = datasets.class_balanced_subset(labels, 123, seed=0)
    assert len(chosen) == 123
    assert np.ptp(np.bincount(labels[chosen], minlength=10)) == 1


def test_subset_fills_up_where_a_class_runs_out(labels):
    chosen = datasets.class_balanced_subset(labels, 600, seed=0)
    counts = np.bincount(labels[chosen])
    assert len(chosen) == 600
    assert counts[0] == 50  # all there are
    assert np.ptp(counts[1:]) <= 1


def test_subsets_of_one_seed_are_nested(labels):
    sizes = (1, 10, 123, 124, 600, len(labels))
    subsets = [set(datasets.class_balanced_subset(labels, size, seed=4)) for size in sizes]
    for small, large in itertools.pairwise(subsets):
        assert small < large


def test_subset_depends_on_the_seed_alone(labels):
    first, again, other = (datasets.class_balanced_subset(labels, 100, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("size", [0, -3, 10**6])
def test_subset_size_out_of_range(labels, size):
    with pytest.raises(ValueError, match=f"train_examples={size} must lie between 1 and"):
        datasets.class_balanced_subset(labels, size, seed=0)


# --- data that is not there -----------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_missing_data_says_what_to_do(tmp_path, there):
    place = tmp_path if there else tmp_path / "nowhere"
    with pytest.raises(datasets.MissingDataError) as caught:
        datasets.load("cifar10", str(place), download=False)
    message = str(caught.value)
    for part in ("cifar10", str(place), "tools/prepare_data cifar10", "--dataset=digits"):
        assert part in message
    assert "\n" not in message
    assert "download" not in message  # it was forbidden, so it has not failed


def test_failed_download_says_so(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def unreachable(*_, **__):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(tfds, "load", unreachable)
    with pytest.raises(datasets.MissingDataError, match="could not be downloaded") as caught:
        datasets.load("mnist", str(tmp_path))
    message = str(caught.value)
    for part in ("mnist", str(tmp_path), "tools/prepare_data mnist", "--dataset=digits"):
        assert part in message
    assert "\n" not in message


# --- real data ------------------------------------------------------------------------------------

REAL = pytest.mark.skipif(
    "REPRO_DATA_DIR" not in os.environ, reason="REPRO_DATA_DIR names no prepared CIFAR-10"
)


@pytest.fixture(scope="module")
def cifar10():
    return datasets.load("cifar10", os.environ["REPRO_DATA_DIR"], download=False)


@REAL
@pytest.mark.real_data
def test_cifar10(cifar10):
    train, test = cifar10
    assert train.images.shape == (50_000, 32, 32, 3)
    assert train.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(train.labels), np.full(10, 5_000))
    assert test.images.shape == (len(test), 32, 32, 3)
    assert len(test) in (1_000, 10_000)  # a project machine's copy, a user's
    assert set(test.labels) == set(range(10))
    assert test.ids.min() > train.ids.max()


@REAL
@pytest.mark.real_data
def test_cifar10_split_strings(cifar10):
    """Sizes come from the arrays; the two parts are the whole, in order."""
    train, test = datasets.load(
        "cifar10", os.environ["REPRO_DATA_DIR"], download=False,
        train_split="train[:48000]", test_split="train[48000:]",
    )  # fmt: skip
    assert (len(train), len(test)) == (48_000, 2_000)
    np.testing.assert_array_equal(train.labels, cifar10[0].labels[:48_000])
    np.testing.assert_array_equal(test.images, cifar10[0].images[48_000:])
    assert not set(train.ids) & set(test.ids)


@REAL
@pytest.mark.real_data
@pytest.mark.parametrize("split", ["trian", "train[:x]"])
def test_malformed_split_is_one_line(split):
    with pytest.raises(ValueError, match="cifar10 has no split") as caught:
        datasets.load("cifar10", os.environ["REPRO_DATA_DIR"], download=False, train_split=split)
    assert "\n" not in str(caught.value)


@REAL
@pytest.mark.real_data
def test_cifar10_whitens(cifar10):
    """Claim R2 on photographs: mean 0 and deviation 1."""
    from repro.data.pipeline import whitening_errors

    errors = whitening_errors(cifar10[1].images)
    assert max(errors["mean"], errors["std"]) < 1e-5


@REAL
@pytest.mark.real_data
def test_fashion_mnist():
    train, test = datasets.load("fashion_mnist", os.environ["REPRO_DATA_DIR"], download=False)
    assert train.images.shape == (60_000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(train.labels), np.full(10, 6_000))
    assert test.images.shape == (10_000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(test.labels), np.full(10, 1_000))
