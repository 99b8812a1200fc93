"""Claims of Liu et al. 2020 and of its JAX rerun on norms, B10 to B13."""

import math

from repro.bad_minima.measures import TRIALS, networks, of, settled, spread
from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    STAND_IN,
    Claim,
    Finding,
    agreed,
    verdict,
    worst,
)
from repro.reporting.results import only, select

READINGS = {
    "root of the sum of squares": lambda norms: norms["frobenius"],
    "log10 of the product over layers": lambda norms: norms["log10_product"],
    "the same, batch norm folded": lambda norms: norms["folded"]["log10_product"],
    "log10 of the l2 path norm": lambda norms: norms["log10_path_l2"],
}
CIFAR10 = "cifar10"  # the data of Figure 10
PUBLISHED_START = 36.1  # log10 of the product of squares, PyTorch's initial weights, computed


def b10(runs):
    """Judge each reading over seeds; where some readings say yes and others no, nothing is."""
    groups = {}
    data = CIFAR10 if select(runs, dataset=CIFAR10) else STAND_IN
    for kind in ("vanilla", "SOTA"):
        for by_copies in networks(select(runs, model="resnet18", dataset=data), kind).values():
            for place, init in enumerate(("random", "adversarial")):
                both = by_copies[max(by_copies)]
                groups[kind, init] = {pair[place].settings["seed"]: pair[place] for pair in both}
    if len(groups) < 4:
        return None
    seeds = sorted(set.intersection(*(set(group) for group in groups.values())))
    if not seeds:
        return None
    outcomes, shown = [], []
    for name, read in READINGS.items():
        norms = {
            key: [read(group[seed].result["norms"]) for seed in seeds]
            for key, group in groups.items()
        }
        outcomes.append(_in_order(*norms.values()))
        means = ", ".join(f"{spread(norms[key])[0]:.1f}" for key in groups)
        shown.append(f"{name} {means} ({outcomes[-1]})")
    measured = (
        "vanilla from random and adversarial starts, SOTA from both, means over seeds: "
        + "; ".join(shown)
    )
    used = [group[seed] for group in groups.values() for seed in seeds]
    error = f"Student's t over {len(seeds)} pairs, one a seed"
    return settled(Finding(measured, agreed(outcomes), used, error), TRIALS)


def _in_order(plain, bad, *best) -> str:
    """Judge that norms are higher from the adversarial start, and lowest with all heuristics."""
    if len(plain) < 2:
        return INCONCLUSIVE
    lowest = [min(pair) for pair in zip(plain, bad)]
    highest = [max(pair) for pair in zip(*best)]
    parts = ((bad, plain), (lowest, highest))
    return worst([statistics.above(statistics.paired(*part), 0) for part in parts])


def b11(runs):
    run = only(runs, model="resnet18", width=1.0, initializer=None)
    if run is None:
        return None
    norms = run.result["initial_norms"]
    product, total = norms["log10_product_squared"], norms["frobenius_squared"]
    measured = (
        f"before training, product of squares 10^{product:.1f}, product 10^"
        f"{norms['log10_product']:.1f}, sum of squares {total:.2e}"
    )

    def holds(decades: float) -> str:
        return verdict([abs(product - PUBLISHED_START) <= decades and total < 1e6])

    return Finding(
        measured,
        holds(0.2),
        [run],
        "one draw of 11 million weights, whose norms hardly vary",
        statistics.sensitivity(holds, 0.2),
    )


def b12(runs):
    chosen = [run for run in of(runs) if "log10_path_l2_change" in run.result["rescaling"]]
    if not chosen:
        return None
    changes = [run.result["rescaling"] for run in chosen]
    ours = max(abs(change["log10_path_l2_change"]) for change in changes)
    around = [change["log10_around_batch_norm_change"] for change in changes]
    theirs = [abs(x) for x in around if x is not None and math.isfinite(x)]
    if not theirs:
        return None
    measured = (
        f"doubling a convolution changes log10 of the folded norm by at most {ours:.0e}, "
        f"of the JAX rerun's by at least {min(theirs):.2g}"
    )
    outcome = REPRODUCED if min(theirs) > 1e-2 else INCONCLUSIVE
    return Finding(measured, outcome if ours < 1e-4 else CONTRADICTED, chosen, "rounding alone")


def b13(runs):
    chosen = of(runs)
    if not chosen:
        return None
    worst = max(run.result["rescaling"]["folding_error"] for run in chosen)
    measured = f"largest difference of logits on 256 images {worst:.1e}, {len(chosen)} networks"
    return Finding(measured, verdict([worst < 1e-4]), chosen, "rounding alone")


CLAIMS = (
    Claim(
        "B10",
        "Norms: adversarial start + vanilla above random start + vanilla; SOTA lowest.",
        "Figure 10",
        "yes (Frobenius)",
        b10,
        "ResNet-18 on CIFAR-10, each of four readings of the norm: both differences beyond the 95 "
        "% interval of Student's t over pairs; readings that differ are inconclusive. Networks "
        "that fit 99 % of the training set or had the authors' 350 epochs; five seeds.",
        everywhere=True,
        to_decide="Two more seeds, and all of the authors' 350 epochs; readings that differ would "
        "stay open then.",
    ),
    Claim(
        "B11",
        "ResNet-18: a product over layers has tens of decades, a sum over weights not.",
        "Figure 10 and the JAX rerun",
        "about 1e50 against about 1e5",
        b11,
        "At full width before training, the product of squares within 0.2 decades of 10^36.1, "
        "that of PyTorch's initial weights, and the sum below 10^6. No data enter.",
        general=True,
    ),
    Claim(
        "B12",
        "Path norms of the folded network ignore rescaling under batch norm, the JAX "
        "rerun's do not.",
        "Neyshabur's code and the JAX rerun",
        "-",
        b12,
        "In every network log10 of ours moves by less than 1e-4, of the rerun's by more than "
        "1e-2; a move of ours contradicts.",
        general=True,
    ),
    Claim(
        "B13",
        "Batch norm folded into the weights changes no logit by 1e-4.",
        "Figure 10",
        "needed by its norms",
        b13,
        "In every network; one larger change contradicts.",
        everywhere=True,
        general=True,
    ),
)
