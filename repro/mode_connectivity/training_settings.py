"""Stages that train: a mode, and a curve from one point of weight space to another.

A point is a mode (`G`), an epoch of it (`sgdr@70`; what SGDR returns is `sgdr@150`), a mode trained
from the next seed (`G+1`), or the directory of an endpoint; `swa` is the average of its iterates.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

from repro.curvature_on_request import Curvature
from repro.fields import flag
from repro.mode_connectivity import names
from repro.mode_connectivity.mode_settings import Modes
from repro.settings import Settings

POINTS = (
    f"a mode, one of {', '.join(names.MODES)}, with +1 for the next seed and @epoch for an epoch "
    "that it keeps, or the directory of an endpoint."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint(Curvature, Modes):
    """Train one mode, and keep some of its iterates."""

    stage: ClassVar[str] = "endpoint"

    mode: str = flag(
        "G",
        "What to train: G, or what differs from it in batch (A), optimiser (B), schedule (C), "
        "weight decay (D), initial weights (E) or augmentation (F); sgdr and step, whose "
        "trajectories the paper studies; swa and fge, of the works that came of it.",
        choices=names.MODES,
    )
    forked_at: int | None = flag(
        None,
        "After this epoch let images come in another order and with other augmentation than "
        "without this flag; until then the training is the same. 0 shares initial weights alone.",
        unit="epochs",
        low=0,
        high=names.EPOCHS - 1,
    )

    def modes(self) -> set[str]:
        return {self.mode}

    def about(self) -> list[str]:
        return [self.mode, *([] if self.forked_at is None else [f"fork{self.forked_at}"])]

    def check(self) -> None:
        super().check()
        if self.forked_at:
            names.scaled(self.forked_at, self.epoch_scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curves(Modes):
    """What stages with a curve share: which kind it is, and how it is trained."""

    curve: str = flag(
        "polychain",
        "Kind of curve: a polygonal chain, or a Bezier curve.",
        choices=("polychain", "bezier"),
    )
    bends: int = flag(1, "Inner nodes of the curve.", low=1)
    curve_epochs: int = flag(
        80, "Train the curve for so many epochs; the paper's plots end at 80.", unit="epochs", low=1
    )
    curve_learning_rate: float = flag(0.015, "Learning rate of the curve, before it decays.", low=0)
    curve_schedule: str = flag(
        "garipov",
        "How the curve's rate falls: as in Garipov et al.'s code, or not at all.",
        choices=("garipov", "constant"),
    )
    curve_t: str = flag(
        "uniform",
        "How places on the curve are drawn: each by itself, or so that any 16 steps in "
        "a row spread over the curve (stratified).",
        choices=("uniform", "stratified"),
    )
    free_ends: bool = flag(False, "Train the curve's ends too.")
    align: str = flag(
        "none",
        "Permute the neurons of --to to match those of --from before connecting them, by "
        "their weights or their activations.",
        choices=("none", "weights", "activations"),
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
        return [f"{short(self.from_)}to{short(self.to)}", self.curve]

    def needs(self) -> list[Settings]:
        return endpoints(self, self.from_, self.to)


def endpoints(settings: Modes, *points: str) -> list[Settings]:
    """Return the settings of the runs that train the modes of points, each once."""
    parsed = filter(None, map(names.parse_point, points))
    modes = dict.fromkeys((mode, following) for mode, following, _ in parsed)
    return [
        settings.of_stage(Endpoint, mode=mode, seed=settings.seed + following)
        for mode, following in modes
    ]


def short(point: str) -> str:
    """Return a point as it stands in the name of a run."""
    return Path(point).name.replace("+1", "next").replace("@", "")
