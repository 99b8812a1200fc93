"""Table of Liu et al. 2020's vanilla SGD by what the initial weights are drawn from."""

from collections.abc import Sequence

from repro.bad_minima.measures import INITS, diverged, gap, of, pairs, points, spread
from repro.reporting.results import Run, distinct, protocol
from repro.reporting.tables import Table, percent


def initializers(runs: Sequence[Run]) -> Table:
    """Norm of the initial weights, and accuracies from both starts, by initialiser."""
    rows = []
    for name in distinct(runs, "initializer"):
        drawn = [of(runs, "vanilla", init, initializer=name) for init in INITS]
        if not any(drawn):
            continue
        cells = [name or "the networks' own (PyTorch's)"]
        norms = [run.result["initial_norms"] for run in drawn[0]]
        for reading in ("frobenius", "log10_product"):
            cells.append(f"{spread([each[reading] for each in norms])[0]:.1f}" if norms else "–")
        epochs = [run.result["pretraining"]["epochs"] for run in drawn[1]]
        cells.append(f"{min(epochs)} to {max(epochs)}" if epochs else "–")
        for quantity in ("train_accuracy", "test_accuracy"):
            for chosen in drawn:
                values = [run.result[quantity] for run in chosen]
                cells.append(percent(*spread(values)) if values else "–")
        both = pairs(runs, "vanilla", initializer=name)
        gaps = points(spread([gap(pair) for pair in both])[0]) if both else "–"
        rows.append([*cells, gaps, str(len(both))])
    columns = [
        "initial kernels",
        "norm",
        "log10 of the product over layers",
        "epochs to fit random labels",
        "train % (random)",
        "(adversarial)",
        "test % (random)",
        "(adversarial)",
        "gap, points",
        "seeds",
    ]
    lost = len(diverged(runs))
    note = f"{lost} of {len(runs)} runs diverged and are left out. " if lost else ""
    return Table(columns, rows, f"{note}Norms are those of random starts. {protocol(runs)}.")
