"""The claims of Zhang et al. 2017, and of the EPFL student rerun, that runs are judged by."""

from repro.randomization.claims import corruptions, noise, redrawn, regularizers, theory

_PARTS = (corruptions, redrawn, noise, regularizers, theory)
CLAIMS = {claim.id: claim for part in _PARTS for claim in part.CLAIMS}
MAIN = "R3"  # the claim that stands for the work
