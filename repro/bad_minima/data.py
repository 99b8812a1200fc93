"""The data of Liu et al. 2020: true labels to train on, random ones to pre-train on."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from repro.bad_minima import adversarial
from repro.bad_minima.settings import Images, Pretrain, Train
from repro.data import datasets, pipeline

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


def true_labels(settings: Train, data_dir: str | None, download: bool) -> TrainingData:
    """Return what a run trains on: a dataset with its own labels.

    Raises:
      ValueError, datasets.MissingDataError: as datasets.splits.
    """
    train, test = _read(settings, data_dir, download)
    return _data(settings, train, train, test, settings.augment, settings.shuffle, {})


def random_labels(settings: Pretrain, data_dir: str | None, download: bool) -> TrainingData:
    """Return what a start trains on: copies of images with random labels, and the true test set.

    Raises:
      ValueError, datasets.MissingDataError: as datasets.splits and random_label_copies.
    """
    s = settings
    train, test = _read(s, data_dir, download)
    options = (s.replicas, s.zero_out, s.zero_unit)
    images, labels = adversarial.random_label_copies(
        train.images, *options, datasets.DATASETS[s.dataset], s.seed, ids=train.ids
    )
    copies = datasets.Images(images, labels, np.arange(len(labels)))
    facts = {
        "correct_labels": float((labels == np.repeat(train.labels, s.replicas)).mean()),
        "fittable": 1.0 if s.zero_out else adversarial.fittable(labels, s.replicas),
        "zeroing": _zeroing(train.images.shape[1:], options, s.seed, train.ids),
    }
    return _data(s, train, copies, test, (), True, facts)


def _read(
    settings: Images, data_dir: str | None, download: bool
) -> tuple[datasets.Images, datasets.Images]:
    s = settings
    return datasets.splits(
        s.dataset, data_dir, download, s.train_split, s.test_split, s.train_examples, s.seed
    )


def _data(
    settings: Images,
    originals: datasets.Images,
    train: datasets.Images,
    test: datasets.Images,
    augment: Sequence[str],
    shuffle: bool,
    facts: dict,
) -> TrainingData:
    """Return training data of some images, normalised by the moments of the original ones."""
    mean, std = CHANNEL_MOMENTS.get(settings.dataset) or _moments(originals.images)
    normalize, size = pipeline.channel_normalization(mean, std), train.images.shape[1]
    images = pipeline.preprocess(train.images, size, normalize)
    test_images = pipeline.preprocess(test.images, size, normalize)

    def evaluated(images, labels, batch=pipeline.EVALUATION_BATCH):
        return pipeline.EvaluationBatches(images, labels, batch)

    return TrainingData(
        train=pipeline.TrainBatches(
            train,
            settings.batch_size,
            settings.seed,
            augment=augment,
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
        test_batches=evaluated(test_images, test.labels, settings.batch_size),
        images=images,
        labels=train.labels,
        num_classes=datasets.DATASETS[settings.dataset],
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
