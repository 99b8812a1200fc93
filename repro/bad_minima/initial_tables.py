"""Table of Liu et al. 2020's vanilla SGD by what the initial weights are drawn from."""

from collections.abc import Sequence

from repro.bad_minima.cells import ACCURACIES, accuracies, deviation, left_out
from repro.bad_minima.measures import INITS, of, spread
from repro.reporting.results import Run, distinct, protocol
from repro.reporting.tables import Table


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
        rows.append([*cells, *accuracies(runs, "vanilla", initializer=name)])
    columns = [
        "initial kernels",
        "norm",
        "log10 of the product over layers",
        "epochs to fit random labels",
        *ACCURACIES,
    ]
    note = f"{deviation(rows)}{left_out(runs)}Norms are those of random starts. {protocol(runs)}."
    return Table(columns, rows, note)
