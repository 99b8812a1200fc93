"""What a run of the randomization tests depends on."""

import dataclasses
from typing import ClassVar, Self

from repro.data import (
    AUGMENTATION_RANGES,
    AUGMENTATIONS,
    CORRUPTIONS,
    GAUSSIAN_MOMENTS,
    PERMUTES,
)
from repro.data.datasets import DATASETS
from repro.models import MODELS
from repro.settings import Training, flag

COLOURS = {"brightness", "saturation", "contrast"}  # changes that --augment_ranges is about
FAST_NETWORKS = ("inception", "wrn")  # networks that start at a rate of 0.1, all others at 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(Training):
    """Train one network on one corruption of a dataset (Zhang et al. 2017, section 2)."""

    paper: ClassVar[str] = "randomization"

    model: str = flag("inception", "Network to train.", choices=MODELS)
    initializer: str | None = flag(
        None, "Keras initializer of the kernels, such as he_normal; by default the network's own."
    )
    dataset: str = flag("cifar10", "Images to train and test on.", choices=DATASETS)
    train_split: str = flag("train", "What to train on: a tensorflow-datasets split string.")
    test_split: str = flag(
        "test",
        "What to test on, such as train[45000:]; held_out is what --train_examples leaves out.",
    )
    train_examples: int | None = flag(
        None, "Train on a class-balanced subset of this size.", unit="images", low=1
    )

    corruption: str | None = flag(
        None, "What is randomised; by default partial_labels where --corrupt_prob is given.",
        choices=CORRUPTIONS,
    )
    corrupt_prob: float = flag(
        0.0, "Probability that a label is replaced by a uniform one (partial_labels).", low=0, high=1
    )
    permute: str = flag(
        "entries", "What pixel corruptions permute: all entries, or positions of whole pixels.",
        choices=PERMUTES,
    )
    gaussian_moments: str = flag(
        "dataset", "Whose mean and variance Gaussian noise has.", choices=GAUSSIAN_MOMENTS
    )
    redraw: bool = flag(
        False, "Corrupt afresh at every access, as the EPFL student rerun did by mistake."
    )
    augment: tuple[str, ...] = flag(
        (), "Random changes of training images, applied in this order.", choices=AUGMENTATIONS
    )

    augment_ranges: str | None = flag(
        None, "How far random changes of colour go: as in the original TensorFlow pipeline, or as "
        "in the EPFL student rerun.", choices=AUGMENTATION_RANGES,
    )

    epochs: int = flag(100, "Train for at most so many.", unit="epochs", low=1)
    stop_train_loss: float | None = flag(None, "Stop at this loss over the whole training set.")
    stop_train_accuracy: float | None = flag(
        None, "Stop at this accuracy over the whole training set."
    )
    learning_rate: float | None = flag(
        None, "Of the first epoch; by default 0.1 for Inception and WRN, 0.01 for other networks.",
        low=0,
    )
    learning_rate_decay: float = flag(0.95, "Factor of the rate after every epoch.", low=0)
    momentum: float = flag(0.9, "Of SGD.", low=0, high=1)
    batch_size: int = flag(None, "Images of a step, over all replicas.", unsaid=128, low=1)
    dropout_rate: float = flag(
        None, "Share of activations that dropout zeroes.", unsaid=0.0, low=0, high=0.99
    )
    weight_decay: float = flag(
        None, "Coefficient of half the squared norm of all kernels in the loss.", unsaid=0.0, low=0
    )
    eval_every: int = flag(1, "Measure losses and accuracies so often.", unit="epochs", low=1)
    test_every: int | None = flag(
        None, "Measure on test data only so often, and at the end; by default with the rest.",
        unit="epochs", low=1,
    )

    def settled(self) -> Self:
        if self.corrupt_prob and self.corruption not in (None, "partial_labels"):
            raise ValueError(f"--corrupt_prob is for partial_labels, not {self.corruption}")
        corruption = self.corruption or ("partial_labels" if self.corrupt_prob else "none")
        if corruption == "partial_labels" and self.corrupt_prob in (0, 1):  # one name a training
            corruption = "random_labels" if self.corrupt_prob else "none"
        fast = self.model.startswith(FAST_NETWORKS)
        rate = (0.1 if fast else 0.01) if self.learning_rate is None else self.learning_rate
        ranges = (self.augment_ranges or "tensorflow") if COLOURS & set(self.augment) else None
        prob = self.corrupt_prob if corruption == "partial_labels" else 0.0
        return super().settled().replace(
            corruption=corruption, corrupt_prob=prob, learning_rate=rate, augment_ranges=ranges
        )

    def label(self) -> str:
        parts = [self.model, self.dataset, self.corruption]
        if self.corruption == "partial_labels":
            parts.append(f"p{self.corrupt_prob:g}")
        if self.train_examples:
            parts.append(f"n{self.train_examples}")
        parts += self.augment
        if self.redraw:
            parts.append("redraw")
        return "-".join([*parts, f"seed{self.seed}"])


STAGES = {"train": Train}
