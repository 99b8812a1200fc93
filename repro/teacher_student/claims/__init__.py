"""The claims of Simsek et al. 2021, what follows it and this reproduction: C1 to C23."""

from repro.reporting.claims import Main
from repro.teacher_student.claims import census, channels, graph, perturbations, slides, zero

_PARTS = (census, zero, slides, perturbations, graph, channels)
CLAIMS = {
    claim.id: claim
    for claim in sorted(
        (claim for part in _PARTS for claim in part.CLAIMS),
        key=lambda claim: int(claim.id[1:]),
    )
}
MAIN = Main(
    "C13",
    "Students much wider than their teacher always reach zero loss; students one "
    "neuron wider often do not.",
    "always at 45 neurons for a teacher of 4",
)
