"""The claims of Liu et al. 2020, and of its JAX rerun, that runs are judged by."""

from repro.bad_minima.claims import combinations, departures, gaps, norms, starts, sweeps

_PARTS = (starts, gaps, combinations, norms, sweeps, departures)
_ALL = [claim for part in _PARTS for claim in part.CLAIMS]
CLAIMS = {claim.id: claim for claim in sorted(_ALL, key=lambda claim: int(claim.id[1:]))}
MAIN = "B6"  # the claim that stands for the work
