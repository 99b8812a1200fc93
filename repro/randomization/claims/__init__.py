"""The claims of Zhang et al. 2017, and of the EPFL student rerun, that runs are judged by."""

from repro.randomization.claims import (
    corruptions,
    filters,
    imagenet,
    noise,
    order,
    redrawn,
    regularizers,
    saturation,
    theory,
)
from repro.reporting.claims import Main

_PARTS = (corruptions, redrawn, noise, regularizers, theory, imagenet, order, saturation, filters)
CLAIMS = {claim.id: claim for part in _PARTS for claim in part.CLAIMS}
MAIN = Main(
    "R3",
    "A large network fits labels that were drawn at random.",
    "100 % of the training labels",
)
