"""Tables of Liu et al. 2020. The published tables could not be read: none of their numbers here."""

import itertools
from collections.abc import Sequence

from repro.bad_minima.cells import ACCURACIES, accuracies, deviation, left_out
from repro.bad_minima.initial_tables import initializers
from repro.bad_minima.measures import HEURISTICS, INITS, heuristics, of, setting, spread
from repro.reporting.results import Run, distinct, protocol
from repro.reporting.tables import Table, percent

UNREAD = "The published table could not be read, so no number of it stands here."


def combinations(runs: Sequence[Run]) -> Table:
    """Accuracies from both starts for all eight combinations of the three heuristics."""
    rows = []
    for on in sorted(itertools.product((False, True), repeat=3), key=sum):
        chosen = [run for run in runs if heuristics(run) == on]
        if not chosen:
            continue
        cells = ["yes" if flag else "–" for flag in on]
        kind = setting(chosen[0])
        rows.append([*cells, *accuracies(chosen, kind), *_sharpness(chosen, kind)])
    columns = [*HEURISTICS.values(), *ACCURACIES, "sharpness (random)", "(adversarial)"]
    note = f"{deviation(rows)}{left_out(runs)}{_examples(runs)}{UNREAD} {protocol(runs)}."
    return Table(columns, rows, note)


def models(runs: Sequence[Run]) -> Table:
    """Accuracies in the four settings by network and dataset."""
    rows = []
    for model, dataset in itertools.product(distinct(runs, "model"), distinct(runs, "dataset")):
        for kind in ("vanilla", "SOTA"):
            chosen = [
                r for r in runs if r.settings["model"] == model and r.settings["dataset"] == dataset
            ]
            if found := of(chosen, kind):
                copies = distinct([r for r in found if r.settings["init"] != "random"], "replicas")
                rows.append(
                    [
                        f"{model} ({chosen[0].result['parameters']:,})",
                        f"{chosen[0].settings['width']:g}",
                        dataset,
                        kind,
                        "/".join(map(str, copies)) or "–",
                        *accuracies(chosen, kind),
                    ]
                )
    columns = ["network (parameters)", "width", "dataset", "training", "R", *ACCURACIES]
    note = f"{deviation(rows)}{left_out(runs)}{UNREAD} {protocol(runs)}."
    return Table(columns, rows, note)


def departures(runs: Sequence[Run]) -> Table:
    """Vanilla SGD as the authors train, and with what the JAX rerun did otherwise."""
    arms = {}
    for run in runs:
        arms.setdefault(_departure(run), []).append(run)
    quantities = ("train_accuracy", "test_accuracy", "test_accuracy_batch_statistics")
    rows = []
    for arm, members in arms.items():
        done = [run.result for run in members if run.result["status"] == "complete"]
        cells = [
            percent(*spread([result[name] for result in done])) if done else "–"
            for name in quantities
        ]
        rows.append([*arm, *cells, str(len(done))])
    columns = [
        "start",
        "order",
        "batch-norm state",
        "train %",
        "test % (running statistics)",
        "test % (batch statistics)",
        "seeds",
    ]
    return Table(columns, rows, f"{deviation(rows)}{left_out(runs)}{protocol(runs)}.")


def _departure(run: Run) -> tuple[str, str, str]:
    """Return a run's start, the order of its images, and what it did with batch norm's state."""
    settings = run.settings
    state = "reset" if settings["reset_batch_norm"] else "kept"
    return (
        settings["init"],
        "shuffled" if settings["shuffle"] else "never shuffled",
        "–" if settings["init"] == "random" else state,
    )


def initial_norms(runs: Sequence[Run]) -> Table:
    """Readings of the norm before training, at full width."""
    rows = []
    for run in runs:
        norms = run.result["initial_norms"]
        rows.append(
            [
                f"{run.settings['model']} ({run.result['parameters']:,})",
                f"{norms['frobenius']:.1f}",
                f"{norms['frobenius_squared']:.3g}",
                *(
                    f"10^{norms[name]:.1f}"
                    for name in (
                        "log10_product",
                        "log10_product_squared",
                        "log10_path_l1",
                        "log10_path_l2",
                    )
                ),
            ]
        )
    columns = [
        "network (parameters)",
        "root of sum of squares",
        "sum of squares",
        "product over layers",
        "product of squares",
        "l1 path norm, folded",
        "l2 path norm, folded",
    ]
    note = (
        "Random weights as each network's authors draw them, untrained batch norm; paths from "
        f"28x28 images. Seed {distinct(runs, 'seed')[0]}."
    )
    return Table(columns, rows, note)


def _sharpness(runs: Sequence[Run], kind: str) -> list[str]:
    """Return the largest eigenvalue of the loss's Hessian at the end, from both starts."""
    cells = []
    for init in INITS:
        found = [run.result.get("sharpness") for run in of(runs, kind, init)]
        values = [sharpness["value"] for sharpness in found if sharpness]
        cells.append(f"{spread(values)[0]:.3g}" if values else "–")
    return cells


def _examples(runs: Sequence[Run]) -> str:
    """Say how many images sharpness was measured on."""
    counts = [count for count in distinct(runs, "sharpness_examples") if count]
    if not counts:
        return ""
    return (
        "Sharpness: the largest eigenvalue of the Hessian of the cross-entropy, without L2, of "
        f"{'/'.join(map(str, counts))} training images, batch norm in inference mode. "
    )


TABLES = {
    "combinations": combinations,
    "models": models,
    "departures": departures,
    "initial_norms": initial_norms,
    "initializers": initializers,
}
