"""The claims of Simsek et al. 2021, the EPFL slides and this reproduction: C1 to C18."""

from repro.teacher_student.claims import census, graph, slides

CLAIMS = {
    claim.id: claim
    for claim in sorted(
        (*census.CLAIMS, *slides.CLAIMS, *graph.CLAIMS), key=lambda claim: int(claim.id[1:])
    )
}
MAIN = "C13"  # the claim that stands for the work
