"""Figures 2a and 2b of Zhang et al. 2017: accuracy with and without regularisers and batch norm."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt

from repro.randomization.measures import RERUN_ACCURACY, published, regularizers, rerun_networks
from repro.reporting.results import Run, distinct, select

# Figure 2a counts steps, and we epochs: of batches of 32 ImageNet images, see table2.toml.
EPOCHS_OF_MILLION_STEPS = 1e6 * 32 / 1_281_167
DOTTED = {"ls": ":", "alpha": 0.8}


def fig2a(runs: Sequence[Run]) -> plt.Figure:
    """Accuracy against epochs with fewer and fewer regularisers, a panel for each data set.

    On ImageNet stars are the paper's test accuracies at the end and, where it is another, at best;
    on CIFAR-10 those of the EPFL student rerun after 50 epochs are dotted.
    """
    datasets = distinct(runs, "dataset")
    figure, panels = plt.subplots(
        1, len(datasets), figsize=(5.2 * len(datasets), 4), squeeze=False, sharey=True
    )
    for axes, dataset in zip(panels[0], datasets):
        own = select(runs, dataset=dataset)
        _accuracies(axes, own, regularizers)
        if dataset == "imagenet2012":
            _paper(axes, own)
        if dataset == "cifar10":
            _rerun(axes, own)
        axes.set_title(f"{dataset}, {own[0].result['train_examples']:,} images")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure


def _paper(axes: plt.Axes, runs: Sequence[Run]) -> None:
    """Draw Figure 2a's test accuracies in the colours of our runs."""
    rows = list(zip(*published("fig2a").values()))
    for number, run in enumerate(runs):
        s = run.settings
        own = (bool(s["augment"]), s["dropout_rate"] > 0, s["weight_decay"] > 0)
        points = [(EPOCHS_OF_MILLION_STEPS * row[3], row[4]) for row in rows if row[:3] == own]
        axes.plot([x for x, _ in points], [y for _, y in points], "*", color=f"C{number}")
    axes.plot([], [], "*", color="grey", label="the paper, test")


def _rerun(axes: plt.Axes, runs: Sequence[Run]) -> None:
    """Draw the student rerun's test accuracies in the colours of our runs."""
    networks = rerun_networks(runs)
    for name, accuracy in RERUN_ACCURACY.items():
        if name in networks:
            axes.axhline(accuracy, color=f"C{runs.index(networks[name])}", **DOTTED)
    if set(RERUN_ACCURACY) & set(networks):
        axes.plot([], [], color="grey", ls=":", label="the EPFL student rerun, test")


def fig2b(runs: Sequence[Run]) -> plt.Figure:
    """Accuracy against epochs with and without batch norm; the published curves dotted."""
    figure, axes = plt.subplots(figsize=(4.6, 3))
    _accuracies(
        axes, runs, lambda run: f"{run.settings['model']} (lr {run.settings['learning_rate']:g})"
    )
    columns = published("fig2b")
    for column, colour in (("test_inception_bn", "C0"), ("test_inception_nobn", "C1")):
        axes.plot(columns["epoch"], columns[column], color=colour, **DOTTED)
    axes.plot([], [], color="grey", ls=":", label="published, test")
    axes.set_xlim(0, max(max(run.curve("test/accuracy")[0]) for run in runs) + 1)
    axes.legend(loc="lower right")
    return figure


def _accuracies(axes: plt.Axes, runs: Sequence[Run], label: Callable[[Run], str]) -> None:
    """Draw test accuracies as lines, named by `label`, and training accuracies dashed."""
    for number, run in enumerate(runs):
        colour = f"C{number}"
        axes.plot(*run.curve("test/accuracy"), color=colour, label=f"test, {label(run)}")
        axes.plot(*run.curve("train/accuracy"), color=colour, ls="--", lw=0.8)
    axes.plot([], [], color="grey", ls="--", lw=0.8, label="train")
    axes.set(xlabel="epoch", ylabel="accuracy")
