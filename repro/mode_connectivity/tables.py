"""The metrics of curves and segments as a table, and those Garipov et al. 2018 published."""

from collections.abc import Sequence

from repro.mode_connectivity.claims.curves import GARIPOV
from repro.mode_connectivity.measures import iterates
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
    """List each curve and its segment: cross-entropy along it, both barriers, test error.

    Garipov et al. published the lowest and highest loss and error of two curves of a whole VGG16.
    """
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
    for kind, ((least, most), (low, high)) in GARIPOV.items():
        numbers = [f"{low:.3f}", f"{high:.3f}", percent(least), percent(most), "–"]
        rows.append(["published: whole VGG16", kind, *["–"] * 6, *numbers])
    note = (
        "Train loss is cross-entropy; with L2, as Garipov et al. give it, beside it. Barrier: "
        "highest training loss minus that of the higher end (Gotmare et al., footnote); over the "
        "chord: highest excess over the straight line between the ends' losses (Entezari et al. "
        f"2021). Integral and mean are over arc length. {protocol(runs)}."
    )
    return Table(COLUMNS, rows, note)


def minima(runs: Sequence[Run]) -> Table:
    """List gradient norm and extreme eigenvalues at SGDR's iterates, and what they allow to say."""
    rows = []
    for run in iterates(runs):
        found = run.result["criticality_of_iterates"] | {"end": run.result["criticality"]}
        for epoch, c in found.items():
            rows.append(
                [
                    str(run.settings["seed"]),
                    epoch if epoch == "end" else f"w{epoch}",
                    f"{c['loss']:.4g}",
                    f"{c['gradient_norm']:.3g}",
                    f"{c['largest']:.4g} ± {c['largest_residual']:.1g}",
                    f"{c['smallest']:.4g} ± {max(c['smallest_residual'], c['rounding']):.1g}",
                    c["statement"],
                ]
            )
    columns = ("seed", "point", "loss", "|gradient|", "largest", "smallest", "that is")
    note = (
        "Of the training loss with its L2 term, un-augmented and without dropout, over the images "
        f"that it is measured on; ± is Lanczos's residual or rounding. {protocol(runs)}."
    )
    return Table(columns, rows, note)


TABLES = {"metrics": metrics, "minima": minima}
