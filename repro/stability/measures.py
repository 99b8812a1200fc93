"""What the figures and claims of Wu, Ma, E 2018 take from runs of repro.stability."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from repro import files
from repro.reporting.claims import ended
from repro.reporting.results import Run, read_columns, select

PUBLISHED = Path(__file__).parent / "published"

# Table 2 (poster, and the authors' published results beyond 0.5): eta -> sharpness of GD solutions,
# its deviation over 5 seeds, test accuracy in percent. The non-uniformity of the same, and its
# deviation, are among those results. On CIFAR-10 rates of 1 and 5 diverge.
TABLE2 = {
    "fashion_mnist": {
        0.01: (53.5, 4.3, 80.36),
        0.05: (39.3, 0.5, 79.89),
        0.1: (19.6, 0.15, 80.13),
        0.5: (3.857, 0.025, 80.47),
        1.0: (1.925, 0.024, 80.79),
        5.0: (0.3968, 0.0022, 81.02),
    },
    "cifar10": {
        0.01: (198.9, 0.6, 87.49),
        0.05: (39.8, 0.2, 87.97),
        0.1: (19.8, 0.1, 88.16),
        0.5: (3.6, 0.4, 86.56),
    },
}
TABLE2_NONUNIFORMITY = {
    "fashion_mnist": {0.1: (45.0, 2.1)},
    "cifar10": {0.01: (341.9, 29), 0.05: (110.8, 14), 0.1: (61.1, 6.5), 0.5: (20.3, 12)},
}
TABLE2_DIVERGES = {"cifar10": (1.0, 5.0)}
SHARPNESS = "train/sharpness"  # along training, --curvature_every
OWN = {"fashion_mnist": ("fnn", 1000), "cifar10": ("vgg_small", 1000)}  # the paper's
TRIALS = 5  # seeds of Table 2 and of the published results
STOP_LOSS = 1e-4  # the paper's; a larger one is not its rule
# How settings begin that say what is looked at on the way and at the end, and change no weight.
LOOKS = ("curvature", "test_split", "measure_every", "tolerance", "max_iterations")
LEFT = 100  # times the loss of a minimum: it has been left
ON_WRONG_LABELS = 5e-4  # its own there, and on the true labels that it compares with them
# The course project: dataset -> train and test accuracy in percent, sharpness, non-uniformity.
COURSE_PROJECT = {"fashion_mnist": (99.9, 80.4, 19.9, 40.4), "cifar10": (100.0, 88.9, 19.2, 53.0)}
# The p of s ~ a^p and Pearson's r, over 116 networks and over 200.
POWERS = {"fashion_mnist": (0.78, 0.981), "cifar10": (0.82, 0.988)}


def of_the_paper(runs: Iterable[Run]) -> list[Run]:
    """Leave out runs of other networks and numbers of images than the paper has for their data.

    Its numbers are those of its own. Where the data is not the paper's either, all runs stay.
    """
    names = ("model", "train_examples")
    return [
        run
        for run in runs
        if (own := OWN.get(run.settings.get("dataset"))) is None
        or tuple(run.settings[name] for name in names) == own
    ]


def trained(runs: Iterable[Run], **settings) -> list[Run]:
    """Return the training runs with these settings that ended at a measured network, each once."""
    return [run for run in tried(runs, **settings) if run.result["sharpness"] is not None]


def tried(runs: Iterable[Run], **settings) -> list[Run]:
    """Return the training runs with these settings, those that diverged too.

    Runs that are made once more to be looked at along or at the end are left out: they are the same
    networks, and would count twice.
    """
    return select(runs, stage="train", curvature_every=None, curvature_at_end=None, **settings)


def watched(runs: Iterable[Run]) -> list[Run]:
    """Return the training runs without momentum whose sharpness was measured along the way."""
    chosen = select(runs, stage="train", momentum=0.0, wrong_examples=0)
    return [run for run in chosen if len(measured(run, SHARPNESS)) > 1]


def noise(run: Run) -> dict | None:
    """Return what was measured of SGD's noise, in the run or by tools/measure; None: nothing."""
    if "noise" in run.result:
        return run.result["noise"]
    file = run.path / "measure.json"
    return json.loads(files.read(file)).get("noise") if file.exists() else None


def noisy(runs: Iterable[Run]) -> list[Run]:
    """Return the runs of SGD without momentum to the stopping rule whose noise was measured."""
    chosen = select(runs, stage="train", momentum=0.0, wrong_examples=0)
    return [run for run in chosen if run.result["fitted"] and noise(run) and not is_gd(run)]


def plain(runs: Iterable[Run], **settings) -> list[Run]:
    """Return `trained` runs without momentum and on true labels."""
    return trained(runs, momentum=0.0, wrong_examples=0, **settings)


def solutions(runs: Iterable[Run], **settings) -> list[Run]:
    """Return `plain` runs that met the stopping rule, or had none and fit 99 % of the examples."""
    return [run for run in plain(runs, **settings) if is_solution(run)]


def is_solution(run: Run) -> bool:
    """Whether a run ended at a global minimum, as far as its protocol can say."""
    unlimited = run.settings["stop_loss"] == 0
    return run.result["fitted"] or (unlimited and run.result["train_accuracy"] >= 0.99)


def to_the_rule(run: Run, loss: float = STOP_LOSS) -> bool:
    """Whether a run met the paper's stopping rule, as claims on where trainings end ask for.

    To fit 99 % of the examples is not enough here: sharpness goes on changing after it.
    """
    if run.settings["wrong_examples"]:
        loss = ON_WRONG_LABELS
    return ended(None, 0 < run.settings["stop_loss"] <= loss and run.result["fitted"])


def unfinished(runs: Iterable[Run], loss: float = STOP_LOSS) -> str:
    """Say how many of runs did not meet the paper's stopping rule; empty where all did."""
    short = [run for run in runs if not to_the_rule(run, loss)]
    return f"{len(short)} not to the paper's stopping rule" if short else ""


def published(figure: str, runs: Sequence[Run] = ()) -> dict[str, np.ndarray]:
    """Return the published numbers of a figure by column; published/README.md has their source.

    They are those of the data that all runs are on; without runs, of Fashion-MNIST. Beside other
    runs there are none, the columns are empty.
    """
    names = {run.settings["dataset"] for run in runs} or {"fashion_mnist"}
    ends = ["" if name == "fashion_mnist" else f"_{name}" for name in sorted(names)]
    file = PUBLISHED / f"{figure}{''.join(ends)}.csv"
    known = len(names) == 1 and file.exists()
    columns = read_columns(file if known else PUBLISHED / f"{figure}.csv")
    return {name: np.array(values if known else []) for name, values in columns.items()}


def networks(runs: Iterable[Run]) -> list[Run]:
    """Return the solutions without momentum, on wrong labels too, each network once.

    Of a training and those that were made once more to look at it the first counts at which
    Theorem 1's operator was measured.
    """
    found = {}
    chosen = select(runs, stage="train", momentum=0.0)
    for run in sorted(chosen, key=lambda run: (theorem1(run) is None, _looked_at(run))):
        if run.result["sharpness"] is not None and is_solution(run):
            found.setdefault(_training(run), run)
    return list(found.values())


def operators(runs: Iterable[Run]) -> list[Run]:
    """Return the `networks` at which Theorem 1's operator was measured."""
    return [run for run in networks(runs) if theorem1(run)]


def _training(run: Run) -> str:
    """Return the settings that decide where a run ends, as text."""
    idle = LOOKS if run.settings["stop_loss"] == 0 else (*LOOKS, "iterations")  # the rule ended it
    return repr(sorted((k, v) for k, v in run.settings.items() if not k.startswith(idle)))


def _looked_at(run: Run) -> bool:
    return any(run.settings.get(name) for name in ("curvature_every", "curvature_at_end"))


def theorem1(run: Run) -> float | None:
    """Return the largest eigenvalue of Theorem 1's operator; None: it was not measured."""
    found = run.result.get("theorem1")
    return found and found["value"]


def escapes(
    runs: Iterable[Run],
    *,
    start_optimizer: str | None = None,
    start_batch_size: int | None = None,
    **settings,
) -> list[Run]:
    """Return the escapes with these settings: from minima of GD, unless another start is named."""
    start = {"start_optimizer": start_optimizer, "start_batch_size": start_batch_size}
    return select(runs, stage="escape", **start, **settings)


def departures(runs: Iterable[Run]) -> list[tuple[Run, float, float]]:
    """Return how soon minima of GD were left by GD at one rate whose every step was measured.

    Rows are (run, a eta / 2 at the start by the new rate, steps until the loss is LEFT times that
    of the start), steps infinite where it stayed. Of several rates the first one counts.
    """
    found = []
    chosen = escapes(runs, measure_every=1, wrong_examples=0)
    for run in select(chosen, learning_rate=chosen[0].settings["learning_rate"]) if chosen else []:
        rows = measured(run, "train/loss")
        sharp = measured(run, "curvature/sharpness")
        if not rows or not sharp or not is_gd(run):
            continue
        gone = [row["step"] for row in rows if row["train/loss"] >= LEFT * rows[0]["train/loss"]]
        share = sharp[0]["curvature/sharpness"] * run.settings["learning_rate"] / 2
        found.append((run, share, gone[0] if gone else np.inf))
    return found


def is_gd(run: Run) -> bool:
    """Whether a run took all examples at every step."""
    return run.settings["batch_size"] == run.result["train_examples"]


def measured(run: Run, quantity: str) -> list[dict]:
    """Return the rows of metrics that have a quantity, such as `curvature/sharpness`.

    Those of an escape's way to its start have none of what is measured after the switch.
    """
    return [row for row in run.metrics if quantity in row]


def curve(run: Run, quantity: str) -> tuple[list[int], list[float]]:
    """Return the steps at which a quantity was measured, of an escape after the switch; values."""
    rows = measured(run, quantity)
    return [row["step"] for row in rows], [row[quantity] for row in rows]


def a(run: Run) -> float:
    """Return the sharpness."""
    return run.result["sharpness"]["value"]


def s(run: Run) -> float:
    """Return the non-uniformity."""
    return run.result["nonuniformity"]["value"]


def test_accuracy(run: Run) -> float:
    """Return the share of the test images that are classified rightly."""
    return run.result["test_accuracy"]


def bound(run: Run) -> float:
    """Return the bound on s, sqrt(B (n - 1) / (n - B)) / eta, infinite for GD."""
    n, batch = run.result["train_examples"], run.settings["batch_size"]
    if batch == n:
        return np.inf
    return np.sqrt(batch * (n - 1) / (n - batch)) / run.settings["learning_rate"]


def grouped(runs: Iterable[Run], setting: str) -> dict:
    """Return runs by the value of a setting, by rising value."""
    groups = {}
    for run in sorted(runs, key=lambda run: run.settings[setting]):
        groups.setdefault(run.settings[setting], []).append(run)
    return groups


def tail(run: Run, quantity: str) -> float:
    """Return the mean of a quantity over the last third of a run: SGD moves about to the end."""
    steps, values = curve(run, quantity)
    return float(np.mean([v for step, v in zip(steps, values) if step >= 2 / 3 * steps[-1]]))


def mean(runs: Sequence[Run], value) -> tuple[float, float]:
    """Return mean and standard deviation over runs; NaN for the deviation of one."""
    values = [value(run) for run in runs]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def exponent(runs: Sequence[Run]) -> tuple[float, float]:
    """Return the p of the fit s ~ a^p, by least squares of logarithms, and Pearson's r of a, s."""
    x, y = np.array([a(run) for run in runs]), np.array([s(run) for run in runs])
    return float(np.polyfit(np.log(x), np.log(y), 1)[0]), float(np.corrcoef(x, y)[0, 1])


def plus_minus(value: float, deviation: float, digits: int = 3) -> str:
    """Return `value ± deviation` with so many significant digits."""
    text = f"{value:#.{digits}g}".rstrip(".")
    return text if np.isnan(deviation) else f"{text} ± {deviation:.2g}"
