"""What Wu, Ma, E 2018 and the course project that reran it say, and whether it is so here."""

from repro.reporting.claims import Main
from repro.stability.claims import (
    batches,
    course_project,
    edge,
    escapes,
    generalization,
    minima,
    theorem,
)

CLAIMS = {
    claim.id: claim
    for part in (minima, batches, escapes, course_project, edge, generalization, theorem)
    for claim in part.CLAIMS
}
MAIN = Main(
    "P11",
    "Where gradient descent has come to rest, another batch size or learning rate"
    " leaves at once for a flatter minimum.",
    "sharpness from 19.6 to 6.70 with batches of 4, 6.58 with three times the "
    "learning rate, 3.86 with five times",
)
