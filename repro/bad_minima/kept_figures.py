"""Figure of where Liu et al. 2020's four settings are after every epoch, not only at the end."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.bad_minima.measures import SETTINGS, of
from repro.reporting.results import Run, distinct

# quantity of kept weights -> title
QUANTITIES = {
    "distance/relative": "distance from start / its norm",
    "norms/frobenius": "root of the sum of squares",
    "norms/folded_log10_product": "log10 product over layers, folded",
}


def kept_weights(runs: Sequence[Run]) -> plt.Figure:
    """Distances and norms after every epoch whose weights are kept; mean and range over seeds."""
    figure, panels = plt.subplots(1, 3, figsize=(6.75, 2.9), sharex=True)
    for axes, (quantity, title) in zip(panels, QUANTITIES.items()):
        for (kind, init), (label, colour) in SETTINGS.items():
            curves = [
                run.curve(quantity)
                for every in distinct(runs, "keep_weights")
                for run in of(runs, kind, init, keep_weights=every)
            ]
            if not curves:
                continue
            epochs, values = curves[0][0], np.array([curve[1] for curve in curves])
            axes.plot(epochs, values.mean(axis=0), color=colour, label=label)
            axes.fill_between(
                epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0
            )
        axes.set(title=title, xlabel="epoch")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
