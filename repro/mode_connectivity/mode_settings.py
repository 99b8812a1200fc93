"""How modes are trained, and on what: the settings that all stages share."""

import dataclasses
from typing import ClassVar, Self

from repro.data import AUGMENTATIONS
from repro.data.datasets import DATASETS
from repro.fields import fields, flag
from repro.mode_connectivity import checks, names
from repro.models import MODELS
from repro.settings import Training

POINT_FLAGS = {"from_": "from", "to": "to", "third": "third"}  # field that names a point -> flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class Modes(Training):
    """What all stages share: how modes are trained, and on what."""

    paper: ClassVar[str] = "mode_connectivity"

    model: str = flag("vgg16", "Network to train.", choices=MODELS)
    dataset: str = flag("cifar10", "Images to train and validate on.", choices=DATASETS)
    train_split: str | None = flag(
        None,
        "What to train on, a tensorflow-datasets split string; by default train[:90%], and "
        "all training images of digits.",
    )
    test_split: str | None = flag(
        None, "What to validate on; by default train[90%:], and the test images of digits."
    )
    train_examples: int | None = flag(
        None, "Train on a class-balanced subset of this size.", unit="images", low=1
    )
    eval_examples: int | None = flag(
        None,
        "Measure training loss, and batch norm's statistics, on so many training images; by "
        "default on all.",
        unit="images",
        low=1,
    )
    augment: tuple[str, ...] = flag(
        ("crop",), "Random changes of training images; mode F has none.", choices=AUGMENTATIONS
    )
    epoch_scale: float = flag(
        1.0, "Factor on all epochs: schedules keep their shapes, and epochs their names.", above=0
    )
    batch_size: int = flag(100, "Images of a step, over all replicas.", low=1)
    large_batch_size: int | None = flag(4000, "Images of a step of mode A.", low=1)
    learning_rate: float = flag(0.05, "Learning rate of SGD, before it decays.", low=0)
    adam_learning_rate: float | None = flag(
        1e-3, "Learning rate of mode B, before it decays; the paper does not say it.", low=0
    )
    swa_learning_rate: float | None = flag(
        0.01, "Learning rate of mode swa while it gathers the networks that it averages.", low=0
    )
    sgdr_update: str | None = flag(
        "epoch",
        "How often the rate of mode sgdr moves; the paper does not say it.",
        choices=("epoch", "step"),
    )
    cycle_epochs: int | None = flag(4, "Length of a cycle of mode fge.", unit="epochs", low=2)
    schedule: str | None = flag(
        None,
        "Learning rates of modes, instead of the step decay of G.",
        choices=("constant", "garipov"),
    )
    momentum: float = flag(0.9, "Momentum of SGD.", low=0, high=1)
    weight_decay: float = flag(
        5e-4, "Coefficient of half the squared norm of what --decayed says, in the loss.", low=0
    )
    decayed: str = flag("all", "Which weights decay.", choices=("all", "kernels"))
    dropout_rate: float = flag(
        0.5, "Share of activations of the dense layers that dropout zeroes.", low=0, high=0.99
    )
    mode_seeds: str = flag(
        "own",
        "Whether modes differ in their initial weights and the order of the data (own), or "
        "only in what names them (shared).",
        choices=("own", "shared"),
    )
    init_scale: float = flag(1.0, "Factor on sqrt(2 / n); mode E has 3 times it.", low=0)
    init_spread: str = flag(
        "std",
        "Whether sqrt(2 / n) is the standard deviation or the variance of initial weights.",
        choices=("std", "variance"),
    )
    init_fan: str = flag(
        "in", "Whether n counts the inputs or the outputs of a neuron.", choices=("in", "out")
    )
    init_dense: str | None = flag(
        None,
        "Let dense layers start as PyTorch's do, as in Garipov et al.'s code.",
        choices=("torch",),
    )
    eval_every: int = flag(
        1, "Measure modes every so many epochs while they train.", unit="epochs", low=1
    )

    def named_points(self) -> dict[str, str]:
        """Return the points of weight space that are named, by their flags."""
        named = {name: getattr(self, field, None) for field, name in POINT_FLAGS.items()}
        return {name: point for name, point in named.items() if point is not None}

    def modes(self) -> set[str]:
        """Return the modes that this run trains or needs."""
        return names.modes_of(self.named_points().values())

    def about(self) -> list[str]:
        """Return what a run's name says of it beside network and data."""
        return []

    def settled(self) -> Self:
        modes, whole = self.modes(), self.dataset == "digits"  # which has no parts of splits
        return (
            super()
            .settled()
            .replace(
                train_split=self.train_split or ("train" if whole else "train[:90%]"),
                test_split=self.test_split or ("test" if whole else "train[90%:]"),
                large_batch_size=self.large_batch_size if "A" in modes else None,
                adam_learning_rate=self.adam_learning_rate if "B" in modes else None,
                swa_learning_rate=self.swa_learning_rate if "swa" in modes else None,
                sgdr_update=self.sgdr_update if "sgdr" in modes else None,
                cycle_epochs=self.cycle_epochs if "fge" in modes else None,
            )
        )

    def check(self) -> None:
        super().check()
        checks.check_epochs(self.modes(), self.epoch_scale, self.cycle_epochs)
        checks.check_points(self.named_points(), self)
        if self.init_dense and not self.model.startswith("vgg16"):
            raise ValueError(f"--init_dense is for vgg16 and its kin, not --model={self.model}")

    def label(self) -> str:
        parts = [self.stage, *self.about(), self.model, self.dataset]
        if self.train_examples:
            parts.append(f"n{self.train_examples}")
        return "-".join([*parts, f"seed{self.seed}"])

    def of_stage(self, kind: type["Modes"], **changes) -> "Modes":
        """Return settings of another stage: as here what both have, and by default all else."""
        own = {field.name for field, _ in fields(type(self))}
        both = [field.name for field, _ in fields(kind) if field.name in own]
        return kind(**{name: getattr(self, name) for name in both} | changes)
