"""The metrics of curves and segments as a table, after Garipov et al. 2018."""

from collections.abc import Sequence

from repro.reporting.results import Run, protocol, select
from repro.reporting.tables import Table, percent

COLUMNS = (
    "ends",
    "path",
    "length",
    "train loss min",
    "max",
    "integral",
    "barrier",
    "over the chord",
    "with L2 min",
    "max",
    "test error min (%)",
    "max (%)",
    "mean (%)",
)


def metrics(runs: Sequence[Run]) -> Table:
    """List each curve and its segment: cross-entropy along it, both barriers, test error."""
    rows = []
    for run in select(runs, stage="evaluate"):
        ends = f"{run.settings['from']} to {run.settings['to']}"
        for path, kind in (("curve", run.settings["curve"]), ("segment", "segment")):
            loss = run.result[f"{path}_metrics"]["train_nll"]
            penalized = run.result[f"{path}_metrics"]["train_loss"]
            error = run.result[f"{path}_metrics"]["test_error"]
            barrier = run.result[f"{path}_barrier"]
            numbers = [
                loss["minimum"],
                loss["maximum"],
                loss["integral"],
                barrier["over_maximum"],
                barrier["over_chord"],
                penalized["minimum"],
                penalized["maximum"],
            ]
            shares = [error["minimum"], error["maximum"], error["integral"]]
            rows.append(
                [
                    ends,
                    kind,
                    f"{loss['length']:.1f}",
                    *(f"{x:.3f}" for x in numbers),
                    *map(percent, shares),
                ]
            )
    note = (
        "Train loss is cross-entropy; with L2, as Garipov et al. give it, beside it. Barrier: "
        "highest training loss minus that of the higher end (Gotmare et al., footnote); over the "
        "chord: highest excess over the straight line between the ends' losses (Entezari et al. "
        f"2021). Integral and mean are over arc length. {protocol(runs)}."
    )
    return Table(COLUMNS, rows, note)


TABLES = {"metrics": metrics}
