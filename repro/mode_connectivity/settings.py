"""What a run of mode connectivity depends on: how modes are trained, and what a stage does.

A point of weight space is a mode (`G`), an epoch of it (`sgdr@70`; what SGDR returns is
`sgdr@150`), a mode trained from the next seed (`G+1`), or the directory of an endpoint; `swa` is
its average.
"""

import dataclasses
from typing import ClassVar, Self

from repro.data import AUGMENTATIONS
from repro.data.datasets import DATASETS
from repro.mode_connectivity import checks, names
from repro.models import MODELS
from repro.settings import Training, fields, flag

POINTS = (
    f"a mode, one of {', '.join(names.MODES)}, with +1 for the next seed and @epoch for an epoch "
    "that it keeps, or the directory of an endpoint."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Modes(Training):
    """What all stages share: how modes are trained, and on what."""

    paper: ClassVar[str] = "mode_connectivity"

    model: str = flag("vgg16", "Network to train.", choices=MODELS)
    dataset: str = flag("cifar10", "Images to train and validate on.", choices=DATASETS)
    train_split: str | None = flag(
        None, "What to train on, a tensorflow-datasets split string; by default train[:90%], and "
        "all training images of digits."
    )
    test_split: str | None = flag(
        None, "What to validate on; by default train[90%:], and the test images of digits."
    )
    train_examples: int | None = flag(
        None, "Train on a class-balanced subset of this size.", unit="images", low=1
    )
    eval_examples: int | None = flag(
        None, "Measure training loss, and batch norm's statistics, on so many training images; by "
        "default on all.", unit="images", low=1,
    )
    augment: tuple[str, ...] = flag(
        ("crop",), "Random changes of training images; mode F has none.", choices=AUGMENTATIONS
    )
    epoch_scale: float = flag(
        1.0, "Factor on all epochs: schedules keep their shapes, and epochs their names.", above=0
    )
    batch_size: int = flag(100, "Images of a step, over all replicas.", low=1)
    large_batch_size: int | None = flag(4000, "Images of a step of mode A.", low=1)
    learning_rate: float = flag(0.05, "Of SGD, before it decays.", low=0)
    adam_learning_rate: float | None = flag(
        1e-3, "Of mode B, before it decays; the paper does not say it.", low=0
    )
    swa_learning_rate: float | None = flag(
        0.01, "Of mode swa while it gathers the networks that it averages.", low=0
    )
    sgdr_update: str | None = flag(
        "epoch", "How often the rate of mode sgdr moves; the paper does not say it.",
        choices=("epoch", "step"),
    )
    cycle_epochs: int | None = flag(4, "Length of a cycle of mode fge.", unit="epochs", low=2)
    schedule: str | None = flag(
        None, "Learning rates of modes, instead of the step decay of G.",
        choices=("constant", "garipov"),
    )
    momentum: float = flag(0.9, "Of SGD.", low=0, high=1)
    weight_decay: float = flag(
        5e-4, "Coefficient of half the squared norm of what --decayed says, in the loss.", low=0
    )
    decayed: str = flag("all", "Which weights decay.", choices=("all", "kernels"))
    dropout_rate: float = flag(
        0.5, "Share of activations of the dense layers that dropout zeroes.", low=0, high=0.99
    )
    mode_seeds: str = flag(
        "own", "Whether modes differ in their initial weights and the order of the data (own), or "
        "only in what names them (shared).", choices=("own", "shared"),
    )
    init_scale: float = flag(1.0, "Factor on sqrt(2 / n); mode E has 3 times it.", low=0)
    init_spread: str = flag(
        "std", "Whether sqrt(2 / n) is the standard deviation or the variance of initial weights.",
        choices=("std", "variance"),
    )
    init_fan: str = flag(
        "in", "Whether n counts the inputs or the outputs of a neuron.", choices=("in", "out")
    )
    init_dense: str | None = flag(
        None, "Let dense layers start as PyTorch's do, as in Garipov et al.'s code.",
        choices=("torch",),
    )
    eval_every: int = flag(1, "Measure modes so often while they train.", unit="epochs", low=1)

    def points(self) -> dict[str, str]:
        """Return the points of weight space that are named, by their flags."""
        named = {name: getattr(self, field, None) for field, name in POINT_FLAGS.items()}
        return {name: point for name, point in named.items() if point is not None}

    def modes(self) -> set[str]:
        """Return the modes that this run trains or needs."""
        return names.modes_of(self.points().values())

    def about(self) -> list[str]:
        """Return what a run's name says of it beside network and data."""
        return []

    def settled(self) -> Self:
        modes, whole = self.modes(), self.dataset == "digits"  # which has no parts of splits
        return super().settled().replace(
            train_split=self.train_split or ("train" if whole else "train[:90%]"),
            test_split=self.test_split or ("test" if whole else "train[90%:]"),
            large_batch_size=self.large_batch_size if "A" in modes else None,
            adam_learning_rate=self.adam_learning_rate if "B" in modes else None,
            swa_learning_rate=self.swa_learning_rate if "swa" in modes else None,
            sgdr_update=self.sgdr_update if "sgdr" in modes else None,
            cycle_epochs=self.cycle_epochs if "fge" in modes else None,
        )

    def check(self) -> None:
        super().check()
        checks.check_epochs(self.modes(), self.epoch_scale, self.cycle_epochs)
        checks.check_points(self.points(), self)
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


POINT_FLAGS = {"from_": "from", "to": "to", "third": "third"}  # field -> flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint(Modes):
    """Train one mode, and keep some of its iterates."""

    stage: ClassVar[str] = "endpoint"

    mode: str = flag(
        "G", "What to train: G, or what differs from it in batch (A), optimiser (B), schedule (C), "
        "weight decay (D), initial weights (E) or augmentation (F); sgdr and step, whose "
        "trajectories the paper studies; swa and fge, of the works that came of it.",
        choices=names.MODES,
    )

    def modes(self) -> set[str]:
        return {self.mode}

    def about(self) -> list[str]:
        return [self.mode]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curves(Modes):
    """What stages with a curve share: which kind it is, and how it is trained."""

    curve: str = flag(
        "polychain", "Kind of curve: a polygonal chain, or a Bezier curve.",
        choices=("polychain", "bezier"),
    )
    bends: int = flag(1, "Inner nodes of the curve.", low=1)
    curve_epochs: int = flag(
        80, "Train the curve so long; the paper's plots end at 80.", unit="epochs", low=1
    )
    curve_learning_rate: float = flag(0.015, "Of the curve, before it decays.", low=0)
    curve_schedule: str = flag(
        "garipov", "How the curve's rate falls: as in Garipov et al.'s code, or not at all.",
        choices=("garipov", "constant"),
    )
    curve_t: str = flag(
        "uniform", "How places on the curve are drawn: each by itself, or so that any 16 steps in "
        "a row spread over the curve (stratified).", choices=("uniform", "stratified"),
    )
    free_ends: bool = flag(False, "Train the curve's ends too.")
    align: str = flag(
        "none", "Permute the neurons of --to to match those of --from before connecting them, by "
        "their weights or their activations.", choices=("none", "weights", "activations"),
    )

    def check(self) -> None:
        super().check()
        names.scaled(self.curve_epochs, self.epoch_scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve(Curves):
    """Train a curve from one point to another."""

    stage: ClassVar[str] = "curve"

    from_: str = flag("G", f"Where the curve starts: {POINTS}")
    to: str = flag("A", "Where it ends, a point like --from.")

    def about(self) -> list[str]:
        return [f"{_short(self.from_)}to{_short(self.to)}", self.curve]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Curve):
    """Measure along a curve and along the segment of its ends; train what is missing."""

    stage: ClassVar[str] = "evaluate"

    points_: int = flag(61, "Measure at so many places of a path, an odd number.", low=3)
