"""What do students of a four-neuron teacher converge to?

Students 2-m-1 (sigmoid, without biases unless --biases) learn the teacher's 1,681 labels by
full-batch Adam. Then

* census  descends by damped Newton steps to a gradient below 1e-12, gives every student a class,
          and certifies every distinct critical point in ball arithmetic.
* slides  does what the EPFL slides say: smallest Hessian eigenvalue; SLSQP where it is negative;
          perturb by --epsilon and SLSQP again until it is positive.
* graph   takes all widths from 1 to --hidden to critical points, splits the neurons of all minima,
          certifies the plateaus and saddles that makes, steps off the saddles, and perturbs one
          point of each class by a range of lengths.

Where this departs from the slides, or fills what they do not say:

* The teacher's incoming weights are those of the 2021 paper's code; its outgoing weights are the
  slides' (1, -1, 1, -1), or that code's (1, 1, 1, 1) with --teacher=ones.
* Number of Adam steps, initial weights, epsilon and SLSQP's tolerance are not stated: flags.
* Loss and Hessian are exact on half the grid (critical/loss.py) and in float64, as float32's
  errors of 1e-8 to 4e-7 in eigenvalues exceed many of them. With --biases, which neither the paper
  nor the slides have, they are computed on all of it.
"""

import json
import time
from collections.abc import Mapping

from repro.critical import census as censuses
from repro.teacher_student import descent, exactness, family
from repro.teacher_student import slides as slides_
from repro.teacher_student import teacher as teachers
from repro.teacher_student.opening import open_run
from repro.teacher_student.problems import exact, problem
from repro.teacher_student.settings import Census, Graph, Slides, Students
from repro.training.resume import resume
from repro.training.runs import Job
from repro.training.snapshots import Snapshots

__all__ = ["open_run", "run"]


def run(settings: Students, job: Job) -> dict:
    """Train students, look where they are, and return the result of the run."""
    return {"census": census, "slides": slides, "graph": graph}[settings.stage](settings, job)


def census(settings: Census, job: Job) -> dict:
    """Descend to critical points, classify and certify them; write arrays and certificates."""
    s, net = settings, teachers.get(settings.teacher, biases=bool(settings.biases))
    given = problem(net)
    store = Snapshots(job.checkpoints, descent.start(s, s.hidden), chief=job.directory.chief)
    adams = descent.adam_pieces(s)

    def piece(number: int, row: Mapping) -> dict:
        if number <= adams:
            return descent.adam_piece(number, row, store, given, s, job.strategy)
        return descent.newton_piece(
            number, row, store, given, adams, s.newton_iterations, job.strategy
        )

    last = adams + descent.newton_pieces(s.newton_iterations)
    row = resume(job, store, piece, lambda row: row.get("epoch", 0) >= last)

    began, state = time.perf_counter(), store.state
    result, arrays, certificates = censuses.take(
        state["theta"], given, exact(net), _named(net), s.newton_iterations
    )
    arrays |= censuses.after_adam(state["trained"], given)
    job.directory.save_arrays(**arrays, trajectory=state["trajectory"])
    _write(certificates, job)
    what = f"students of width {s.hidden}"
    return result | _headline(s, what, _newton(s), descent.seconds(row, began))


def slides(settings: Slides, job: Job) -> dict:
    """Do what the slides do after Adam; write arrays."""
    s = settings
    given = problem(teachers.get(s.teacher, biases=bool(s.biases)))
    store = Snapshots(job.checkpoints, descent.start(s, s.hidden), chief=job.directory.chief)
    adams = descent.adam_pieces(s)

    def piece(number: int, row: Mapping) -> dict:
        if number <= adams:
            return descent.adam_piece(number, row, store, given, s, job.strategy)
        began = time.perf_counter()
        slides_.refine(store, adams, given, s)
        return {**row, "status": "complete", "seconds": descent.seconds(row, began)}

    row = resume(job, store, piece, lambda row: False)  # the last piece says that it is complete

    result, arrays = slides_.summarize(store, given, s)
    job.directory.save_arrays(**arrays)
    after = "no SLSQP"
    if s.slsqp_students:
        after = f"SLSQP with ftol {s.slsqp_ftol:g}, epsilon {s.epsilon:g}"
    return result | _headline(s, f"students of width {s.hidden}", after, row["seconds"])


def graph(settings: Graph, job: Job) -> dict:
    """Trace critical points across widths; write the transition plot's arrays and certificates."""
    s, net = settings, teachers.get(settings.teacher, biases=bool(settings.biases))
    given = problem(net)
    store = Snapshots(job.checkpoints, {}, chief=job.directory.chief)

    def piece(number: int, row: Mapping) -> dict:
        return descent.width_piece(number, row, store, given, s, s.newton_iterations, job.strategy)

    row = resume(job, store, piece, lambda row: row.get("epoch", 0) >= s.hidden)

    began = time.perf_counter()
    ends = {hidden: store.state[f"width_{hidden}"] for hidden in range(1, s.hidden + 1)}
    result, arrays, certificates = family.trace(
        ends, given, exact(net), _named(net), s.newton_iterations, s.seed
    )
    result["exact"] = exactness.check(teachers.whole_grid(net), net.output(teachers.grid()), given)
    job.directory.save_arrays(**arrays)
    _write(certificates, job)
    what = f"students of each width up to {s.hidden}"
    return result | _headline(s, what, _newton(s), descent.seconds(row, began))


def _headline(settings: Students, what: str, after: str, seconds: float) -> dict:
    """Return what every result says: in one line what was done, and how long it took."""
    s = settings
    protocol = (
        f"{s.num_students:,} {what}{' with biases' if s.biases else ''}, teacher {s.teacher}, "
        f"{s.init} start, Adam "
        f"{s.learning_rate:g} for {s.adam_steps:,} steps in {s.adam_precision}, {after}, "
        f"seed {s.seed}"
    )
    return {"protocol": protocol, "seconds": seconds}


def _newton(settings: Census | Graph) -> str:
    return f"at most {settings.newton_iterations:,} Newton iterations"


def _write(certificates: Mapping, job: Job) -> None:
    """Write certificates by name into one file, for repro.teacher_student.verify; maybe none."""
    if job.directory.chief:
        text = json.dumps(certificates, indent=1) + "\n"
        job.directory.write("certificates.json", text.encode())


def _named(net: teachers.Teacher) -> tuple:
    return net.name, net.weights, net.signs
