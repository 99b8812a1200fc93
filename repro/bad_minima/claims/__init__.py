"""The claims of Liu et al. 2020, and of its JAX rerun, that runs are judged by."""

from repro.bad_minima.claims import departures, gaps, norms, sweeps

_ALL = [*gaps.CLAIMS, *norms.CLAIMS, *sweeps.CLAIMS, *departures.CLAIMS]
CLAIMS = {claim.id: claim for claim in sorted(_ALL, key=lambda claim: int(claim.id[1:]))}
MAIN = "B6"  # the claim that stands for the work
