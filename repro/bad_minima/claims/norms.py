"""Claims of Liu et al. 2020 and of its JAX rerun on norms, B10 to B13."""

import itertools
import math

from repro.bad_minima.measures import decided, of, spread
from repro.reporting.claims import INCONCLUSIVE, REPRODUCED, Claim, Finding, verdict
from repro.reporting.results import only

READINGS = {
    "root of the sum of squares": lambda norms: norms["frobenius"],
    "log10 of the product over layers": lambda norms: norms["log10_product"],
    "the same, batch norm folded": lambda norms: norms["folded"]["log10_product"],
    "log10 of the l2 path norm": lambda norms: norms["log10_path_l2"],
}
PUBLISHED_START = 36.1  # log10 of the product of squares, PyTorch's initial weights, computed


def b10(runs):
    """Judge each reading by all seeds; where some readings say yes and others no, nothing is."""
    groups = {
        (kind, init): {run.settings["seed"]: run for run in of(runs, kind, init)}
        for kind, init in itertools.product(("vanilla", "SOTA"), ("random", "adversarial"))
    }
    seeds = sorted(set.intersection(*(set(group) for group in groups.values())))
    if not seeds:
        return None
    outcomes, shown = [], []
    for name, read in READINGS.items():
        norms = {
            key: [read(group[seed].result["norms"]) for seed in seeds]
            for key, group in groups.items()
        }
        holds = [
            plain < bad and max(best) < min(plain, bad)
            for plain, bad, *best in zip(*(norms[key] for key in groups))
        ]
        means = ", ".join(f"{spread(norms[key])[0]:.1f}" for key in groups)
        shown.append(f"{name} {means} ({'yes' if all(holds) else 'no'})")
        outcomes.append(all(holds))
    measured = (
        "vanilla from random and adversarial starts, SOTA from both, means over seeds: "
        + "; ".join(shown)
    )
    used = [group[seed] for group in groups.values() for seed in seeds]
    return Finding(measured, decided(verdict(outcomes), used), used)


def b11(runs):
    run = only(runs, model="resnet18", width=1.0)
    if run is None:
        return None
    norms = run.result["initial_norms"]
    product, total = norms["log10_product_squared"], norms["frobenius_squared"]
    measured = (
        f"before training, product of squares 10^{product:.1f}, product 10^"
        f"{norms['log10_product']:.1f}, sum of squares {total:.2e}"
    )
    holds = abs(product - PUBLISHED_START) <= 0.2 and total < 1e6
    return Finding(measured, verdict([holds]), [run])


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
    outcome = REPRODUCED if ours < 1e-4 and min(theirs) > 1e-2 else INCONCLUSIVE
    return Finding(measured, outcome if ours < 1e-4 else verdict([False]), chosen)


def b13(runs):
    chosen = of(runs)
    if not chosen:
        return None
    worst = max(run.result["rescaling"]["folding_error"] for run in chosen)
    measured = f"largest difference of logits on 256 images {worst:.1e}, {len(chosen)} networks"
    return Finding(measured, verdict([worst < 1e-4]), chosen)


CLAIMS = (
    Claim("B10", "Norms: adversarial start + vanilla above random start + vanilla; SOTA lowest.",
          "Figure 10", "yes (Frobenius)", b10),
    Claim("B11", "ResNet-18: a product over layers has tens of decades, a sum over weights not.",
          "Figure 10 and the JAX rerun", "about 1e50 against about 1e5", b11),
    Claim("B12", "Path norms of the folded network ignore rescaling under batch norm, the JAX "
          "rerun's do not.", "Neyshabur's code and the JAX rerun", "-", b12),
    Claim("B13", "Batch norm folded into the weights changes no logit by 1e-4.", "Figure 10",
          "needed by its norms", b13),
)
