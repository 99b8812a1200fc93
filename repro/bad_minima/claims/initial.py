"""Claims on the initial weights, B25, and on the weights that are kept on the way, B26."""

from repro.bad_minima.measures import by_seed, losses, of, pairs, settled, signed
from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    worst,
)
from repro.reporting.results import distinct

EARLY = 0.1  # share of the epochs


def b25(runs):
    """Judge what the adversarial start loses with each initialiser beside the networks' own."""
    found = {
        name: both
        for name in filter(None, distinct(runs, "initializer"))
        if (both := pairs(runs, "vanilla", initializer=name))
    }
    if not found:
        return None
    shown, outcomes, used, method = [], [], [], ""
    for name, both in found.items():
        loss = losses(both)
        outcomes.append(statistics.above(loss, 0) if len(both) > 1 else INCONCLUSIVE)
        shown.append(f"{name} {signed(loss)}")
        used, method = used + [run for pair in both for run in pair], loss.method
    measured = f"random minus adversarial start: {'; '.join(shown)}"
    return settled(Finding(measured, agreed(outcomes), used, method))


def b26(runs):
    """Compare SOTA's distance early with all of vanilla's, from one adversarial start."""
    parts, outcomes, used = [], [], []
    for every in filter(None, distinct(runs, "keep_weights")):
        arms = [of(runs, kind, "adversarial", keep_weights=every) for kind in ("vanilla", "SOTA")]
        for plain, best in by_seed(*arms):
            gone = dict(zip(*best.curve("distance/relative")))
            last = dict(zip(*plain.curve("distance/relative")))[plain.settings["epochs"]]
            early = max(epoch for epoch in gone if epoch <= EARLY * best.settings["epochs"])
            beyond = [epoch for epoch, distance in gone.items() if distance > last]
            judged = REPRODUCED if gone[early] > last else CONTRADICTED
            outcomes.append(judged if early else INCONCLUSIVE)  # 0: nothing is kept so early
            when = f"past it after {min(beyond)}" if beyond else "never past it"
            parts.append(f"vanilla {last:.2f} in all, SOTA {gone[early]:.2f} after {early}, {when}")
            used += [plain, best]
    if not used:
        return None
    finding = Finding(
        f"distance over the start's norm, by seed: {'; '.join(parts)} of "
        f"{used[0].settings['epochs']} epochs",
        worst(outcomes),
        used,
        "one pair a seed",
    )
    return settled(finding)


CLAIMS = (
    Claim(
        "B25",
        "Bad minima are reached whatever the initial weights are drawn from.",
        "asks what the JAX rerun calls the initialisation's rabbit-hole",
        "assumed",
        b25,
        "Vanilla SGD, with every initialiser: the adversarial start ends below the random one "
        "beyond the 95 % interval over three seeds and the test images, of networks that fit 99 % "
        "of the training set or had 350 epochs; initialisers that differ are inconclusive.",
    ),
    Claim(
        "B26",
        "Regularisation acts far from convergence: SOTA leaves the adversarial start early.",
        "abstract of the second version",
        "far from convergence",
        b26,
        "After a tenth of the epochs SOTA is farther from the adversarial start than vanilla SGD "
        "ever ends, in each of three seeds; in one it is not contradicts.",
    ),
)
