"""Tables of the teacher-student runs: classes, sensitivity of the slides' number, levels."""

from collections.abc import Sequence

import numpy as np

from repro.reporting.results import Run, protocol
from repro.reporting.tables import Table
from repro.teacher_student.measures import COLOURS, share_text

ZERO = 1e-20  # losses below are zero
INTERVALS = "Intervals are Wilson's, 95 %. "  # note of a table
STEPS = (10_000, 30_000, 100_000, 300_000)  # where the sensitivity table looks


def class_table(runs: Sequence[Run]) -> Table:
    """Counts per class with Wilson intervals, by teacher and width."""
    rows = [
        [run.settings["teacher"], str(run.settings["hidden"]), *_classes(run)]
        for run in sorted(runs, key=lambda r: (r.settings["teacher"], r.settings["hidden"]))
    ]
    header = ["teacher", "width", *COLOURS, "distinct points certified"]
    return Table(header, rows, INTERVALS + protocol(runs))


def biases_table(runs: Sequence[Run]) -> Table:
    """Counts per class with Wilson intervals, by width, without and with biases."""
    rows = [
        [str(run.settings["hidden"]), "yes" if run.settings["biases"] else "–", *_classes(run)]
        for run in sorted(runs, key=lambda r: (r.settings["hidden"], bool(r.settings["biases"])))
    ]
    header = ["width", "biases", *COLOURS, "distinct points certified"]
    return Table(header, rows, INTERVALS + protocol(runs))


def _classes(run: Run) -> list[str]:
    """Return counts per class, and how many distinct points are certified."""
    cells = []
    for name in COLOURS:
        counted = run.result["counts"][name]
        low, high = counted["wilson"]
        cells.append(f"{counted['count']} ({low:.1%} to {high:.1%})")
    certified = sum(point["certified"] for point in run.result["points"])
    return [*cells, f"{certified} of {len(run.result['points'])}"]


def slides_widths(runs: Sequence[Run]) -> Table:
    """What SLSQP and perturbations do to the students with a negative eigenvalue, by width."""
    rows = []
    for run in sorted(runs, key=lambda r: (r.settings["hidden"], r.settings["slsqp_ftol"])):
        arrays, result, s = run.arrays(), run.result, run.settings
        of = result["slsqp_positive"]["of"]
        shares = [
            share_text(result[key]["count"], of) if of else "–"
            for key in ("slsqp_positive", "perturbed_positive", "perturbed_definite")
        ]
        ends = arrays["perturbed_loss"]
        zero = share_text(int((ends < ZERO).sum()), of) if of else "–"
        tries = f"{np.median(arrays['attempts']):g}" if of else "–"
        negative = share_text(result["negative"]["count"], result["negative"]["of"])
        lowest = f"{arrays['lambda_min'].min():.0e}"
        start = [str(s["hidden"]), f"{s['slsqp_ftol']:g}", negative, lowest]
        rows.append([*start, *shares, tries, zero])
    header = [
        "width",
        "ftol",
        "negative after Adam",
        "lowest eigenvalue",
        "SLSQP flips",
        "perturbing flips",
        "beyond 1e-11 of the largest",
        "perturbations, median",
        "end at zero loss",
    ]
    return Table(header, rows, INTERVALS + protocol(runs))


def sensitivity(runs: Sequence[Run]) -> Table:
    """Share of negative smallest eigenvalues against steps, precision, initial weights, ftol."""
    rows = []
    for run in runs:
        s = run.settings
        start = [s["adam_precision"], s["init"]]
        for row in run.metrics:
            if row["step"] in STEPS and row["step"] <= s["adam_steps"]:
                hits = round(row["students/negative_lambda_min"] * s["num_students"])
                share = share_text(hits, s["num_students"])
                lowest = f"{row['students/lowest_lambda_min']:.0e}"
                rows.append([f"{row['step']:,}", *start, "–", share, lowest])
        steps = f"{s['adam_steps']:,}"
        if s["stage"] == "census":
            arrays = run.arrays()
            lowest = arrays["lambda_min"][arrays["gradient_norm"] < 1e-12]  # not those in channels
            share = share_text(int((lowest < 0).sum()), len(lowest))
            after = [share, f"{lowest.min():.0e}" if len(lowest) else "–"]
            rows.append([steps, *start, "Newton to a gradient of 1e-12", *after])
        elif run.result["slsqp_positive"]["of"]:
            rows += _after_slsqp(run, [steps, *start])
    header = ["Adam steps", "precision", "initial weights", "then", "negative", "lowest eigenvalue"]
    rows = [list(row) for row in dict.fromkeys(map(tuple, rows))]  # students in several runs
    rows.sort(key=lambda cells: (cells[1:3], cells[3] != "–", len(cells[0]), cells[0]))
    return Table(header, rows, INTERVALS + protocol(runs))


def levels(runs: Sequence[Run]) -> Table:
    """Critical subspaces that certified minima make in wider nets, by width and level."""
    rows = [
        [
            str(row["width"]),
            str(row["level"]),
            str(row["minima"]),
            f"{row['subspaces']:,}",
            f"{row['of_minima']:,}",
            f"{row['of_saddles']:,}",
        ]
        for row in sorted(runs[0].result["subspaces"], key=lambda r: (r["width"], r["level"]))
    ]
    header = ["width", "level", "minima so much narrower", "subspaces", "of minima", "of saddles"]
    note = "Subspaces: G(r, m) per minimum; kinds where all shares lie in (0, 1). "
    return Table(header, rows, note + protocol(runs))


def _after_slsqp(run: Run, start: list[str]) -> list[list[str]]:
    """Return rows on the students that went on to SLSQP: without and with perturbations."""
    arrays, s = run.arrays(), run.settings
    names = {
        "slsqp": f"SLSQP, ftol {s['slsqp_ftol']:g}",
        "perturbed": f"SLSQP, ftol {s['slsqp_ftol']:g}, perturbed by {s['epsilon']:g}",
    }
    rows = []
    for key, name in names.items():
        lowest = arrays[f"{key}_lambda_min"]
        share = share_text(int((lowest < 0).sum()), len(lowest))
        rows.append([*start, name, share, f"{lowest.min():.0e}"])
    return rows


TABLES = {
    "class_table": class_table,
    "biases_table": biases_table,
    "slides_widths": slides_widths,
    "sensitivity": sensitivity,
    "levels": levels,
}
