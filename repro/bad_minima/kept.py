"""Weights kept on the way, with --keep_weights=N: files, and their distances and norms."""

import dataclasses
from collections.abc import Callable, Mapping

import keras
from etils import epath

from repro.training import snapshots
from repro.training.runs import Job

MEASURED = ("distance", "norms")  # of the measures of a run, what is measured of kept weights


@dataclasses.dataclass
class Kept:
    """What a run keeps of its weights, and measures of them, every so many epochs.

    Files are checkpoints/epoch_E.npz, all of the network's arrays in their order: weights and batch
    norm's moving statistics.

    Attributes:
      job, network: the run and what it trains.
      every, epochs: keep after each multiple of `every`, and after the last epoch.
      eval_every: epochs between two evaluations, in whose rows distances and norms stand anyway.
      measures: name -> function of nothing that returns quantities by name, see MEASURED.
    """

    job: Job
    network: keras.Model
    every: int
    epochs: int
    eval_every: int
    measures: Mapping[str, Callable[[], Mapping]]

    def now(self, epoch: int) -> bool:
        """Whether weights are kept after this epoch; the start is checkpoints/initial."""
        return epoch > 0 and (epoch % self.every == 0 or epoch == self.epochs)

    def keep(self, epoch: int) -> None:
        """Write the present weights if it is time to."""
        if self.now(epoch) and self.job.directory.chief:
            snapshots.write_arrays(file(self.job.checkpoints, epoch), *self.network.get_weights())

    def row(self, epoch: int) -> dict[str, float]:
        """Return `distance/...` and `norms/...` of the weights that are kept after this epoch."""
        evaluated = epoch % self.eval_every == 0 or epoch == self.epochs
        if evaluated or not self.now(epoch):
            return {}
        return {
            f"{name}/{quantity}": value
            for name in MEASURED
            for quantity, value in self.measures[name]().items()
        }


def file(checkpoints: epath.Path, epoch: int) -> epath.Path:
    """Return where a run keeps the weights that it had after an epoch."""
    return checkpoints / f"epoch_{epoch}.npz"


def load(network: keras.Model, checkpoints: epath.Path, epoch: int) -> None:
    """Give a network the weights that a run kept after an epoch.

    Raises:
      ValueError: there are none, or they are damaged; the message says which there are.
    """
    there = file(checkpoints, epoch)
    if not there.exists():
        epochs = sorted(int(f.stem[6:]) for f in checkpoints.glob("epoch_*.npz"))
        kept = f"kept are those after {', '.join(map(str, epochs))}" if epochs else "none are"
        raise ValueError(
            f"{checkpoints.parent} has no weights of epoch {epoch}: {kept}; --keep_weights=N keeps "
            "those after every N epochs"
        )
    kept = snapshots.read_unnamed(there)
    if [array.shape for array in kept] != [tuple(weight.shape) for weight in network.weights]:
        raise ValueError(f"{there} holds weights of another network")
    network.set_weights(kept)
