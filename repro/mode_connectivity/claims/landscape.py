"""Claims of works beyond Gotmare et al. 2018: Li et al. 2018, M15; Ainsworth et al. 2022, M16."""

import itertools

import numpy as np

from repro.mode_connectivity.landscape_figures import ALIGNED, iterate_name
from repro.reporting.claims import Claim, Finding, verdict
from repro.reporting.results import only, select

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
    return Finding(measured, verdict([share >= LI for share in shares]), chosen)


def m16(runs):
    found = {kind: only(runs, stage="evaluate", align=kind) for kind in ALIGNED}
    if None in found.values():
        return None
    barriers = {kind: run.result["segment_barrier"]["over_chord"] for kind, run in found.items()}
    measured = "barrier over the chord " + ", ".join(
        f"{barriers[kind]:.3g} {words}" for kind, words in ALIGNED.items()
    )
    lower = [barriers[kind] < barriers["none"] for kind in ("weights", "activations")]
    return Finding(measured, verdict(lower), list(found.values()))


CLAIMS = tuple(itertools.starmap(Claim, (
    ("M15", "Two directions hold at least 40 % of a descent path.", "Li et al. 2018, section 7",
     "40 to 90 %", m15),
    ("M16", "Permuting neurons to match lowers the barrier of a segment.", "Ainsworth et al. 2022",
     "to zero for wide networks", m16),
)))
