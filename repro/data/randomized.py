"""A dataset corrupted as a run asks for, ready to train on, with what the run is measured on."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from repro.data import corruption as corruptions
from repro.data import datasets, imagenet, pipeline

# Divisible among 1 to 6, 8, 10, 12, 16 or 32 replicas; does not change any number.
EVALUATION_BATCH = 960
HELD_OUT = "held_out"  # the test split of sweeps on a dataset without slices


@dataclasses.dataclass(frozen=True)
class EpochData:
    """What one epoch trains on, and the sets it is evaluated on, by the names of their splits."""

    train: pipeline.TrainBatches | imagenet.StreamedTrainBatches
    evaluations: Mapping[str, pipeline.EvaluationBatches | imagenet.StreamedEvaluationBatches]


@dataclasses.dataclass(frozen=True)
class RandomizedData:
    """What a run trains and is measured on."""

    epoch: Callable  # number of an epoch -> EpochData
    test_with_corrupted_labels: object  # batches for evaluation
    image_shape: tuple[int, int, int]
    num_classes: int
    facts: dict  # for the result: sizes, share of wrong labels, whitening


def prepare(*, dataset: str, **settings) -> RandomizedData:
    """Return the data of a run.

    Args:
      dataset: a key of datasets.DATASETS; imagenet2012 is streamed, all others are in memory.
      **settings: flags of repro.randomization: `corruption`, `corrupt_prob`, `permute`,
        `gaussian_moments`, `redraw`, `augment`, `seed`, `train_split`, `test_split`,
        `train_examples`, `batch_size`, `data_dir`, `download`.

    Raises:
      ValueError: a setting is unknown, out of range, or not possible with this dataset.
      datasets.MissingDataError: the dataset is not there.
    """
    make = _streamed if dataset == "imagenet2012" else _in_memory
    return make(dataset=dataset, **settings)


def _in_memory(
    *, dataset, corruption, corrupt_prob, permute, gaussian_moments, redraw, augment, seed,
    train_split, test_split, train_examples, batch_size, data_dir, download,
) -> RandomizedData:  # fmt: skip
    """Read a dataset and corrupt it once for all epochs or, under --redraw, at every access."""
    num_classes = datasets.DATASETS[dataset]
    train, test = splits(
        dataset, data_dir, download, train_split, test_split, train_examples, seed
    )

    def corrupted(images, access):
        pixels, labels = corruptions.corrupt(
            images.images, images.labels, corruption, corrupt_prob,
            corruptions.redraw_seed(seed, access) if redraw else seed,
            num_classes, ids=images.ids, permute=permute, gaussian_moments=gaussian_moments,
        )  # fmt: skip
        return dataclasses.replace(images, images=pixels, labels=labels)

    test_corrupted = corrupted(test, 0)
    test_whitened = pipeline.preprocess(test_corrupted.images)
    test_clean = pipeline.EvaluationBatches(test_whitened, test.labels, EVALUATION_BATCH)

    def access(epoch):
        seen = corrupted(train, 2 * epoch - 1)
        measured = corrupted(train, 2 * epoch) if redraw else seen
        whitened = pipeline.preprocess(measured.images)
        batches = pipeline.TrainBatches(
            seen, batch_size, seed, augment=augment, whitened=None if redraw else whitened
        )
        evaluated = pipeline.EvaluationBatches(whitened, measured.labels, EVALUATION_BATCH)
        return EpochData(batches, {"train": evaluated, "test": test_clean})

    fixed = None if redraw else access(1)
    return RandomizedData(
        epoch=access if redraw else lambda epoch: fixed,
        test_with_corrupted_labels=pipeline.EvaluationBatches(
            test_whitened, test_corrupted.labels, EVALUATION_BATCH
        ),
        image_shape=tuple(test_whitened.shape[1:]),
        num_classes=num_classes,
        facts={
            "train_examples": len(train),
            "test_examples": len(test),
            "wrong_labels": float((corrupted(train, 1).labels != train.labels).mean()),
            "whitening": pipeline.whitening_errors(train.images),
        },
    )


def splits(dataset, data_dir, download, train_split, test_split, train_examples, seed):
    """Return training and test examples; HELD_OUT are those that `train_examples` leaves out.

    Arguments are flags of the same names; `train_examples` is the size of a class-balanced subset.

    Raises:
      ValueError, datasets.MissingDataError: as datasets.load; a subset that cannot be had.
    """
    held_out = test_split == HELD_OUT
    if held_out and train_examples is None:
        raise ValueError(f"--test_split={HELD_OUT} wants --train_examples: it tests on the others")
    train, test = datasets.load(
        dataset, data_dir, download=download, train_split=train_split,
        test_split="test" if held_out else test_split,
    )  # fmt: skip
    if train_examples is None:
        return train, test
    kept = datasets.class_balanced_subset(train.labels, train_examples, seed)
    if held_out:
        test = train.take(np.setdiff1d(np.arange(len(train)), kept))
        if not len(test):
            raise ValueError(f"--train_examples={train_examples} leaves no example to test on")
    return train.take(kept), test


def _streamed(
    *, corruption, corrupt_prob, redraw, augment, seed, train_split, test_split, train_examples,
    batch_size, data_dir, **_
) -> RandomizedData:  # fmt: skip
    """Stream ImageNet from disk; `test` stands for its validation split."""
    if corruption not in imagenet.CORRUPTIONS or redraw or train_examples:
        raise ValueError("imagenet2012 has only the corruptions "
                         f"{', '.join(imagenet.CORRUPTIONS)}, and no redraw or train_examples")
    prob = 1.0 if corruption == "random_labels" else corrupt_prob
    test_split = "validation" if test_split == "test" else test_split
    builder = imagenet.open_builder(data_dir)
    train = imagenet.StreamedTrainBatches(builder, train_split, batch_size, seed, prob, augment)
    measured, test, test_corrupted = (
        imagenet.StreamedEvaluationBatches(builder, split, batch_size, seed, p)
        for split, p in ((train_split, prob), (test_split, 0.0), (test_split, prob))
    )
    epoch_data = EpochData(train, {"train": measured, "test": test})
    return RandomizedData(
        epoch=lambda epoch: epoch_data,
        test_with_corrupted_labels=test_corrupted,
        image_shape=(imagenet.IMAGE_SIZE, imagenet.IMAGE_SIZE, 3),
        num_classes=1000,
        facts={"train_examples": train.examples, "test_examples": test.examples},
    )
