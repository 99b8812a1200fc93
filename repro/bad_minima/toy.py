"""Figure 1 of Liu et al. 2020: a bad minimum one can see, on two blobs in the plane.

    python -m repro.bad_minima --stage=toy

A 2-100-100-1 ReLU network, logistic loss, batches of 10, in four parts, the figure's panels:

* random_vanilla       from random weights, true labels, rate .01, mean loss, 1,000 epochs
* pretrained           from random weights, random labels, rate .003, sum loss, 100,000 epochs;
                       the rate falls by .3 when accuracy has not risen for 10,000 epochs
* adversarial_vanilla  from `pretrained`, true labels, rate .003, sum loss, 10,000 epochs
* adversarial_sota     from `pretrained`, true labels, every point with two jittered copies, L2 of
                       .1, momentum .9, rate .01, sum loss, 1,000 epochs

These are the settings of the authors' toy code. A loss summed over the batch is a rate ten times
as high: random_vanilla alone averages. Points, labels and first weights are drawn by --seed; the
authors' file of points cannot be drawn again, as the script beside it draws others.
"""

import dataclasses
import os

import numpy as np
from etils import epath

from repro.bad_minima import blobs, planar
from repro.bad_minima.settings import BATCH, Toy
from repro.training.resume import resume
from repro.training.runs import Job
from repro.training.snapshots import Snapshots, read_arrays

PATIENCE, RATE_DROP = 10_000, 0.3
COPIES, L2, MOMENTUM = 2, 0.1, 0.9  # of adversarial_sota
PIECE = 2_000  # epochs of a piece of work
ORDERS = 200  # streams of random numbers of the panels, apart from those of blobs.py and planar.py
GRID = (306, 201)  # columns and rows of the window: steps of 0.01


@dataclasses.dataclass(frozen=True)
class Panel:
    """One network: the panel it starts from, or none; what it learns, for how long, and how."""

    source: str | None
    data: tuple[np.ndarray, np.ndarray]  # points [n, 2], labels [n]
    epochs: int
    recipe: dict  # see planar.train


def run(settings: Toy, job: Job) -> dict:
    """Train the four panels' networks and return how far their boundaries are from straight."""
    points, truth = blobs.two_blobs(settings.per_class, settings.seed)
    random = blobs.coin_labels(len(points), settings.seed)
    panels = make_panels(settings, points, truth, random)
    store = Snapshots(job.checkpoints, {}, chief=job.directory.chief)

    def unfinished() -> str | None:
        """Return the first panel that is not trained to its end."""
        for name, panel in panels.items():
            now = planar.weights_of(store.state, name)
            if now is None or int(now["epoch"]) < panel.epochs:
                return name
        return None

    def piece(number, before):
        name = unfinished()
        panel = panels[name]
        now = planar.weights_of(store.state, name) or first_state(panel, store, settings.seed)
        key = [settings.seed, ORDERS + list(panels).index(name)]
        epochs = min(PIECE, panel.epochs - int(now["epoch"]))
        now = planar.train(now, panel.data, epochs, BATCH, key, panel.recipe)
        store.state = {**store.state, **{f"{name}/{key}": array for key, array in now.items()}}
        return {
            "epoch": number,
            "step": int(now["epoch"]),
            f"{name}/train_accuracy": planar.accuracy(now, *panel.data),
            f"{name}/learning_rate": float(now["rate"]),
        }

    resume(job, store, piece, finished=lambda row: unfinished() is None)
    trained = {name: planar.weights_of(store.state, name) for name in panels}
    maps = {name: draw_map(state) for name, state in trained.items()}
    job.directory.save_arrays(points=points, truth=truth, random=random, **maps)
    measured = {
        name: measure(settings, trained[name], panel, maps[name], maps["random_vanilla"])
        for name, panel in panels.items()
    }
    shares = [f"{name} {panel['disagreement_with_line']:.1%}" for name, panel in measured.items()]
    return {
        "status": "complete" if all(np.isfinite(m).all() for m in maps.values()) else "diverged",
        "panels": measured,
        "random_labels_that_are_true": float((random == truth).mean()),
        "summary": f"{', '.join(shares)} of the window on the wrong side",
        "protocol": (
            f"{len(points)} points, {settings.pretrain_epochs:,} epochs on random labels, then "
            f"{settings.fine_tune_epochs:,} (vanilla) or {settings.sota_epochs:,} (SOTA) on true "
            f"ones, seed {settings.seed}"
        ),
    }


def make_panels(
    settings: Toy, points: np.ndarray, truth: np.ndarray, random: np.ndarray
) -> dict[str, Panel]:
    """Return the four panels by name, in the order in which they are trained."""
    augmented = blobs.with_jittered_copies(points, truth, COPIES, settings.seed)
    slow, quick = {"rate": 0.003}, {"rate": 0.01}
    mean = {**quick, "mean": True}
    plateau = {**slow, "patience": PATIENCE, "rate_drop": RATE_DROP}
    sota = {**quick, "momentum": MOMENTUM, "l2": L2}
    true, start = (points, truth), "pretrained"
    return {
        "random_vanilla": Panel(None, true, settings.vanilla_epochs, mean),
        "pretrained": Panel(None, (points, random), settings.pretrain_epochs, plateau),
        "adversarial_vanilla": Panel(start, true, settings.fine_tune_epochs, slow),
        "adversarial_sota": Panel(start, augmented, settings.sota_epochs, sota),
    }


def first_state(panel: Panel, store: Snapshots, seed: int) -> dict[str, np.ndarray]:
    """Return a panel's state before its first epoch."""
    if panel.source is None:
        return planar.start(planar.initial_weights(seed), panel.recipe)
    return planar.start(planar.weights_of(store.state, panel.source), panel.recipe)


def draw_map(state: dict[str, np.ndarray]) -> np.ndarray:
    """Return a network's probability of label 1 over the window, float32 [rows, columns]."""
    return planar.probabilities(state, blobs.window_grid(*GRID)).reshape(GRID[::-1])


def measure(
    settings: Toy, state: dict, panel: Panel, drawn: np.ndarray, vanilla: np.ndarray
) -> dict[str, float]:
    """Return a network's accuracies, and the shares of the window where it is not as it should be.

    Args:
      settings: of the run.
      state: the trained network.
      panel: what it learnt.
      drawn: its map.
      vanilla: the map of `random_vanilla`.
    """
    straight = blobs.window_grid(*GRID)[:, 0] > blobs.CENTRE
    sides = drawn.ravel() > 0.5
    true = blobs.two_blobs(settings.per_class, settings.seed)
    test = blobs.two_blobs(settings.per_class, settings.seed, test=True)
    return {
        "train_accuracy": planar.accuracy(state, *panel.data),
        "true_accuracy": planar.accuracy(state, *true),
        "test_accuracy": planar.accuracy(state, *test),
        "disagreement_with_line": float((sides != straight).mean()),
        "disagreement_with_random_vanilla": float((sides != (vanilla.ravel() > 0.5)).mean()),
    }


def read_state(path: os.PathLike, panel: str) -> dict[str, np.ndarray]:
    """Return the network of a panel as a complete run left it.

    Raises:
      ValueError: the run left no network, as in outputs/reference.
    """
    file = epath.Path(path) / "checkpoints" / "final.npz"
    if not file.exists():
        raise ValueError(f"{path} left no network behind: there is no checkpoints/final.npz")
    return planar.weights_of(read_arrays(file), panel)
