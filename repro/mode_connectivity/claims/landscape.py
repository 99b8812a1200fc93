"""Claims of works beyond Gotmare et al. 2018: Li et al. 2018, M15; Ainsworth et al. 2022, M16."""

import numpy as np

from repro.mode_connectivity.ends import unfinished
from repro.mode_connectivity.landscape_figures import ALIGNED, iterate_name
from repro.reporting import statistics
from repro.reporting.claims import Claim, Finding, agreed, of_seeds, undecided, verdict
from repro.reporting.results import select

LI = 0.4  # the least share of a descent path that two directions held


def m15(runs):
    chosen = select(runs, stage="slice", directions="pca", dimensions=2)
    if not chosen:
        return None
    shares = [float(np.sum(run.result["explained_centred"])) for run in chosen]
    measured = ", ".join(
        f"{share:.0%} of the variance about their mean of the iterates up to "
        f"{iterate_name(run.settings['from'])}"
        for share, run in zip(shares, chosen)
    )

    def holds(least: float) -> str:
        return verdict([share >= least for share in shares])

    sensitivity = statistics.sensitivity(holds, LI)
    return Finding(measured, holds(LI), chosen, "one path each; exact for it", sensitivity)


def m16(runs):
    found = {
        kind: {run.settings["seed"]: run for run in select(runs, stage="evaluate", align=kind)}
        for kind in ALIGNED
    }
    seeds = sorted(set.intersection(*map(set, found.values())))
    if not seeds:
        return None
    used = [found[kind][seed] for seed in seeds for kind in ALIGNED]
    barriers = {
        kind: [found[kind][seed].result["segment_barrier"]["over_chord"] for seed in seeds]
        for kind in ALIGNED
    }
    measured = "barrier over the chord " + ", ".join(
        f"{'/'.join(f'{barrier:.3g}' for barrier in barriers[kind])} {words}"
        for kind, words in ALIGNED.items()
    )
    parts = []
    for kind in ("weights", "activations"):
        if len(seeds) > 1:
            lower = statistics.paired(barriers["none"], barriers[kind])
            parts.append(statistics.above(lower, 0))
        else:
            parts.append(verdict([barriers[kind][0] < barriers["none"][0]]))
    error = f"Student's t over {len(seeds)} pairs, one a seed" if len(seeds) > 1 else ""
    finding = Finding(measured, agreed(parts), used, error)
    return of_seeds(undecided(finding, unfinished(used)))


CLAIMS = (
    Claim(
        "M15",
        "Two directions hold at least 40 % of a descent path.",
        "Li et al. 2018, section 7",
        "40 to 90 %",
        m15,
        "At least 40 % of the iterates' variance about their mean, on every path. A low "
        "bar: of a "
        "random walk in as many dimensions two directions hold about 76 %.",
    ),
    Claim(
        "M16",
        "Permuting neurons to match lowers the barrier of a segment.",
        "Ainsworth et al. 2022",
        "to zero for wide networks",
        m16,
        "Matched by weights and matched by activations, lower over the chord beyond the "
        "95 % interval "
        "of Student's t over pairs of three seeds; modes that fit 99 % of the training "
        "set or had the "
        "paper's 200 epochs.",
        to_decide="Modes of all 200 epochs and three pairs of seeds: "
        "`mode_connectivity/alignment` at scale paper.",
    ),
)
