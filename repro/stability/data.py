"""Small image sets with one-hot targets, as Wu, Ma, E 2018 fit them with squared errors."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from repro.data import datasets

# The released code draws wrong labels from numpy.random.seed(12345), whatever the run's seed.
WRONG_LABEL_SEED = 12345


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images float32 [n, H, W, C] in [0, 1] and targets float32 [n, k], one-hot."""

    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


def load(
    dataset: str,
    data_dir: str | None,
    *,
    download: bool,
    classes: Sequence[int] | None,
    train_split: str,
    test_split: str,
    train_examples: int,
    wrong_examples: int = 0,
) -> tuple[Examples, Examples]:
    """Return the first training images of a dataset as stored, and its test images.

    Pixels are divided by 255 and nothing else is done to them.

    Args:
      dataset, data_dir, download, train_split, test_split: as for `datasets.load`.
      classes: whose images are kept, renumbered in this order; None: all.
      train_examples: how many with their true labels.
      wrong_examples: how many more follow with wrong labels, see `wrong_labels`.

    Raises:
      ValueError: fewer images than asked for, none of a class, or wrong labels of two classes.
    """
    splits = datasets.load(
        dataset, data_dir, download=download, train_split=train_split, test_split=test_split
    )
    classes = list(classes or range(datasets.DATASETS[dataset]))
    train, test = (_of_classes(split, classes) for split in splits)
    wanted = train_examples + wrong_examples
    if wanted > len(train):
        raise ValueError(f"{wanted} training images are asked for, but there are {len(train)}")
    train = train.take(np.arange(wanted))
    labels = train.labels.copy()
    labels[train_examples:] = wrong_labels(labels[train_examples:], labels.max())
    return _examples(train.images, labels, len(classes)), _examples(
        test.images, test.labels, len(classes)
    )


def wrong_labels(labels: np.ndarray, largest: int) -> np.ndarray:
    """Return a wrong label for each label, drawn as the released code draws it.

    It takes the largest label for the exclusive upper end of the draw, so that no image is ever
    given the last class. That is kept, for its numbers to be comparable.

    Args:
      labels: int [n].
      largest: the largest label of the training set.

    Returns:
      int [n], in 0..largest - 1.

    Raises:
      ValueError: a label that this draw can never get wrong: 0 among two classes.
    """
    if largest < 2 and 0 in labels:
        raise ValueError(
            "the released draw of wrong labels never gives the last class, so that with two "
            "classes an image of class 0 can get no wrong label: keep three classes or more, or "
            "set wrong_examples to 0"
        )
    rng = np.random.RandomState(WRONG_LABEL_SEED)
    wrong = np.empty_like(labels)
    for position, label in enumerate(labels):
        drawn = label
        while drawn == label:
            drawn = rng.randint(0, largest)
        wrong[position] = drawn
    return wrong


def _of_classes(images: datasets.Images, classes: list[int]) -> datasets.Images:
    kept = images.take(np.flatnonzero(np.isin(images.labels, classes)))
    if not len(kept):
        raise ValueError(f"there are no images of the classes {', '.join(map(str, classes))}")
    number = {label: position for position, label in enumerate(classes)}
    return dataclasses.replace(kept, labels=np.array([number[label] for label in kept.labels]))


def _examples(images: np.ndarray, labels: np.ndarray, num_classes: int) -> Examples:
    return Examples(images.astype(np.float32) / 255, np.eye(num_classes, dtype=np.float32)[labels])
