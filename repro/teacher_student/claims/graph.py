"""Claims on saddles, plateaus, embeddings and channels: C15 to C18."""

import numpy as np

from repro.reporting.claims import (
    INCONCLUSIVE,
    Claim,
    Finding,
    verdict,
    worst,
)
from repro.reporting.results import select
from repro.teacher_student.measures import (
    censuses,
    channel_jumps,
    eigenvalue_exponent,
    loss_exponent,
    shown_above,
)

BY_THE_LAW = 0.9  # share of channels, at least
PROVED = "none: counted in ball arithmetic"


def c15(runs):
    return _constructed(runs) or _where_descent_ends(runs)


def _constructed(runs):
    """Compare the rule's index of split points with eigenvalues counted in the Hessian itself."""
    chosen = select(runs, stage="graph", biases=None)
    embedded = [
        node
        for run in chosen
        for node in run.result["nodes"]
        if "parent" in node and node["inertia"]
    ]
    if not embedded:
        return None
    agree = [node["inertia"][0] == node["index"] for node in embedded]
    plateaus = sum(node["index"] == 0 for node in embedded)
    measured = (
        f"of {len(agree)} constructed split points, {plateaus} of them plateaus, the Hessian's "
        f"negative eigenvalues counted in ball arithmetic are those of the rule at {sum(agree)}"
    )
    return Finding(measured, verdict([all(agree)]), chosen, PROVED)


def _where_descent_ends(runs):
    chosen = censuses(runs)
    obey = break_ = 0
    for run in chosen:
        kinds = run.result["kinds"]
        obey += sum(kinds.get("plateau", {}).values())
        split = kinds.get("saddle", {}).items()
        break_ += sum(count for kind, count in split if kind.startswith("split"))
    if not obey + break_:
        return None
    measured = (
        f"{obey} of {obey + break_} students that ended at split points ended where the rule "
        "allows a minimum"
    )
    return Finding(measured, verdict([not break_]), chosen, "float64 eigenvalues")


def c16(runs):
    chosen = select(runs, stage="graph", biases=None)
    if not chosen:
        return None
    arrays = chosen[0].arrays()
    share, kind = arrays["transition_share"], arrays["transition_class"]
    epsilon, minima = arrays["transition_epsilon"], kind == "local"
    saddles = share[kind == "saddle"]
    if not len(saddles) or not minima.any():
        return None
    inside = epsilon[None, :] <= arrays["transition_basin"][minima][:, None]
    within, tries = share[minima][inside], arrays["transition_loss"].shape[2]
    leaves = epsilon[(share[minima] > 0).any(axis=0)]
    first = f"{leaves.min():.0e}" if len(leaves) else "none"
    tested = int(inside.any(axis=1).sum())  # the other balls are smaller than any epsilon
    measured = (
        f"at epsilon {epsilon[0]:.0e} {saddles[:, 0].min():.0%} of {tries} draws or more leave "
        f"each of {len(saddles)} saddles; within the certified convex balls of {tested} of "
        f"{minima.sum()} minima {within.max(initial=0):.0%} of {within.size * tries} draws leave; "
        f"the smallest epsilon at which any does: {first}"
    )
    parts = [verdict([bool((saddles[:, 0] == 1).all())])]
    parts.append(verdict([bool((within == 0).all())]) if within.size else INCONCLUSIVE)
    return Finding(measured, worst(parts), chosen[:1], f"{tries} draws at each point and epsilon")


def c17(runs):
    chosen = select(runs, stage="graph", biases=None)
    if not chosen:
        return None
    nodes = chosen[0].result["nodes"]
    inertia = {node["id"]: node.get("inertia") for node in nodes}
    pairs = [
        (inertia[node["parent"]], node["inertia"])
        for node in nodes
        if "parent" in node and node["inertia"] and inertia[node["parent"]]
    ]
    if not pairs:
        return None
    holds = [all(c >= p for p, c in zip(parent, child)) for parent, child in pairs]
    measured = f"{sum(holds)} of {len(holds)} embedded points, counted in ball arithmetic"
    return Finding(measured, verdict([all(holds)]), chosen[:1], PROVED)


def c18(runs):
    chosen, channels, exponents = censuses(runs), 0, []
    for run in chosen:
        channels += run.result["counts"]["channel"]["count"]
        exponents += [
            (loss_exponent(gap, loss), eigenvalue_exponent(gap, top))
            for gap, loss, top in channel_jumps(run)
        ]
    if not exponents:
        return None
    loss, top = np.array(exponents).T
    pairs = np.abs(top + 2) < 0.2
    triples = np.abs(top + 4) < 0.2
    measured = (
        f"loss exponent median {np.median(loss):.2f}, within 0.2 of 2 at "
        f"{np.mean(np.abs(loss - 2) < 0.2):.0%}; eigenvalue exponent -2 at {np.mean(pairs):.0%}, "
        f"-4 (second derivatives) at {np.mean(triples):.0%}; {len(loss)} of {channels} channels "
        "whose distance every jump halved"
    )
    laws = (np.abs(loss - 2) < 0.2, pairs)
    parts = [shown_above(int(law.sum()), len(law), BY_THE_LAW) for law in laws]
    return Finding(measured, worst(parts), chosen, "Wilson's interval over channels")


OWN = "this reproduction"
CLAIMS = (
    Claim(
        "C15",
        "Plateaus obey the sign rule of Fukumizu and Amari.",
        "Fukumizu and Amari 2000",
        "Theorem 3",
        c15,
        "At every constructed split point the rule's index is the Hessian's, counted in ball "
        "arithmetic, or every student that ended at one is where the rule allows it; one that is "
        "not contradicts.",
        everywhere=True,
    ),
    Claim(
        "C16",
        "Every small step leaves a strict saddle, none a certified minimum.",
        OWN,
        "16/16 and 0/16",
        c16,
        "All draws at the smallest epsilon leave every saddle, none within its certified convex "
        "ball a minimum; one draw otherwise contradicts.",
    ),
    Claim(
        "C17",
        "Embedding lowers no count of eigenvalues of a sign.",
        "Zhang et al. 2021",
        "always",
        c17,
        "At every embedded point, counted in ball arithmetic; one contradicts.",
    ),
    Claim(
        "C18",
        "In a channel L - L0 ~ eps^2 and the largest eigenvalue ~ eps^-2.",
        "Flat channels to infinity",
        "2 and -2",
        c18,
        "Both exponents within 0.2 at more than nine tenths of the channels that jumps follow, "
        "by Wilson's interval; either at fewer contradicts.",
    ),
)
