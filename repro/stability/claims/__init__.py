"""What Wu, Ma, E 2018 and the course project that reran it say, and whether it is so here."""

from repro.stability.claims import batches, course_project, escapes, minima

CLAIMS = {
    claim.id: claim for part in (minima, batches, escapes, course_project) for claim in part.CLAIMS
}
MAIN = "P11"  # the claim that stands for the work
