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


# --- splits and ids -------------------------------------------------------------------------------

SIZES = {"train": 30, "validation": 8, "test": 12}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A small mnist with one more split, prepared as tensorflow-datasets does, in two files."""
    import tensorflow_datasets as tfds

    official = tfds.builder("mnist", data_dir=tmp_path_factory.mktemp("unused"))

    with tfds.core.registered.skip_registration():

        class Mnist(tfds.core.GeneratorBasedBuilder):
            VERSION = official.version

            def _info(self):
                features = tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(28, 28, 1)),
                        "label": tfds.features.ClassLabel(num_classes=10),
                    }
                )
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, _):
                return {split: self._generate_examples(split) for split in SIZES}

            def _generate_examples(self, split):
                rng = np.random.default_rng(len(split))
                for number in range(SIZES[split]):
                    image = rng.integers(0, 256, (28, 28, 1), np.uint8)
                    yield number, {"image": image, "label": number % 10}

    directory = tmp_path_factory.mktemp("data")
    Mnist(data_dir=directory).download_and_prepare()
    return str(directory)


def load(prepared, train_split="train", test_split="test"):
    return datasets.load(
        "mnist", prepared, download=False, train_split=train_split, test_split=test_split
    )


@pytest.mark.parametrize(
    ("split", "positions"),
    [
        ("train", range(30)),
        ("train[:7]", range(7)),
        ("train[25:]", range(25, 30)),
        ("train[-3:]", range(27, 30)),
        ("train[10:20]", range(10, 20)),
        ("train[90%:]", range(27, 30)),
        ("train[20:]+train[:5]", [*range(20, 30), *range(5)]),
    ],
)
def test_ids_are_positions_in_the_whole_split(prepared, split, positions):
    """So a slice meets the draws that the whole meets: its images are those with its ids."""
    whole, _ = load(prepared)
    for part in (load(prepared, train_split=split)[0], load(prepared, test_split=split)[1]):
        np.testing.assert_array_equal(part.ids, list(positions))
        np.testing.assert_array_equal(part.images, whole.images[part.ids])
        np.testing.assert_array_equal(part.labels, whole.labels[part.ids])


def test_ids_of_other_splits_lie_apart(prepared):
    far = 10**7
    train, test = load(prepared, test_split="test[10:]")
    np.testing.assert_array_equal(test.ids, [far + 10, far + 11])
    assert train.ids.max() < far
    # Splits are numbered as they are named, those of the training data first.
    train, test = load(prepared, "train[28:]+validation[:2]", "test[:1]+train[:2]")
    np.testing.assert_array_equal(train.ids, [28, 29, far, far + 1])
    np.testing.assert_array_equal(test.ids, [2 * far, 0, 1])
    np.testing.assert_array_equal(load(prepared, "test", "train")[1].ids, far + np.arange(30))


def test_a_slice_gets_the_labels_of_the_whole(prepared):
    from repro.data.corruption import corrupt

    whole, part = load(prepared)[0], load(prepared, "train[13:]")[0]
    drawn = [
        corrupt(split.images, split.labels, "random_labels", None, 0, 10, ids=split.ids)[1]
        for split in (whole, part)
    ]
    np.testing.assert_array_equal(drawn[0][13:], drawn[1])


def test_a_split_holds_no_example_twice(prepared):
    with pytest.raises(ValueError, match=r"'train\[:5\]\+train\[4:\]' holds examples twice"):
        load(prepared, "train[:5]+train[4:]")


def splits(prepared, train_examples, test_split, train_split="train"):
    return datasets.splits(
        "mnist", prepared, False, train_split, test_split, train_examples, seed=0
    )


def test_held_out_examples_are_what_the_subset_leaves(prepared):
    train, held_out = splits(prepared, 20, datasets.HELD_OUT, "train[5:]")
    assert (len(train), len(held_out)) == (20, 5)
    np.testing.assert_array_equal(np.sort(np.r_[train.ids, held_out.ids]), np.arange(5, 30))
    same, test = splits(prepared, 20, "test", "train[5:]")
    np.testing.assert_array_equal(same.ids, train.ids)
    assert len(test) == 12


@pytest.mark.parametrize(
    ("train_examples", "message"), [(None, "wants --train_examples"), (30, "leaves no example")]
)
def test_there_must_be_something_to_hold_out(prepared, train_examples, message):
    with pytest.raises(ValueError, match=message):
        splits(prepared, train_examples, datasets.HELD_OUT)


def test_channel_moments_are_those_of_all_pixels():
    """Against NumPy over all of them at once; more images than are summed up at a time."""
    images = np.random.default_rng(0).integers(0, [60, 160, 256], (2500, 5, 4, 3)).astype(np.uint8)
    mean, std = datasets.channel_moments(images)
    pixels = images.reshape(-1, 3).astype(np.float64)
    # float64 sums of 50,000 terms: relative errors of at most 50,000 * 2^-53 = 6e-12.
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=6e-12)
    np.testing.assert_allclose(std, pixels.std(0), rtol=6e-12)


def test_subsets_and_orders_draw_from_streams_of_their_own(monkeypatch):
    """SeedSequence ignores zeros at the end of its key, so that different keys may be one stream.

    The keys that are really used, none of whose streams may be another's, or that of a bare seed.
    """
    from repro.data import pipeline

    def stream(key):
        return np.random.SeedSequence(key).generate_state(4).tobytes()

    assert stream([7, 1]) == stream([7, 1, 0])
    used, make = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda key: used.append(key) or make(key))
    seeds, epochs = range(5), range(1, 30)  # epochs count from 1
    for seed in seeds:
        datasets.class_balanced_subset(np.zeros(3, int), 1, seed)
        for epoch in epochs:
            pipeline.epoch_order(3, 1, seed, epoch)
    assert len(used) == len(seeds) * (1 + len(epochs))
    assert len({stream(key) for key in [*used, *seeds]}) == len(used) + len(seeds)


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
    np.testing.assert_array_equal(train.ids, np.arange(50_000))
    np.testing.assert_array_equal(test.ids, 10**7 + np.arange(len(test)))


@pytest.mark.slow
@REAL
@pytest.mark.real_data
def test_cifar10_split_strings(cifar10):
    """Sizes come from the arrays; the two parts are the whole, in order."""
    train, test = datasets.load(
        "cifar10",
        os.environ["REPRO_DATA_DIR"],
        download=False,
        train_split="train[:48000]",
        test_split="train[48000:]",
    )
    assert (len(train), len(test)) == (48_000, 2_000)
    np.testing.assert_array_equal(train.labels, cifar10[0].labels[:48_000])
    np.testing.assert_array_equal(test.images, cifar10[0].images[48_000:])
    np.testing.assert_array_equal(np.r_[train.ids, test.ids], np.arange(50_000))


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
