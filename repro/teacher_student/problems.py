"""The problem that a teacher sets its students, in float64 and in ball arithmetic."""

import functools

from repro.critical import loss, proofs
from repro.critical.intervals import ExactProblem
from repro.teacher_student import teacher as teachers
from repro.teacher_student.teacher import Teacher


@functools.cache  # one object, so that what is compiled for it is found again
def problem(net: Teacher) -> loss.Problem:
    """Return the problem on half the grid or, with biases, on all of it."""
    return loss.problem(teachers.inputs(net), net.weights, net.signs, halved=not net.biases)


@functools.cache  # ball arithmetic takes its time
def exact(net: Teacher) -> ExactProblem:
    """Return the same problem in ball arithmetic, from the teacher's decimals."""
    return proofs.exact(teachers.inputs(net), net.incoming, net.outgoing, halved=not net.biases)
