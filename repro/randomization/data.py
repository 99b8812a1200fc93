"""A dataset corrupted as a run asks for, ready to train on, with what the run is measured on."""

import dataclasses
from collections.abc import Callable, Mapping

from repro.data import corruption as corruptions
from repro.data import datasets, imagenet, pipeline
from repro.data.pipeline import EVALUATION_BATCH
from repro.randomization.settings import Train


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


def prepare(s: Train, data_dir: str | None, download: bool) -> RandomizedData:
    """Return the data of a run with settings `s`.

    Args:
      data_dir, download: as for datasets.load.

    Raises:
      ValueError: a setting is not possible with this dataset.
      datasets.MissingDataError: the dataset is not there.
    """
    if s.dataset == "imagenet2012":
        return _streamed(s, data_dir)
    if s.distorted_crops:
        raise ValueError("--distorted_crops is for imagenet2012; --augment=crop crops images here")
    whole, test = datasets.whole_splits(
        s.dataset, data_dir, download, s.train_split, s.test_split, s.train_examples
    )
    train, test = datasets.subset(whole, test, s.train_examples, s.test_split, s.seed)
    moments = None
    if s.corruption == "gaussian" and s.gaussian_moments == "dataset":
        moments = datasets.channel_moments(whole.images)
    num_classes = datasets.DATASETS[s.dataset]

    def corrupted(images: datasets.Images, access: int) -> datasets.Images:
        """Return what one access sees: the same every time, but under --redraw."""
        pixels, labels = corruptions.corrupt(
            images.images,
            images.labels,
            s.corruption,
            s.corrupt_prob,
            corruptions.redraw_seed(s.seed, access) if s.redraw else s.seed,
            num_classes,
            ids=images.ids,
            permute=s.permute or "entries",
            gaussian_moments=s.gaussian_moments or "dataset",
            moments=moments,
        )
        return dataclasses.replace(images, images=pixels, labels=labels)

    test_corrupted = corrupted(test, 0)
    test_whitened = pipeline.preprocess(test_corrupted.images)
    test_clean = pipeline.EvaluationBatches(test_whitened, test.labels, EVALUATION_BATCH)

    def access(epoch: int) -> EpochData:
        seen = corrupted(train, 2 * epoch - 1)
        measured = corrupted(train, 2 * epoch) if s.redraw else seen
        whitened = pipeline.preprocess(measured.images)
        batches = pipeline.TrainBatches(
            seen,
            s.batch_size,
            s.seed,
            augment=s.augment,
            whitened=None if s.redraw else whitened,
            ranges=s.augment_ranges or "tensorflow",
        )
        evaluated = pipeline.EvaluationBatches(whitened, measured.labels, EVALUATION_BATCH)
        return EpochData(batches, {"train": evaluated, "test": test_clean})

    fixed = None if s.redraw else access(1)
    wrong_labels = 0.0  # as far as pixels are corrupted, which would be drawn here once more
    if s.corruption in corruptions.LABEL_KINDS:
        wrong_labels = float((corrupted(train, 1).labels != train.labels).mean())
    return RandomizedData(
        epoch=access if s.redraw else lambda epoch: fixed,
        test_with_corrupted_labels=pipeline.EvaluationBatches(
            test_whitened, test_corrupted.labels, EVALUATION_BATCH
        ),
        image_shape=tuple(test_whitened.shape[1:]),
        num_classes=num_classes,
        facts={
            "train_examples": len(train),
            "test_examples": len(test),
            "wrong_labels": wrong_labels,
            "whitening": pipeline.whitening_errors(train.images),
        },
    )


def _streamed(s: Train, data_dir: str | None) -> RandomizedData:
    """Stream ImageNet from disk; `test` stands for its validation split."""
    if s.redraw or s.train_examples:
        raise ValueError("imagenet2012 is streamed, without --redraw and --train_examples")
    pixels = s.corruption in corruptions.PIXEL_KINDS
    if s.distorted_crops and pixels:
        raise ValueError(f"--distorted_crops has no images of one size for {s.corruption}")
    builder = imagenet.open_builder(data_dir)
    moments = None
    if s.corruption == "gaussian" and s.gaussian_moments == "dataset":
        moments = imagenet.sampled_moments(builder, s.train_split)
    corrupt = corruptions.make(
        s.corruption,
        seed=s.seed,
        num_classes=imagenet.CLASSES,
        prob=s.corrupt_prob,
        permute=s.permute or "entries",
        gaussian_moments=s.gaussian_moments or "dataset",
        moments=moments,
    )
    test_split = "validation" if s.test_split == "test" else s.test_split
    train = imagenet.StreamedTrainBatches(
        builder,
        s.train_split,
        s.batch_size,
        s.seed,
        s.augment,
        corrupt,
        s.augment_ranges or "tensorflow",
        bool(s.distorted_crops),
    )
    # Test images are corrupted as the training images are; test labels are measured both ways.
    measured, test, test_corrupted = (
        imagenet.StreamedEvaluationBatches(builder, split, s.batch_size, function, whole=pixels)
        for split, function in (
            (s.train_split, corrupt),
            (test_split, corrupt if pixels else None),
            (test_split, corrupt),
        )
    )
    epoch_data = EpochData(train, {"train": measured, "test": test})
    return RandomizedData(
        epoch=lambda epoch: epoch_data,
        test_with_corrupted_labels=test_corrupted,
        image_shape=(imagenet.IMAGE_SIZE, imagenet.IMAGE_SIZE, 3),
        num_classes=imagenet.CLASSES,
        facts={"train_examples": train.examples, "test_examples": test.examples},
    )
