"""Runs of mode connectivity that take seconds: a perceptron on 100 digits, few epochs."""

import dataclasses

import numpy as np
import pytest

from repro import launch
from repro.mode_connectivity.settings import STAGES
from repro.settings import Place, from_dict

QUICK = {
    "model": "mlp_1x512",
    "dataset": "digits",
    "train_examples": 100,
    "eval_examples": 50,
    "epoch_scale": 0.05,
    "batch_size": 50,
    "large_batch_size": 100,
    "eval_every": 100,
}


@pytest.fixture(scope="session")
def asked():
    """Return quick settings with some flags changed: asked("curve", **{"from": "G"})."""

    def settings(stage="evaluate", **changes):
        return from_dict(STAGES, {"stage": stage, **QUICK, **changes})

    return settings


@pytest.fixture(scope="session")
def make(asked):
    """Make a quick run in this process, as the binary does: make(output_dir, stage, **flags)."""

    def run(output_dir, stage="evaluate", **changes):
        place = Place(output_dir=str(output_dir), download=False)
        return launch.make(asked(stage, **changes), place)

    return run


@dataclasses.dataclass(frozen=True)
class Found:
    """A run's directory and what it holds."""

    path: object

    def arrays(self):
        with np.load(self.path / "arrays.npz") as arrays:
            return dict(arrays)

    def point(self, name):
        """Return the arrays of a point that is kept, such as `epoch_80/node_1`."""
        with np.load(self.path / "checkpoints" / f"{name}.npz") as arrays:
            return dict(arrays)


@pytest.fixture(scope="session")
def find():
    """Return the one run below an output directory whose name starts so."""

    def found(output_dir, start):
        (path,) = (output_dir / "mode_connectivity").glob(f"{start}-*")
        return Found(path)

    return found


@pytest.fixture(scope="session")
def evaluated(make, tmp_path_factory):
    """Curve and segment from G to A, made from nothing: (result, output directory)."""
    place = tmp_path_factory.mktemp("evaluated")
    return make(place, points=5).result(), place
