"""Tables of Wu, Ma, E 2018 and of seed 001, the published numbers beside ours."""

from collections.abc import Sequence

from repro.reporting.results import Run, distinct, protocol
from repro.reporting.tables import Table, percent
from repro.reporting.wu_measures import (
    SEED_001,
    TABLE2,
    a,
    grouped,
    is_gd,
    mean,
    plain,
    plus_minus,
    s,
)


def table2(runs: Sequence[Run]) -> Table:
    """Sharpness of the minima that GD finds, by learning rate."""
    rows = []
    for name in distinct(runs, "dataset"):
        chosen = [run for run in plain(runs, dataset=name) if is_gd(run)]
        for eta, group in grouped(chosen, "learning_rate").items():
            sharp, spread, accuracy = TABLE2.get(name, {}).get(eta, (None, None, None))
            margin = mean(group, lambda run: run.result["sharpness_margin"])[0]
            rows.append([
                name, f"{eta:g}", f"{2 / eta:g}", plus_minus(*mean(group, a)),
                f"{sharp:g} ± {spread:g}" if sharp else "–", f"{margin:.3f}",
                plus_minus(*mean(group, s)), percent(mean(group, _test)[0]),
                f"{accuracy:.2f}" if accuracy else "–", str(len(group)),
            ])  # fmt: skip
    columns = [
        "data", "η", "2/η", "sharpness", "published", "aη/2", "non-uniformity", "test %",
        "published", "seeds",
    ]  # fmt: skip
    return Table(columns, rows, f"GD; ± is the deviation over seeds. {protocol(runs)}.")


def seed_001(runs: Sequence[Run]) -> Table:
    """Seed 001's four numbers for each dataset beside ours, GD at a learning rate of 0.1."""
    rows = []
    for name, published in SEED_001.items():
        chosen = [run for run in plain(runs, dataset=name, learning_rate=0.1) if is_gd(run)]
        rows.append([f"{name}, seed 001", *(f"{value:g}" for value in published)])
        if chosen:
            accuracies = [percent(mean(chosen, f)[0]) for f in (_train, _test)]
            measures = [plus_minus(*mean(chosen, f)) for f in (a, s)]
            rows.append([f"{name}, ours ({len(chosen)} seeds)", *accuracies, *measures])
    columns = ["", "train %", "test %", "sharpness", "non-uniformity"]
    note = (
        "The rerun stopped power iteration after 10 steps, which leaves its non-uniformity low; "
        f"ours is converged to its residual. {protocol(runs)}."
    )
    return Table(columns, rows, note)


def _test(run: Run) -> float:
    return run.result["test_accuracy"]


def _train(run: Run) -> float:
    return run.result["train_accuracy"]


TABLES = {"wu_table2": table2, "wu_seed": seed_001}
