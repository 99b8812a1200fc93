"""Tables of Wu, Ma, E 2018 and of the course project that reran it, published beside ours."""

from collections.abc import Sequence

import numpy as np

from repro.reporting.results import Run, protocol
from repro.reporting.tables import Table, percent
from repro.stability.measures import (
    COURSE_PROJECT,
    TABLE2,
    TABLE2_DIVERGES,
    TABLE2_NONUNIFORMITY,
    a,
    bound,
    grouped,
    is_gd,
    mean,
    operators,
    plain,
    plus_minus,
    s,
    test_accuracy,
    tried,
)
from repro.stability.measures import theorem1 as largest_eigenvalue


def table2(runs: Sequence[Run]) -> Table:
    """Sharpness and non-uniformity of the minima that GD finds, by learning rate."""
    rows, of_gd = [], [r for r in tried(runs, momentum=0.0, wrong_examples=0) if is_gd(r)]
    for name, of_data in grouped(of_gd, "dataset").items():
        for eta, all_of_it in grouped(of_data, "learning_rate").items():
            group = plain(all_of_it)
            accuracy = TABLE2.get(name, {}).get(eta, (None,) * 3)[2]
            ours = ["–"] * 6
            if group:
                margin = mean(group, lambda run: run.result["sharpness_margin"])[0]
                ours = [
                    plus_minus(*mean(group, a)),
                    f"{margin:.3f}",
                    plus_minus(*mean(group, s)),
                    _largest_eigenvalue(group),
                    percent(mean(group, test_accuracy)[0]),
                    _ended(group),
                ]
            lost = sum(run.result["status"] == "diverged" for run in all_of_it)
            rows.append(
                [
                    name,
                    f"{eta:g}",
                    f"{2 / eta:g}",
                    ours[0],
                    _published(TABLE2, name, eta),
                    *ours[1:3],
                    _published(TABLE2_NONUNIFORMITY, name, eta),
                    *ours[3:5],
                    f"{accuracy:.2f}" if accuracy else "–",
                    ours[5],
                    f"{len(group)}{f', {lost} diverged' if lost else ''}",
                ]
            )
    columns = [
        "data",
        "η",
        "2/η",
        "sharpness",
        "published",
        "aη/2",
        "non-uniformity",
        "published",
        "λ_max, Theorem 1",
        "test %",
        "published",
        "steps",
        "seeds",
    ]
    note = (
        "GD; ± is the deviation over seeds; λ_max is the largest eigenvalue of Theorem 1's "
        f"operator; steps to the stopping rule. {protocol(runs)}."
    )
    return Table(columns, rows, note)


def _published(table: dict, dataset: str, eta: float) -> str:
    """Return a published value ± its deviation, or that such runs diverge."""
    if eta in TABLE2_DIVERGES.get(dataset, ()):
        return "diverges"
    found = table.get(dataset, {}).get(eta)
    return f"{found[0]:g} ± {found[1]:g}" if found else "–"


def course_project(runs: Sequence[Run]) -> Table:
    """The course project's four numbers for each dataset beside ours, GD at a rate of 0.1."""
    rows = []
    for name, published in COURSE_PROJECT.items():
        chosen = [run for run in plain(runs, dataset=name, learning_rate=0.1) if is_gd(run)]
        rows.append([f"{name}, course project", *(f"{value:g}" for value in published)])
        if chosen:
            accuracies = [percent(mean(chosen, f)[0]) for f in (_train, test_accuracy)]
            measures = [plus_minus(*mean(chosen, f)) for f in (a, s)]
            seeds = "1 seed" if len(chosen) == 1 else f"{len(chosen)} seeds"
            rows.append([f"{name}, ours ({seeds})", *accuracies, *measures])
    columns = ["", "train %", "test %", "sharpness", "non-uniformity"]
    note = (
        "The rerun stopped power iteration after 10 steps, which leaves its non-uniformity low; "
        f"ours is converged to its residual. {protocol(runs)}."
    )
    return Table(columns, rows, note)


def theorem1(runs: Sequence[Run]) -> Table:
    """The largest eigenvalue of Theorem 1's operator where training ends, by rate and batch."""
    rows = []
    for eta, group in grouped(operators(runs), "learning_rate").items():
        for batch, members in grouped(group, "batch_size").items():
            reduced = [s(run) / bound(run) for run in members]
            rows.append(
                [
                    f"{eta:g}",
                    "n" if is_gd(members[0]) else str(batch),
                    plus_minus(*mean(members, largest_eigenvalue)),
                    f"{mean(members, lambda run: run.result['sharpness_margin'])[0]:.3f}",
                    "–" if is_gd(members[0]) else f"{np.mean(reduced):.3f}",
                    str(len(members)),
                ]
            )
    columns = ["η", "B", "largest eigenvalue", "aη/2", "s over its bound", "networks"]
    note = (
        "Theorem 1: SGD can stay where the largest eigenvalue is at most 1; it is 1 at least, as "
        f"there are more weights than examples times outputs. {protocol(runs)}."
    )
    return Table(columns, rows, note)


def _largest_eigenvalue(runs: Sequence[Run]) -> str:
    """Return mean and deviation of Theorem 1's eigenvalue over the runs that have it."""
    have = [run for run in runs if largest_eigenvalue(run)]
    return plus_minus(*mean(have, largest_eigenvalue)) if have else "–"


def _ended(runs: Sequence[Run]) -> str:
    """Return the mean number of steps, and whether they were enough to meet the stopping rule."""
    steps = f"{mean(runs, lambda run: run.result['iterations'])[0]:,.0f}"
    if all(run.result["fitted"] for run in runs):
        return steps
    return f"{steps} (budget; train {percent(mean(runs, _train)[0])} %)"


def _train(run: Run) -> float:
    return run.result["train_accuracy"]


TABLES = {"table2": table2, "course_project": course_project, "theorem1": theorem1}
