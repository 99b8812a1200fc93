"""Modes and points of weight space by name, and the epochs that runs keep.

All epochs are the paper's; --epoch_scale shortens runs, and `scaled` turns the one into the other.
"""

import re
from collections.abc import Iterable

# Mode -> what it changes of G (Gotmare et al., section 3). Batch (A), optimiser (B) and learning
# rates are in endpoint.py.
MODES = {
    "G": {},
    "A": {},
    "B": {},
    "C": {},
    "D": {"weight_decay": 0.01},  # a factor, as is init_scale
    "E": {"init_scale": 3.0},
    "F": {"augment": ()},
    "sgdr": {},
    "step": {},
    "swa": {},
    "fge": {},
}
VARIANTS = ("A", "B", "C", "D", "E", "F")
EPOCHS = 200
MILESTONES = {"G": (60, 120, 160), "step": (60, 150)}
SGDR = {"lowest": 1e-6, "period": 10, "multiplier": 2}
FGE_LOWEST = 1e-4  # Garipov et al.'s default
AVERAGED_FROM = 160  # swa and fge: epoch after which they gather networks
CURVE_SNAPSHOTS = (20, 40, 60, 80)  # epochs of Figure 1
POINT = re.compile(r"(?P<mode>[A-Za-z]+)(?P<next>\+1)?(@(?P<epoch>\d+))?")


def parse_point(text: str) -> tuple[str, bool, int | None] | None:
    """Return mode, whether of the next seed, and epoch of a point; None for a directory.

    Raises:
      ValueError: neither a mode nor a path.
    """
    if "/" in text:
        return None
    match = POINT.fullmatch(text)
    if not match or match["mode"] not in MODES:
        raise ValueError(
            f"unknown point {text!r}; a point is one of {', '.join(MODES)}, with +1 for the next "
            "seed and @epoch for an epoch kept, such as sgdr@70, or a directory with a / in it"
        )
    return match["mode"], bool(match["next"]), int(match["epoch"]) if match["epoch"] else None


def modes_of(points: Iterable[str | None]) -> set[str]:
    """Return the modes that points belong to; a directory belongs to none."""
    parsed = [parse_point(point) for point in points if point is not None]
    return {point[0] for point in parsed if point is not None}


def kept_epochs(mode: str, cycle_epochs: int | None = None) -> list[int]:
    """Return the epochs whose iterates a mode keeps; its last one always."""
    kept = {
        "sgdr": [*range(10, EPOCHS, 10)],
        "step": [55, 65, 145, 155, 165],
        "swa": [*range(AVERAGED_FROM + 5, EPOCHS, 5)],
    }.get(mode, [])
    if mode == "fge":
        kept = middles(cycle_epochs)
    return [*(epoch for epoch in kept if epoch < EPOCHS), EPOCHS]


def middles(cycle_epochs: int) -> list[int]:
    """Return the epochs in the middle of FGE's cycles, where the rate is lowest."""
    return [*range(AVERAGED_FROM + cycle_epochs // 2, EPOCHS + 1, cycle_epochs)]


def curve_epochs_kept(curve_epochs: int) -> list[int]:
    """Return the epochs at which a curve's nodes are kept: Figure 1's, and its last."""
    return [*(epoch for epoch in CURVE_SNAPSHOTS if epoch < curve_epochs), curve_epochs]


def scaled(epoch: int, scale: float) -> int:
    """Return an epoch of the paper in a run scaled by --epoch_scale.

    Raises:
      ValueError: it is no whole number of epochs there.
    """
    exact = epoch * scale
    if not 0.5 < exact < 2**53 or abs(exact - round(exact)) > 1e-6:
        raise ValueError(
            f"--epoch_scale={scale:g} makes epoch {epoch} {exact:g}, which is not whole; "
            "choose another, such as 0.2"
        )
    return round(exact)
