"""What Wu, Ma, E 2018 and the course project that reran it say, and whether it is so here."""

from repro.reporting.claims import Main
from repro.stability.claims import (
    batches,
    by_setting,
    course_project,
    edge,
    escapes,
    generalization,
    minima,
    other_escapes,
    theorem,
)

PARTS = (
    minima,
    batches,
    escapes,
    by_setting,
    course_project,
    edge,
    generalization,
    theorem,
    other_escapes,
)
CLAIMS = {claim.id: claim for part in PARTS for claim in part.CLAIMS}
MAIN = Main(
    "P11",
    "Where gradient descent has come to rest, another batch size or learning rate"
    " leaves at once for a flatter minimum.",
    "sharpness from 19.6 to 6.70 with batches of 4, 6.58 with three times the "
    "learning rate, 3.86 with five times",
)
