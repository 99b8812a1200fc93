"""Points of weight space as runs keep them on disk, and how others come by them.

An endpoint keeps checkpoints/epoch_E.npz, one for each epoch of names.kept_epochs, and swa
checkpoints/average.npz; a curve keeps the nodes checkpoints/epoch_E/node_K.npz.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from etils import epath

from repro.landscape import curves
from repro.mode_connectivity.mode_settings import Modes
from repro.mode_connectivity.names import EPOCHS, kept_epochs, parse_point
from repro.mode_connectivity.settings import Curve, Endpoint
from repro.training import snapshots
from repro.training.runs import Job

AVERAGE = "average"


def save_point(file: epath.Path, point: Sequence[np.ndarray]) -> None:
    """Write a point of weight space, whole or not at all."""
    snapshots.write_arrays(file, *point)


def load_point(file: epath.Path) -> list[np.ndarray]:
    """Read what save_point wrote.

    Raises:
      ValueError: there is none, as where training diverged, or it is damaged.
    """
    if not file.exists():
        raise ValueError(
            f"{file} is missing: the run diverged before it, or its weights were thrown away, as "
            "in outputs/reference"
        )
    return snapshots.read_unnamed(file)


def iterate_file(checkpoints: epath.Path, epoch: int) -> epath.Path:
    """Return where an endpoint keeps an epoch's iterate, in its folder of checkpoints."""
    return checkpoints / f"epoch_{epoch}.npz"


def average_file(checkpoints: epath.Path) -> epath.Path:
    """Return where swa keeps the average of its iterates."""
    return checkpoints / f"{AVERAGE}.npz"


def node_file(checkpoints: epath.Path, epoch: int, number: int) -> epath.Path:
    """Return where a curve keeps one of its nodes at an epoch."""
    return checkpoints / f"epoch_{epoch}" / f"node_{number}.npz"


def load_curve(
    checkpoints: epath.Path, curve: Curve, epoch: int | None = None
) -> curves.Bezier | curves.Polychain:
    """Return what a run of stage curve keeps in its folder, at an epoch; None: at its end."""
    epoch = curve.curve_epochs if epoch is None else epoch
    nodes = [load_point(node_file(checkpoints, epoch, n)) for n in range(curve.bends + 2)]
    return curves.CURVES[curve.curve](nodes)


# --- points of runs that are made where they are missing ------------------------------------------


def load(settings: Modes, job: Job, text: str) -> list[np.ndarray]:
    """Return the weights of a point, training its mode where it is not there yet.

    `swa` without an epoch is its average.
    """
    parsed = parse_point(text)
    if parsed is None:
        return load_point(iterate_file(epath.Path(text) / "checkpoints", EPOCHS))
    mode, following, epoch = parsed
    checkpoints = _endpoint(settings, job, mode, following)
    if mode == "swa" and epoch is None:
        return load_point(average_file(checkpoints))
    return load_point(iterate_file(checkpoints, epoch or EPOCHS))


def check(network: keras.Model, named: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Raise ValueError where points, by how they are named, are not a network's."""
    own = [tuple(variable.shape) for variable in network.trainable_variables]
    for text, point in named.items():
        if [array.shape for array in point] != own:
            raise ValueError(
                f"{text} holds weights of another network than this run's: their shapes differ"
            )


def trajectory(
    settings: Modes, job: Job, mode: str, following: bool, until: int = EPOCHS
) -> tuple[list[int], list]:
    """Return epochs and iterates that a mode, or that of the next seed, keeps up to an epoch."""
    epochs = [epoch for epoch in kept_epochs(mode, settings.cycle_epochs) if epoch <= until]
    checkpoints = _endpoint(settings, job, mode, following)
    return epochs, [load_point(iterate_file(checkpoints, epoch)) for epoch in epochs]


def curve_of(job: Job, curve: Curve, epoch: int | None = None) -> curves.Bezier | curves.Polychain:
    """Return a curve as it is after an epoch, None: after its last, trained where it is missing."""
    return load_curve(job.need(curve).path / "checkpoints", curve, epoch)


def _endpoint(settings: Modes, job: Job, mode: str, following: bool) -> epath.Path:
    """Return the folder of checkpoints of a mode, or of that of the next seed."""
    asked = settings.of_stage(Endpoint, mode=mode, seed=settings.seed + following)
    return job.need(asked).path / "checkpoints"
