"""The claims of seed 002 and of the works it rests on, C1 to C18, as checks on runs."""

from collections.abc import Callable, Sequence

import numpy as np

from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    verdict,
)
from repro.reporting.results import Run, select
from repro.reporting.stoican import channel_jumps

DEFAULT_FTOL = 1e-6  # scipy's


def protocol_runs(runs: Sequence[Run], protocol: str, **settings) -> list[Run]:
    return select(runs, protocol=protocol, **settings)


# --- counting and exactness -----------------------------------------------------------------------


def c1(runs):
    chosen = [run for run in runs if "exact" in run.result]
    if not chosen:
        return None
    e = chosen[0].result["exact"]
    measured = f"{e['grid']} points; G {e['G']}, T {e['T']}"
    holds = e["grid"] == 1681 and e["G"] == [240, 150, 30] and e["T"] == 360
    return Finding(measured, verdict([holds]), chosen[:1])


def c2(runs):
    chosen = [run for run in runs if "exact" in run.result]
    if not chosen:
        return None
    error = chosen[0].result["exact"]["half_grid_error"]
    return Finding(f"largest relative error {error:.1e}", verdict([error < 1e-12]), chosen[:1])


# --- the seed's pipeline --------------------------------------------------------------------------


def c3(runs):
    chosen = protocol_runs(runs, "seed", width=5, teacher="alternating")
    if not chosen:
        return None
    parts = []
    for run in chosen:
        negative = run.result["negative"]
        low, high = negative["wilson"]
        inside = low <= 0.347 <= high
        parts.append((inside, f"{negative['count']}/{negative['of']} after "
                              f"{run.settings['adam_steps']:,} steps ({low:.1%} to {high:.1%})"))
    measured = "; ".join(text for _, text in parts) + "; it depends on steps and precision"
    return Finding(measured, verdict([inside for inside, _ in parts]), chosen)


def c4(runs):
    chosen = [
        run for run in protocol_runs(runs, "seed", width=5) if run.settings["adam_steps"] >= 30_000
    ]  # fmt: skip
    if not chosen:
        return None
    lowest = [float(run.arrays()["lambda_min"].min()) for run in chosen]
    measured = "lowest " + ", ".join(f"{value:.1e}" for value in lowest)
    return Finding(measured, verdict([value > -1e-4 for value in lowest]), chosen)


def c5(runs):
    return _by_ftol(runs, "slsqp_positive", lambda share: share < 0.1)


def c6(runs):
    return _by_ftol(runs, "perturbed_positive", lambda share: share == 1.0)


def c7(runs):
    chosen = protocol_runs(runs, "census", width=5, teacher="alternating")
    if not chosen:
        return None
    arrays = chosen[0].arrays()
    alike = (arrays["adam_loss"] > 2e-8) & (arrays["adam_loss"] < 1e-6)
    if not alike.any():
        return Finding("no student has such a loss after Adam", INCONCLUSIVE, chosen[:1])
    zero = arrays["loss"][alike] < 1e-20
    measured = (
        f"{alike.sum()} students have such losses after Adam; descending on, {zero.sum()} of them "
        "reach a loss below 1e-20: they were no minima"
    )
    return Finding(measured, verdict([not z for z in zero]), chosen[:1])


# --- what converged points are --------------------------------------------------------------------


def c8(runs):
    chosen = protocol_runs(runs, "census", width=5, teacher="alternating")
    if not chosen:
        return None
    arrays = chosen[0].arrays()
    done = arrays["gradient_norm"] < 1e-12
    loss = np.sort(np.log10(np.maximum(arrays["loss"][done], 1e-33)))
    widest = int(np.diff(loss).argmax())
    low, high = 10 ** loss[widest], 10 ** loss[widest + 1]
    measured = f"converged losses leave out {low:.0e} to {high:.1e}: two groups, not three"
    return Finding(measured, CONTRADICTED if low < 1e-20 < high else INCONCLUSIVE, chosen[:1])


def c9(runs):
    chosen = protocol_runs(runs, "census", teacher="alternating")
    losses = [
        point["loss"] for run in chosen for point in run.result["points"]
        if point["name"].startswith("local") and point["certified"]
    ]  # fmt: skip
    if not losses:
        return None
    measured = f"{len(losses)} certified, losses {min(losses):.1e} to {max(losses):.1e}"
    return Finding(measured, verdict([any(5e-5 < loss < 2e-4 for loss in losses)]), chosen)


def c10(runs):
    lowest = {}
    for teacher in ("alternating", "ones"):
        for run in protocol_runs(runs, "census", teacher=teacher):
            for point in run.result["points"]:
                if point["certified"] and point["index"] == 0:
                    lowest[teacher] = min(point["loss"], lowest.get(teacher, np.inf))
    if "alternating" not in lowest:
        return None
    measured = ", ".join(f"{teacher} {loss:.1e}" for teacher, loss in lowest.items())
    used = protocol_runs(runs, "census")
    return Finding(f"lowest certified: {measured}", verdict([lowest["alternating"] < 9e-5]), used)


def c11(runs):
    chosen = protocol_runs(runs, "census", width=5)
    medians = []
    for run in chosen:
        arrays = run.arrays()
        medians.append(float(np.median(arrays["adam_loss"][arrays["class"] == "global"])))
    if not medians:
        return None
    measured = "median after Adam " + ", ".join(f"{value:.0e}" for value in medians)
    holds = [1e-10 < value < 1e-8 for value in medians]
    return Finding(measured + ", below 1e-20 after Newton", verdict(holds), chosen)


def c12(runs):
    chosen = protocol_runs(runs, "census")
    shares = {}
    for threshold in (1e-3, 1e-4):
        below = total = 0
        for run in chosen:
            arrays = run.arrays()
            other = np.isin(arrays["class"], ["local", "plateau", "channel"])
            total += int(other.sum())
            below += int((arrays["loss"][other] < threshold).sum())
        if not total:
            return None
        shares[threshold] = below / total
    measured = ", ".join(f"{share:.0%} below {t:g}" for t, share in shares.items())
    return Finding(f"of other points {measured}", verdict([s > 0 for s in shares.values()]), chosen)


def c13(runs):
    wide = [run for run in protocol_runs(runs, "census") if run.settings["width"] >= 10]
    narrow = protocol_runs(runs, "census", width=5)
    if not wide or not narrow:
        return None
    failing = [(run.settings["width"], 1 - run.result["counts"]["global"]["share"])
               for run in [*narrow, *wide]]  # fmt: skip
    small = [bool((run.arrays()["loss"] < 1e-8).all()) for run in wide]
    measured = ", ".join(f"width {w}: {share:.1%} not classed global" for w, share in failing)
    outcomes = [*small, all(share > 0 for w, share in failing if w == 5)]
    return Finding(f"{measured}; all wide losses below 1e-8: {all(small)}", verdict(outcomes),
                   [*narrow, *wide])  # fmt: skip


def c14(runs):
    chosen = [run for run in protocol_runs(runs, "census") if run.settings["width"] <= 7]
    typed = untyped = 0
    for run in chosen:
        kinds = run.result["kinds"]
        typed += sum(kinds.get("global", {}).values())
        untyped += kinds.get("undecided", {}).get("zero loss, no symmetry type", 0)
    if not typed:
        return None
    measured = f"{typed} of {typed + untyped} zero-loss students"
    return Finding(measured, REPRODUCED if not untyped else INCONCLUSIVE, chosen)


def c15(runs):
    chosen = protocol_runs(runs, "census")
    obey = break_ = 0
    for run in chosen:
        kinds = run.result["kinds"]
        obey += sum(kinds.get("plateau", {}).values())
        split = kinds.get("saddle", {}).items()
        break_ += sum(count for kind, count in split if kind.startswith("split"))
    if not obey + break_:
        return None
    return Finding(f"{obey} of {obey + break_} split points where descent ended",
                   verdict([not break_]), chosen)  # fmt: skip


# --- across widths --------------------------------------------------------------------------------


def c16(runs):
    chosen = protocol_runs(runs, "graph")
    if not chosen:
        return None
    arrays = chosen[0].arrays()
    share, kind = arrays["transition_share"], arrays["transition_class"]
    saddles, minima = share[kind == "saddle"], share[kind == "local"]
    if not len(saddles) or not len(minima):
        return None
    quiet = minima[:, arrays["transition_epsilon"] <= 1e-6]
    measured = (
        f"at epsilon {arrays['transition_epsilon'][0]:.0e} {saddles[:, 0].min():.0%} or more leave "
        f"each of {len(saddles)} saddles; up to 1e-6 {quiet.max():.0%} leave {len(minima)} minima"
    )
    outcomes = [bool((saddles[:, 0] == 1).all()), bool((quiet == 0).all())]
    return Finding(measured, verdict(outcomes), chosen[:1])


def c17(runs):
    chosen = protocol_runs(runs, "graph")
    if not chosen:
        return None
    inertia = {node["id"]: node.get("inertia") for node in chosen[0].result["nodes"]}
    pairs = [
        (inertia[node["parent"]], node["inertia"])
        for node in chosen[0].result["nodes"] if "parent" in node
    ]  # fmt: skip
    if not pairs:
        return None
    holds = [all(c >= p for p, c in zip(parent, child)) for parent, child in pairs]
    measured = f"{sum(holds)} of {len(holds)} embedded points"
    return Finding(measured, verdict(holds), chosen[:1])


def c18(runs):
    chosen, slopes = protocol_runs(runs, "census"), []
    for run in chosen:
        for gap, above, top in channel_jumps(run):
            slopes.append([np.polyfit(np.log(gap[:2]), np.log(above[:2]), 1)[0],
                           np.polyfit(np.log(gap), np.log(top), 1)[0]])  # fmt: skip
    if not slopes:
        return None
    loss, top = np.median(slopes, axis=0)
    measured = f"median exponents {loss:.2f} and {top:.2f} over {len(slopes)} channels"
    return Finding(measured, verdict([abs(loss - 2) < 0.2, abs(top + 2) < 0.2]), chosen)


def _by_ftol(runs: Sequence[Run], key: str, holds: Callable[[float], bool]) -> Finding | None:
    """Judge a share of successes with scipy's default tolerance, showing the others beside it."""
    chosen = [run for run in protocol_runs(runs, "seed") if run.result[key]["of"]]
    default = [run for run in chosen if run.settings["slsqp_ftol"] == DEFAULT_FTOL]
    if not default:
        return None
    measured = "; ".join(
        "ftol {:g}: {count} of {of}".format(run.settings["slsqp_ftol"], **run.result[key])
        for run in chosen
    )
    outcomes = [holds(run.result[key]["count"] / run.result[key]["of"]) for run in default]
    return Finding(measured, verdict(outcomes), chosen)


SEED, OWN = "seed 002's slides", "this reproduction"
CLAIMS = (
    Claim("C1", "1,681 points; G(4,5), G(3,5), G(2,5) and T(4,5).", SEED,
          "1681; 240, 150, 30; 360", c1),
    Claim("C2", "The loss on half the grid is the loss.", OWN, "1e-12 relative", c2),
    Claim("C3", "Share of width-5 students with a negative smallest eigenvalue.", SEED,
          "347/1000", c3),
    Claim("C4", "All negative smallest eigenvalues are small.", SEED, "yes, no number", c4),
    Claim("C5", "SLSQP from there rarely gives a positive spectrum.", SEED, "rarely", c5),
    Claim("C6", "Perturbing and SLSQP end with a positive spectrum always.", SEED, "all", c6),
    Claim("C7", "A student with a loss of 1.75e-7, then 5.92e-8, has converged to a minimum.", SEED,
          "-1.7e-6 -> 4.45e-7 in 2 perturbations", c7),
    Claim("C8", "Losses form three regimes: saddles, local minima, global minima.", SEED,
          "three clusters", c8),
    Claim("C9", "There are local minima with a loss of about 1e-4.", SEED, "1e-4", c9),
    Claim("C10", "Others have an even smaller loss.", SEED, "yes, no number", c10),
    Claim("C11", "Global minima have a loss of about 1e-9 where Adam stops.", SEED, "1e-9", c11),
    Claim("C12", "A fixed threshold of 1e-3 or 1e-4 mislabels.", SEED, "unreliable", c12),
    Claim("C13", "Wide students always reach zero loss, width 5 does not.", "Simsek et al. 2021",
          "width 45 always", c13),
    Claim("C14", "Zero-loss students are made of signed teacher, zero and constant groups.",
          f"{SEED} and {OWN}", "visually", c14),
    Claim("C15", "Plateaus obey the sign rule of Fukumizu and Amari.", "Fukumizu and Amari 2000",
          "Theorem 3", c15),
    Claim("C16", "Every small step leaves a strict saddle, none a certified minimum.", OWN,
          "16/16 and 0/16", c16),
    Claim("C17", "Embedding lowers no count of eigenvalues of a sign.", "Zhang et al. 2021",
          "always", c17),
    Claim("C18", "In a channel L - L0 ~ eps^2 and the largest eigenvalue ~ eps^-2.",
          "Flat channels to infinity", "2 and -2", c18),
)  # fmt: skip
