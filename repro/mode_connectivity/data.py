"""A dataset without corruption, at 32x32: what mode connectivity trains and measures on."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from repro.data import datasets, pipeline

SIZE = 32  # VGG16's five pools need all of CIFAR-10's 32 pixels
PADDING = 4  # zeros on each side that random crops may reach into, as in Garipov et al. (2018)
SUBSET = 0  # seed of the subset: the two ends of a curve must see the same images


@dataclasses.dataclass(frozen=True)
class PlainData:
    """What a run trains on, and the sets it is measured on, none of them augmented."""

    train: pipeline.TrainBatches
    evaluations: dict[str, pipeline.EvaluationBatches]  # `train` and `test`
    arrays: dict[str, tuple[np.ndarray, np.ndarray]]  # those sets: images [N, 32, 32, C], labels
    statistics: pipeline.TrainBatches  # what training loss is measured on, for batch norm
    image_shape: tuple[int, int, int]
    num_classes: int
    facts: dict


def prepare(
    *,
    dataset: str,
    data_dir: str | None,
    download: bool,
    train_split: str,
    test_split: str,
    train_examples: int | None,
    eval_examples: int | None,
    batch_size: int,
    augment: Sequence[str],
    seed: int,
) -> PlainData:
    """Read a dataset for training and measurement.

    Args:
      dataset, train_split, test_split, train_examples: as the flags of these names.
      data_dir, download: where tensorflow-datasets keeps data, and whether it may fetch what is
        missing.
      eval_examples: measure training loss and error, and take batch norm's statistics, on so many
        training images, a class-balanced draw; None: on all.
      batch_size, augment, seed: of training.

    Raises:
      ValueError: a setting is unknown, or not possible with this dataset.
      datasets.MissingDataError: the dataset is not there.
    """
    train, test = (
        _padded(images)
        for images in datasets.splits(
            dataset, data_dir, download, train_split, test_split, train_examples, SUBSET
        )
    )
    whitened = pipeline.preprocess(train.images, SIZE)
    measured = np.arange(len(train))
    if eval_examples is not None:
        measured = datasets.class_balanced_subset(train.labels, eval_examples, SUBSET)
    arrays = {
        "train": (whitened.numpy()[measured], train.labels[measured]),
        "test": (pipeline.preprocess(test.images, SIZE).numpy(), test.labels),
    }
    return PlainData(
        train=pipeline.TrainBatches(
            train,
            batch_size,
            seed,
            augment=augment,
            whitened=None if augment else whitened,
            size=SIZE,
        ),
        evaluations={
            name: pipeline.EvaluationBatches(*pair, pipeline.EVALUATION_BATCH)
            for name, pair in arrays.items()
        },
        arrays=arrays,
        statistics=pipeline.TrainBatches(
            train.take(measured), batch_size, seed, whitened=arrays["train"][0], size=SIZE
        ),
        image_shape=(SIZE, SIZE, train.images.shape[-1]),
        num_classes=datasets.DATASETS[dataset],
        facts={
            "train_examples": len(train),
            "test_examples": len(test),
            "eval_examples": len(measured),
        },
    )


def _padded(images: datasets.Images) -> datasets.Images:
    """Add the zeros: an un-augmented image is cut out of the middle again."""
    margin = (PADDING, PADDING)
    padded = np.pad(images.images, ((0, 0), margin, margin, (0, 0)))
    return dataclasses.replace(images, images=padded)
