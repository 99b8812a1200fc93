"""What a run of mode connectivity depends on, by stage: here the stages that measure, and STAGES.

mode_settings.py has what all stages share, training_settings.py the stages that train.
"""

import dataclasses
from typing import ClassVar

from repro.fields import flag
from repro.mode_connectivity import checks, names
from repro.mode_connectivity.mode_settings import Modes
from repro.mode_connectivity.training_settings import (
    POINTS,
    Curve,
    Curves,
    Endpoint,
    endpoints,
    short,
)
from repro.settings import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured(Modes):
    """What stages that measure points of weight space share."""

    batch_norm: str = flag(
        "pooled",
        "How batch norm's statistics are estimated at each point: over all images "
        "(pooled), or with the mean of the batches' variances, as Garipov et al. do (reference).",
        choices=("pooled", "reference"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paths(Curves, Measured):
    """What stages that measure along curves share."""

    points: int = flag(61, "Measure so many points of each path, an odd number.", low=3)
    snapshots: bool = flag(True, "Measure earlier epochs of the curve's training too.")

    def check(self) -> None:
        super().check()
        checks.check_odd(self.points)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Curve, Paths):
    """Measure along a curve and along the segment of its ends; train what is missing."""

    stage: ClassVar[str] = "evaluate"

    repair: bool = flag(
        False,
        "Measure the segment once more with each neuron's statistics reset to lie between "
        "those of the ends (REPAIR), in networks without batch norm.",
    )

    def check(self) -> None:
        super().check()
        if self.repair:
            checks.check_repair(self.model)

    def needs(self) -> list[Settings]:
        return [*super().needs(), self.of_stage(Curve)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble(Curve, Measured):
    """Let networks along a curve vote: its start with each, and all of them (Garipov et al.)."""

    stage: ClassVar[str] = "ensemble"

    points: int = flag(21, "Take so many networks along the curve, an odd number.", low=3)

    def check(self) -> None:
        super().check()
        checks.check_odd(self.points)

    def needs(self) -> list[Settings]:
        return [*super().needs(), self.of_stage(Curve)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plane(Curve, Measured):
    """Measure on the plane of both ends and the curve's bend, and project the trajectory."""

    stage: ClassVar[str] = "plane"

    third: str | None = flag(
        None, "Third point of the plane, like --from; by default the curve's bend."
    )
    grid: int = flag(21, "Measure so many points along each side.", low=2)
    margin: float = flag(0.2, "Go on so far around the points, in lengths of the sides.", low=0)
    projection: str = flag(
        "affine",
        "Project iterates onto the plane, or, as in the paper's formula, onto the linear "
        "span of its points.",
        choices=("affine", "linear"),
    )
    hessian_examples: int | None = flag(
        None,
        "Measure the extreme eigenvalues of the loss of so many images too; by default not.",
        unit="images",
        low=1,
    )

    def without_curvature(self) -> list[str]:
        asking = ["leave out --hessian_examples"] if self.hessian_examples else []
        return [*super().without_curvature(), *asking]

    def needs(self) -> list[Settings]:
        if self.third is not None:
            return endpoints(self, self.from_, self.to, self.third)
        return [*super().needs(), self.of_stage(Curve)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice(Measured):
    """Measure along random or principal directions through one point (Li et al. 2018)."""

    stage: ClassVar[str] = "slice"

    from_: str = flag("G", f"The point in the middle: {POINTS}")
    directions: str = flag(
        "filter",
        "Random directions, and what of them is scaled to the weights' norm; or the main "
        "directions of the mode's iterates up to the point (pca).",
        choices=("filter", "layer", "weight", "pca"),
    )
    dimensions: int = flag(1, "Number of directions.", choices=(1, 2))
    points: int = flag(61, "Measure so many points along each direction, an odd number.", low=3)
    reach: float = flag(1.0, "Go so far each way along random directions.", low=0)
    margin: float = flag(0.2, "Go on so far around the iterates, of what they span (pca).", low=0)

    def check(self) -> None:
        super().check()
        checks.check_odd(self.points)
        if self.directions == "pca":
            checks.check_principal(self.from_, self.dimensions, self.cycle_epochs)

    def about(self) -> list[str]:
        return [short(self.from_), self.directions, f"{self.dimensions}d"]

    def needs(self) -> list[Settings]:
        return endpoints(self, self.from_)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instability(Measured):
    """Measure between two trainings that were one until an epoch (Frankle et al. 2020)."""

    stage: ClassVar[str] = "instability"

    mode: str = flag("G", "How both are trained.", choices=names.MODES)
    fork: int = flag(
        0,
        "The epoch after which the order and the augmentation of the images differ; 0 shares "
        "initial weights alone.",
        unit="epochs",
        low=0,
        high=names.EPOCHS - 1,
    )
    points: int = flag(31, "Measure so many points of the segment, an odd number.", low=3)

    def modes(self) -> set[str]:
        return {self.mode}

    def check(self) -> None:
        super().check()
        checks.check_odd(self.points)
        if self.fork:
            names.scaled(self.fork, self.epoch_scale)

    def about(self) -> list[str]:
        return [self.mode, f"fork{self.fork}"]

    def needs(self) -> list[Settings]:
        return [
            self.of_stage(Endpoint, mode=self.mode, forked_at=fork) for fork in (None, self.fork)
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study(Paths):
    """Lay out the modes and bends of the six curves from G, and join all pairs through G."""

    stage: ClassVar[str] = "study"

    perplexity: float = flag(
        4.0, "Perplexity of t-SNE; it must be below the number of points, 13.", low=1
    )

    def modes(self) -> set[str]:
        return {"G", *names.VARIANTS}

    def check(self) -> None:
        super().check()
        if self.perplexity >= 13:
            raise ValueError(f"--perplexity={self.perplexity:g} must lie below the 13 points")
        if self.free_ends:
            raise ValueError("--stage=study joins curves in mode G: --free_ends would move it")

    def needs(self) -> list[Settings]:
        measured = [self.of_stage(Evaluate, from_="G", to=mode) for mode in names.VARIANTS]
        return [*measured, *(curve.of_stage(Curve) for curve in measured)]


STAGES = {
    kind.stage: kind
    for kind in (Evaluate, Endpoint, Curve, Ensemble, Plane, Slice, Study, Instability)
}
