"""The datasets of the five works, read once into NumPy arrays.

CIFAR, MNIST and Fashion-MNIST come through tensorflow-datasets; `digits`, scikit-learn's 1,797 real
handwritten digits, is embedded, so that a quickstart and the tests need no network.
"""

import dataclasses
import os

import numpy as np

from repro import files

DATASETS = {  # name -> number of classes
    "cifar10": 10,
    "cifar100": 100,
    "mnist": 10,
    "fashion_mnist": 10,
    "digits": 10,
    "cinic10": 10,
    "restricted_imagenet": 9,
    "imagenet2012": 1000,  # streamed by imagenet.py, not read into memory
}
BY_HAND = ("cinic10", "restricted_imagenet")  # fetched by their users
DIGITS_TEST_FRACTION = 0.2
HELD_OUT = "held_out"  # the test split of sweeps on a dataset without slices
IDS_APART = 10**7  # between the ids of differently named splits


class MissingDataError(Exception):
    """A dataset is neither prepared on this machine nor could it be downloaded."""


@dataclasses.dataclass(frozen=True)
class Images:
    """One split in memory: `images` uint8 [N, H, W, C], `labels` int64 [N], `ids` int64 [N].

    `ids` are positions in the whole split as it is stored, whatever slice of it was read, and those
    of splits with another name than the training split's lie IDS_APART above. Every random draw
    about an example is keyed by its id, so a part of a split meets the same corruption as the
    whole does.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: np.ndarray) -> "Images":
        return Images(self.images[positions], self.labels[positions], self.ids[positions])


def load(
    name: str,
    data_dir: str | None = None,
    *,
    download: bool = True,
    train_split: str = "train",
    test_split: str = "test",
) -> tuple[Images, Images]:
    """Return the training and the test split of dataset `name`.

    Args:
      name: a key of DATASETS.
      data_dir: where tensorflow-datasets keeps prepared data; None: its own default.
      download: whether tensorflow-datasets may download what is not prepared.
      train_split, test_split: tensorflow-datasets split strings, such as `train[:40000]` or
        `train+validation`.

    Raises:
      ValueError: unknown name, malformed split, or a split that holds an example twice.
      MissingDataError: the data is not there and could not be had.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}; choose from {', '.join(DATASETS)}")
    if name == "imagenet2012":
        raise ValueError("imagenet2012 does not fit into memory; see repro/data/imagenet.py")
    if name == "digits":
        if (train_split, test_split) != ("train", "test"):
            raise ValueError("digits has the splits train and test only, without slices")
        return _digits()
    specs = (train_split, test_split)
    read = [_read_tfds(name, split, data_dir, download) for split in specs]
    names = list(dict.fromkeys(part for *_, parts in read for part, _ in parts))
    train, test = (
        Images(images, labels, _ids(split, parts, names))
        for split, (images, labels, parts) in zip(specs, read)
    )
    return train, test


def whole_splits(
    dataset: str,
    data_dir: str | None,
    download: bool,
    train_split: str,
    test_split: str,
    train_examples: int | None,
) -> tuple[Images, Images]:
    """Return what `splits` takes its examples from, before the subset; arguments as there.

    Raises:
      ValueError, MissingDataError: as `load`; examples held out of no subset.
    """
    held_out = test_split == HELD_OUT
    if held_out and train_examples is None:
        raise ValueError(f"--test_split={HELD_OUT} wants --train_examples: it tests on the others")
    return load(
        dataset,
        data_dir,
        download=download,
        train_split=train_split,
        test_split="test" if held_out else test_split,
    )


def subset(
    train: Images, test: Images, train_examples: int | None, test_split: str, seed: int
) -> tuple[Images, Images]:
    """Return the class-balanced subset to train on, and the test examples; arguments as `splits`.

    Raises:
      ValueError: a subset that cannot be had, or that leaves nothing to hold out.
    """
    if train_examples is None:
        return train, test
    kept = class_balanced_subset(train.labels, train_examples, seed)
    if test_split == HELD_OUT:
        test = train.take(np.setdiff1d(np.arange(len(train)), kept))
        if not len(test):
            raise ValueError(f"--train_examples={train_examples} leaves no example to test on")
    return train.take(kept), test


def splits(
    dataset: str,
    data_dir: str | None,
    download: bool,
    train_split: str,
    test_split: str,
    train_examples: int | None,
    seed: int,
) -> tuple[Images, Images]:
    """Return training and test examples; HELD_OUT are those that `train_examples` leaves out.

    Arguments are flags of the same names; `train_examples` is the size of a class-balanced subset,
    drawn by `seed`.

    Raises:
      ValueError, MissingDataError: as `load`; a subset that cannot be had.
    """
    train, test = whole_splits(dataset, data_dir, download, train_split, test_split, train_examples)
    return subset(train, test, train_examples, test_split, seed)


def check_files(name: str, data_dir: str) -> None:
    """Check the files of a prepared dataset, before tensorflow-datasets opens them.

    Raises:
      ValueError: one is a pipe, on which it would wait for ever, or a text that fills the memory.
    """
    for folder, _, inside in os.walk(os.path.join(os.path.expanduser(data_dir), name)):
        for file in inside:
            most = files.LARGEST if file.endswith((".json", ".txt")) else None
            files.check(os.path.join(folder, file), most)


def channel_moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and population standard deviation of each channel of images [N, H, W, C].

    Both are float64 [C], in the units of the pixels: uint8 images are not scaled.
    """
    mean = images.mean((0, 1, 2), dtype=np.float64)
    squares = np.zeros(images.shape[-1])
    for part in np.array_split(images, 1 + len(images) // 1000):  # all as float64 may not fit
        squares += ((part - mean) ** 2).sum((0, 1, 2))
    return mean, np.sqrt(squares / np.prod(images.shape[:3]))


def class_balanced_subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return sorted positions of `size` examples, as many of each class as can be.

    Classes differ by at most one example, unless a class runs out and others fill its place.

    Args:
      labels: int [N].
      size: how many to draw, 1..N.
      seed: the draw; the subsets of one seed are nested.

    Raises:
      ValueError: `size` outside 1..N.
    """
    if not 1 <= size <= len(labels):
        raise ValueError(f"train_examples={size} must lie between 1 and {len(labels)}")
    shuffled = np.random.default_rng([seed, 1]).permutation(len(labels))
    # The rank of an example within its class; taking the lowest ranks fills all classes evenly.
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        rank[members] = np.arange(len(members))
    by_rank = shuffled[np.argsort(rank[shuffled], kind="stable")]
    return np.sort(by_rank[:size])


def _read_tfds(name: str, split: str, data_dir: str | None, download: bool) -> tuple:
    """Return images, labels, and where they stand: [(name of a stored split, positions in it)]."""
    import tensorflow_datasets as tfds  # imports slowly, and digits does not need it

    from repro.data import builders  # noqa: F401 (registers what tfds has not)

    place = data_dir or tfds.core.constants.DATA_DIR
    check_files(name, place)
    try:
        data, info = tfds.load(
            name,
            split=split,
            data_dir=data_dir,
            download=download,
            batch_size=-1,
            with_info=True,
            read_config=tfds.ReadConfig(interleave_cycle_length=1),  # file order
        )
    except ValueError as error:
        raise ValueError(f"{name} has no split {split!r}: {error}".split("\n")[0]) from error
    except Exception as error:  # tfds raises many kinds: AssertionError, network and disk errors
        reason = "" if not download else f" and could not be downloaded ({type(error).__name__})"
        by_hand = " and --manual_dir=FOLDER, where its archives are" if name in BY_HAND else ""
        raise MissingDataError(
            f"{name} is not prepared in {place}{reason}. Prepare it with "
            f"`tools/prepare_data {name} --data_dir={place}`{by_hand}, name another --data_dir, "
            "or use --dataset=digits, which needs no data."
        ) from error
    images, labels = (tfds.as_numpy(data[key]) for key in ("image", "label"))
    slices = tfds.core.ReadInstruction.from_spec(split).to_absolute(info.splits)
    parts = [
        (part.splitname, range(info.splits[part.splitname].num_examples)[part.from_ : part.to])
        for part in slices
    ]
    return images, labels.astype(np.int64), parts


def _ids(split: str, parts: list[tuple[str, range]], names: list[str]) -> np.ndarray:
    """Return the ids of a split made of slices of the splits `names`, int64 [N].

    Raises:
      ValueError: slices overlap.
    """
    ids = np.concatenate([np.array(rows) + IDS_APART * names.index(name) for name, rows in parts])
    if len(np.unique(ids)) < len(ids):
        raise ValueError(f"split {split!r} holds examples twice: its parts must not overlap")
    return ids


def _digits() -> tuple[Images, Images]:
    """Bring the 8x8 digits to 28x28x3: threefold enlarged, two pixels of margin on each side."""
    from sklearn.datasets import load_digits

    data = load_digits()
    small = np.round(data.images * (255 / 16)).astype(np.uint8)  # [1797, 8, 8], values 0..16
    large = np.pad(small.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    images = np.repeat(large[..., None], 3, axis=-1)
    everything = Images(images, data.target.astype(np.int64), np.arange(len(images)))
    # The file groups digits by writer: a seeded balanced draw mixes writers over both splits.
    size = int(len(images) * DIGITS_TEST_FRACTION)
    test = class_balanced_subset(everything.labels, size, seed=0)
    train = np.setdiff1d(everything.ids, test)
    return everything.take(train), everything.take(test)
