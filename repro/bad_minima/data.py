"""The data of Liu et al. 2020: true labels to train on, random ones to pre-train on."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from repro.bad_minima import adversarial
from repro.data import datasets, pipeline

AUGMENT = ("crop", "flip")
CROP_MARGIN = 8  # four black pixels on each side, whatever the size of the image
# The authors' constants; other datasets take the moments of their training images.
CHANNEL_MOMENTS = {"cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))}
ZEROING_EXAMPLES = 500  # images in whose copies the zeroed entries are counted


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a run trains and is evaluated on, and the same images in memory.

    `images` float32 [n, H, W, C] and `labels` int64 [n] are the training set as the network sees
    it without augmentation; `test_batches` is the test set in batches of the training's size.
    """

    train: pipeline.TrainBatches
    evaluations: Mapping[str, pipeline.EvaluationBatches]
    test_batches: pipeline.EvaluationBatches
    images: tf.Tensor
    labels: np.ndarray
    num_classes: int
    facts: dict

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return tuple(self.images.shape[1:])


def true_labels(
    *,
    dataset: str,
    train_split: str,
    test_split: str,
    train_examples: int | None,
    batch_size: int,
    seed: int,
    augment: bool = False,
    shuffle: bool = True,
    data_dir: str | None = None,
    download: bool = True,
) -> TrainingData:
    """Return a dataset with its own labels; arguments are flags of repro.bad_minima.

    Raises:
      ValueError, datasets.MissingDataError: as datasets.splits.
    """
    train, test = datasets.splits(
        dataset, data_dir, download, train_split, test_split, train_examples, seed
    )
    operations = AUGMENT if augment else ()
    return _data(dataset, train, train, test, batch_size, seed, operations, shuffle, {})


def random_labels(
    *,
    dataset: str,
    train_split: str,
    test_split: str,
    train_examples: int | None,
    batch_size: int,
    seed: int,
    replicas: int,
    zero_out: float,
    zero_unit: str,
    data_dir: str | None = None,
    download: bool = True,
) -> TrainingData:
    """Return copies of a dataset's images with random labels, and its true test set.

    Raises:
      ValueError, datasets.MissingDataError: as datasets.splits and random_label_copies.
    """
    train, test = datasets.splits(
        dataset, data_dir, download, train_split, test_split, train_examples, seed
    )
    options = (replicas, zero_out, zero_unit)
    images, labels = adversarial.random_label_copies(
        train.images, *options, datasets.DATASETS[dataset], seed, ids=train.ids
    )
    copies = datasets.Images(images, labels, np.arange(len(labels)))
    facts = {
        "correct_labels": float((labels == np.repeat(train.labels, replicas)).mean()),
        "fittable": 1.0 if zero_out else adversarial.fittable(labels, replicas),
        "zeroing": _zeroing(train.images.shape[1:], options, seed, train.ids),
    }
    return _data(dataset, train, copies, test, batch_size, seed, (), True, facts)


def _data(
    dataset: str,
    originals: datasets.Images,
    train: datasets.Images,
    test: datasets.Images,
    batch_size: int,
    seed: int,
    operations: Sequence[str],
    shuffle: bool,
    facts: dict,
) -> TrainingData:
    mean, std = CHANNEL_MOMENTS.get(dataset) or _moments(originals.images)
    normalize, size = pipeline.channel_normalization(mean, std), train.images.shape[1]
    images = pipeline.preprocess(train.images, size, normalize)
    test_images = pipeline.preprocess(test.images, size, normalize)

    def evaluated(images, labels, batch=pipeline.EVALUATION_BATCH):
        return pipeline.EvaluationBatches(images, labels, batch)

    return TrainingData(
        train=pipeline.TrainBatches(
            train,
            batch_size,
            seed,
            augment=operations,
            whitened=images,
            size=size,
            normalize=normalize,
            margin=CROP_MARGIN,
            shuffle=shuffle,
        ),
        evaluations={
            "train": evaluated(images, train.labels),
            "test": evaluated(test_images, test.labels),
        },
        test_batches=evaluated(test_images, test.labels, batch_size),
        images=images,
        labels=train.labels,
        num_classes=datasets.DATASETS[dataset],
        facts={"train_examples": len(train), "test_examples": len(test), **facts},
    )


def _moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel, for uint8 images scaled to [0, 1]."""
    mean, std = datasets.channel_moments(images)
    return mean / 255, np.maximum(std, 1) / 255


def _zeroing(shape: tuple, options: tuple, seed: int, ids: np.ndarray) -> dict:
    """Count what is zeroed in the first copies: entries of each, share of pixels hit and black."""
    masks = np.concatenate(
        [adversarial.zero_masks(shape, *options, seed, id_) for id_ in ids[:ZEROING_EXAMPLES]]
    )
    entries = masks.sum((1, 2, 3))
    return {
        "entries_per_copy": [int(entries.min()), int(entries.max())],
        "pixels_touched": float(masks.any(-1).mean()),
        "pixels_black": float(masks.all(-1).mean()),
    }
