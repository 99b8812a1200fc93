"""What figures, tables and claims of Liu et al. 2020 share: settings, gaps, seeds."""

from collections.abc import Sequence

import numpy as np

from repro.reporting.claims import INCONCLUSIVE, Finding, accuracy_error, within
from repro.reporting.results import Run

HEURISTICS = {"augment": "augment", "weight_decay": "l2", "momentum": "momentum"}  # -> shown as
INITS = ("random", "adversarial")
SEEDS = 3  # fewer decide no claim on how training ends
FITTED = 0.999  # train accuracy
EPOCHS = 350  # of the authors' trainings
AUTHORS_WAY = {"shuffle": True, "batch_statistics": False}  # not the JAX rerun's


def heuristics(run: Run) -> tuple[bool, bool, bool]:
    """Return which of augmentation, L2 and momentum a run has."""
    return tuple(bool(run.settings[name]) for name in HEURISTICS)


def setting(run: Run) -> str:
    """Return `vanilla`, `SOTA`, or the names of the heuristics that are on."""
    on = heuristics(run)
    if not any(on):
        return "vanilla"
    return "SOTA" if all(on) else " + ".join(n for n, o in zip(HEURISTICS.values(), on) if o)


def of(runs: Sequence[Run], kind: str | None = None, init: str | None = None, **settings):
    """Return the complete runs of a setting and a start, as the authors train, by seed."""
    wanted = {**AUTHORS_WAY, **settings}
    chosen = [
        run for run in runs
        if run.result["status"] == "complete"
        and run.settings["epochs"] > 0
        and kind in (None, setting(run))
        and init in (None, run.settings["init"])
        and not run.settings["reset_batch_norm"]
        and all(run.settings.get(name) == value for name, value in wanted.items())
    ]
    return sorted(chosen, key=lambda run: run.settings["seed"])


def by_seed(*groups: Sequence[Run]) -> list[tuple[Run, ...]]:
    """Return the runs of the groups side by side, one tuple for every seed all of them have."""
    by = [{run.settings["seed"]: run for run in group} for group in groups]
    return [
        tuple(group[seed] for group in by) for seed in by[0] if all(seed in group for group in by)
    ]


def pairs(runs: Sequence[Run], kind: str, **settings) -> list[tuple[Run, Run]]:
    """Return (random start, adversarial start) of the same setting and seed."""
    return by_seed(*(of(runs, kind, init, **settings) for init in INITS))


def diverged(runs: Sequence[Run]) -> list[Run]:
    """Return the runs whose loss was not finite in the end; `of` and `pairs` leave them out."""
    return [run for run in runs if run.result["status"] == "diverged"]


def cut_short(run: Run) -> bool:
    """Whether a run neither fitted its training set nor had the authors' number of epochs."""
    return run.result["train_accuracy"] < FITTED and run.settings["epochs"] < EPOCHS


def start_cut_short(run: Run) -> bool:
    """Whether that is so of the pre-training of a run's start."""
    stage, budget = run.result["pretraining"], run.settings["pretrain_epochs"]
    return stage["train_accuracy"] < FITTED and stage["epochs"] == budget < EPOCHS


def decided(outcome: str, runs: Sequence[Run]) -> str:
    """Return a verdict on trainings, inconclusive where fewer than SEEDS seeds stand behind it."""
    seeds = {run.settings["seed"] for run in runs}
    return outcome if len(seeds) >= SEEDS else INCONCLUSIVE


def gap(pair: tuple[Run, Run]) -> float:
    """Return what the second run of a pair loses in test accuracy."""
    return pair[0].result["test_accuracy"] - pair[1].result["test_accuracy"]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation over seeds; 0 for one seed."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), deviation


def average(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over seeds and its standard error; 0 for one seed."""
    mean, deviation = spread(values)
    return mean, deviation / len(values) ** 0.5


def losses(both: Sequence[tuple[Run, Run]]) -> tuple[float, float]:
    """Return what the second runs of pairs lose in test accuracy on average, and its error.

    The standard error is the larger of two: that over seeds, and that of the test set, which all
    seeds share, so that more seeds do not lower it.
    """
    loss, error = average([gap(pair) for pair in both])
    return loss, max(error, *(accuracy_error(*pair) for pair in both))


def compared(
    name: str, other: str, both: Sequence[tuple[Run, Run]]
) -> tuple[str, tuple[float, float]]:
    """Return in words, and as mean and standard error, what the second arm loses by seed."""
    first, second = (
        ", ".join(f"{run.result['test_accuracy']:.2%}" for run in side) for side in zip(*both)
    )
    loss, error = losses(both)
    words = f"{name} {first}, {other} {second}"
    if len(both) > 1:
        words += f"; first minus second {points(loss)} ± {100 * error:.2f} points"
    return words, (loss, error)


def no_difference(
    name: str, other: str, both: Sequence[tuple[Run, Run]], at_most: float
) -> Finding | None:
    """Judge that the test accuracies of two arms differ by no more than `at_most`."""
    if not both:
        return None
    measured, (loss, error) = compared(name, other, both)
    used = [run for pair in both for run in pair]
    return Finding(measured, decided(within(abs(loss), at_most, error), used), used)


def points(value: float) -> str:
    """Return a difference of accuracies in percentage points."""
    return f"{100 * value:+.2f}"

