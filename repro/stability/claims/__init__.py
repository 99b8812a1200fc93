"""What Wu, Ma, E 2018 and the course project that reran it say, and whether it is so here."""

from repro.stability.claims import course_project, escapes, minima

CLAIMS = {
    claim.id: claim for claim in (*minima.CLAIMS, *escapes.CLAIMS, *course_project.CLAIMS)
}
MAIN = "P11"  # the claim that stands for the work
