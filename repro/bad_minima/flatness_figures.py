"""Whether measures of sharpness tell bad minima from good ones, drawn."""

from collections.abc import Sequence

import matplotlib.pyplot as plt

from repro.bad_minima.ends import FLATNESS, looked_at
from repro.reporting.results import Run

ARMS = {  # whether SAM, start -> name, colour
    (False, "random"): ("SGD, random start", "C0"),
    (False, "adversarial"): ("SGD, adversarial start", "C3"),
    (True, "random"): ("SAM, random start", "C2"),
    (True, "adversarial"): ("SAM, adversarial start", "C1"),
}


def sharpness_measures(runs: Sequence[Run]) -> plt.Figure:
    """Each measure of vanilla ends over its mean at good minima, beside the test accuracy."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(6.75, 3.0), gridspec_kw={"width_ratios": (4, 1)}
    )
    good = looked_at(runs, "random")
    for number, (_, value) in enumerate(FLATNESS.values()):
        unit = sum(map(value, good)) / len(good) if good else 1.0
        for place, ((sam, init), (name, colour)) in enumerate(ARMS.items()):
            arm = looked_at(runs, init, sam=sam)
            at = [number + 0.18 * (place - 1.5)] * len(arm)
            shown = name if number == 0 and arm else None
            left.plot(at, [value(run) / unit for run in arm], "o", ms=4, color=colour, label=shown)
    for place, ((sam, init), (_, colour)) in enumerate(ARMS.items()):
        arm = looked_at(runs, init, sam=sam)
        accuracies = [run.result["test_accuracy"] for run in arm]
        right.plot([place] * len(arm), accuracies, "o", ms=4, color=colour)
    left.axhline(1, color="grey", lw=0.6)
    left.set(yscale="log", ylabel="over the mean of SGD's from random starts")
    left.set_xticks(range(len(FLATNESS)), [label for label, _ in FLATNESS.values()], fontsize=7)
    right.set(title="test accuracy", xticks=[], xlim=(-0.5, len(ARMS) - 0.5))
    if good:
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
