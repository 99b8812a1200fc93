"""The claims of Simsek et al. 2021, the EPFL slides and this reproduction: C1 to C18."""

from repro.reporting.claims import Main
from repro.teacher_student.claims import census, graph, slides

CLAIMS = {
    claim.id: claim
    for claim in sorted(
        (*census.CLAIMS, *slides.CLAIMS, *graph.CLAIMS), key=lambda claim: int(claim.id[1:])
    )
}
MAIN = Main(
    "C13",
    "Students much wider than their teacher always reach zero loss; students one "
    "neuron wider often do not.",
    "always at 45 neurons for a teacher of 4",
)
