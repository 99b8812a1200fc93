"""What figures, tables and claims of Liu et al. 2020 share: settings, gaps, seeds."""

from collections.abc import Callable, Sequence

import numpy as np

from repro.reporting import statistics
from repro.reporting.claims import SEEDS, Finding, ended, of_seeds, undecided
from repro.reporting.results import Run, distinct
from repro.reporting.statistics import Estimate

HEURISTICS = {"augment": "augment", "weight_decay": "l2", "momentum": "momentum"}  # -> shown as
INITS = ("random", "adversarial")
SETTINGS = {  # setting, start -> name and colour in figures
    ("vanilla", "random"): ("vanilla, random start", "C0"),
    ("vanilla", "adversarial"): ("vanilla, adversarial start", "C3"),
    ("SOTA", "random"): ("SOTA, random start", "C2"),
    ("SOTA", "adversarial"): ("SOTA, adversarial start", "C1"),
}
TRIALS = 5  # seeds of the paper's own experiments, which verdicts on these need as well
EPOCHS = 350  # of the authors' trainings
AUTHORS_WAY = {  # not the JAX rerun's, nor SAM's; and no run made once more to be looked at
    "shuffle": True,
    "batch_statistics": False,
    "sam_rho": None,
    "initializer": None,
    "keep_weights": None,
    "curvature_at_end": None,
    "curvature_every": None,
}
# What two runs share that are compared, whatever they start from.
ALIKE = (
    "model",
    "width",
    "dataset",
    "train_split",
    "test_split",
    "train_examples",
    "epochs",
    "batch_size",
    "learning_rate",
    "precision",
    "augment",
    "weight_decay",
    "momentum",
)


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
        run
        for run in runs
        if run.settings.get("stage", "train") == "train"
        and run.result["status"] == "complete"
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


def grouped(runs: Sequence[Run], names: Sequence[str]) -> dict[tuple, list[Run]]:
    """Return runs by the values of some settings."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run.settings[name] for name in names), []).append(run)
    return groups


def networks(runs: Sequence[Run], kind: str) -> dict[str, dict[int, list[tuple[Run, Run]]]]:
    """Return network and dataset -> copies R -> pairs of (random start, adversarial start).

    Of several trainings of a network, the longest count: gaps at the end are asked for. Starts are
    the paper's, with a share of the entries black, from the training images themselves.
    """
    found: dict[tuple, dict[int, list[tuple[Run, Run]]]] = {}
    starts = [
        run
        for run in of(runs, kind, "adversarial", zero_unit="entries", pretrain_split=None)
        if run.settings["zero_out"]
    ]
    for run in starts:
        key = _alike(run), run.settings["zero_out"]
        plain = [
            other
            for other in of(runs, kind, "random")
            if other.settings["seed"] == run.settings["seed"] and _alike(other) == key[0]
        ]
        if plain:
            by_copies = found.setdefault(key, {})
            by_copies.setdefault(run.settings["replicas"], []).append((plain[0], run))
    best: dict[str, dict[int, list[tuple[Run, Run]]]] = {}
    for by_copies in found.values():
        settings = by_copies[max(by_copies)][0][0].settings
        name = f"{settings['model']} on {settings['dataset']}"
        if name not in best or _epochs(by_copies) > _epochs(best[name]):
            best[name] = by_copies
    return best


def _alike(run: Run) -> tuple:
    values = [run.settings.get(name) for name in ALIKE]
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _epochs(by_copies: dict[int, list[tuple[Run, Run]]]) -> tuple[int, int]:
    hardest = by_copies[max(by_copies)]
    return hardest[0][0].settings["epochs"], len(hardest)


def diverged(runs: Sequence[Run]) -> list[Run]:
    """Return the runs whose loss was not finite in the end; `of` and `pairs` leave them out."""
    return [run for run in runs if run.result["status"] == "diverged"]


def cut_short(run: Run, all_of_it: bool = False) -> bool:
    """Whether a run had less than the authors' epochs and does not fit its training set.

    `all_of_it`: it is asked to fit all of it, so that 99 % are not enough.
    """
    accuracy = None if all_of_it else run.result["train_accuracy"]
    return not ended(accuracy, run.settings["epochs"] >= EPOCHS)


def start_cut_short(run: Run) -> bool:
    """Whether the pre-training of a run's start, which is to fit all, ended at a small budget."""
    stage, budget = run.result["pretraining"], run.settings["pretrain_epochs"]
    return not ended(None, stage["epochs"] < budget or budget >= EPOCHS)


def shortened(runs: Sequence[Run], all_of_it: bool = False) -> str:
    """Say which of runs were cut short, and where; empty where none was."""
    short = [run for run in runs if cut_short(run, all_of_it)]
    if not short:
        return ""
    accuracies = [run.result["train_accuracy"] for run in short]
    epochs = " or ".join(map(str, sorted(distinct(short, "epochs"))))
    return (
        f"cut short: {min(accuracies):.0%} to {max(accuracies):.0%} of the training set "
        f"right after {epochs} of the authors' {EPOCHS} epochs"
    )


def settled(finding: Finding, least: int = SEEDS) -> Finding:
    """Return a finding on where trainings end: undecided where they are cut short or too few."""
    return of_seeds(undecided(finding, shortened(finding.runs)), least)


def gap(pair: tuple[Run, Run]) -> float:
    """Return what the second run of a pair loses in test accuracy."""
    return pair[0].result["test_accuracy"] - pair[1].result["test_accuracy"]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation over seeds; 0 for one seed."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), deviation


def losses(both: Sequence[tuple[Run, Run]]) -> Estimate:
    """Return what the second runs of pairs lose in test accuracy, with both errors.

    They are those of seeds (Student's) and of the test images.
    """
    first, second = zip(*both)
    return statistics.difference(statistics.test_accuracy(first), statistics.test_accuracy(second))


def compared(
    name: str,
    other: str,
    both: Sequence[tuple[Run, Run]],
    judge: Callable[[Estimate], str],
    tolerance: Callable[[Estimate, float], str] | None = None,
    margin: float = 0.0,
) -> Finding:
    """Judge what the second arm of pairs loses in test accuracy, in words and by `judge`.

    Args:
      name, other: of the arms.
      both: their runs side by side, one pair a seed.
      judge: estimate of the loss -> verdict.
      tolerance: the same for any margin, where the claim has one.
      margin: that of the claim.
    """
    first, second = (
        ", ".join(f"{run.result['test_accuracy']:.2%}" for run in side) for side in zip(*both)
    )
    loss = losses(both)
    words = f"{name} {first}, {other} {second}; first minus second {signed(loss)}"
    used = [run for pair in both for run in pair]
    sensitivity = None
    if tolerance is not None:
        sensitivity = statistics.sensitivity(lambda bound: tolerance(loss, bound), margin)
    return Finding(words, judge(loss), used, loss.method, sensitivity)


def no_difference(
    name: str, other: str, both: Sequence[tuple[Run, Run]], at_most: float
) -> Finding | None:
    """Judge that the test accuracies of two arms differ by no more than `at_most`."""
    if not both:
        return None
    tolerance = statistics.no_difference
    finding = compared(name, other, both, lambda loss: tolerance(loss, at_most), tolerance, at_most)
    return settled(finding)


def points(value: float) -> str:
    """Return a difference of accuracies in percentage points."""
    return f"{100 * value:+.2f}"


def signed(found: Estimate) -> str:
    """Return a difference of accuracies in points with its 95 % interval."""
    return f"{points(found.value)} ± {100 * found.half_width():.2f} points"
