"""What the EPFL slides do after Adam: SLSQP at negative eigenvalues, perturb, SLSQP again."""

import dataclasses

import numpy as np
import scipy.optimize
from scipy.stats import binomtest

from repro.critical import newton
from repro.critical.escapes import direction
from repro.critical.loss import Problem
from repro.teacher_student.settings import Slides
from repro.training.resume import stop_if_asked
from repro.training.snapshots import Snapshots

# kept of every Refined
FIELDS = ("student", "loss", "lambda_min", "definite", "gradient_norm", "iterations")
ITERATIONS = 1000  # of SLSQP, at most


@dataclasses.dataclass(frozen=True)
class Refined:
    """Where SLSQP ended.

    Attributes:
      student: [d + 1, m].
      loss, gradient_norm, lambda_min: there; the norm is the largest component.
      definite: whether lambda_min is above what counts as zero, 1e-11 of the largest eigenvalue.
      iterations: SLSQP's; 1 says that it stopped where it was started.
    """

    student: np.ndarray
    loss: float
    gradient_norm: float
    lambda_min: float
    definite: bool
    iterations: int


def slsqp(student: np.ndarray, given: Problem, ftol: float) -> Refined:
    """Run scipy's SLSQP from a student [d + 1, m]; a signal may end it on the way.

    Its only criterion is `ftol` on the loss, 1e-6 by default. Losses here are below 1e-3, so the
    default stops after one iteration; ftol = 1e-30 makes it an optimiser.
    """

    def value(flat):
        stop_if_asked()
        loss, gradient, _ = newton.evaluate(flat.reshape(1, *student.shape), given)
        return float(loss[0]), gradient[0]

    done = scipy.optimize.minimize(
        value,
        student.ravel(),
        jac=True,
        method="SLSQP",
        options={"ftol": ftol, "maxiter": ITERATIONS},
    )
    end = done.x.reshape(student.shape)
    loss, gradient, hessian = newton.evaluate(end[None], given)
    spectrum = np.linalg.eigvalsh(hessian)
    return Refined(
        end,
        float(loss[0]),
        float(np.abs(gradient).max()),
        float(spectrum[0, 0]),
        bool(spectrum[0, 0] > newton.zero_tolerance(spectrum)[0]),
        int(done.nit),
    )


def until_positive(
    refined: Refined, number: int, given: Problem, settings: Slides
) -> tuple[Refined, int]:
    """Perturb by epsilon, run SLSQP, and repeat from there until lambda_min > 0.

    Args:
      refined: where SLSQP ended without a perturbation.
      number: the student's, which keys its perturbations.
      given: the problem.
      settings: epsilon, slsqp_ftol, the seed, and at most how many perturbations.

    Returns:
      the last point and the number of perturbations; its lambda_min says whether they succeeded.
    """
    s = settings
    for attempt in range(1, s.max_perturbations + 1):
        step = direction(s.seed, number, attempt, refined.student.shape)
        refined = slsqp(refined.student + s.epsilon * step, given, s.slsqp_ftol)
        if refined.lambda_min > 0:
            break
    return refined, attempt


def negative(theta: np.ndarray, given: Problem) -> np.ndarray:
    """Return the numbers of the students [S, 3, m] whose smallest eigenvalue is negative."""
    _, _, hessians = newton.evaluate(theta, given)
    return np.flatnonzero(np.linalg.eigvalsh(hessians)[:, 0] < 0)


def refine(store: Snapshots, position: int, given: Problem, settings: Slides) -> None:
    """Take up, one by one, the students with a negative eigenvalue that are left.

    The state gets `slsqp_<field>` and `perturbed_<field>` for each of FIELDS, and `attempts`, a
    number for each student that is done.

    Args:
      store: of the state, saved after each student at a position.
      position: the number of pieces of work before this one.
      given: the problem.
      settings: of the run.
    """
    theta = store.state["theta"].astype(np.float64)
    examined = negative(theta, given)[: settings.slsqp_students]
    for student in examined[len(store.state.get("attempts", ())) :]:
        refined = slsqp(theta[student], given, settings.slsqp_ftol)
        perturbed, attempts = until_positive(refined, int(student), given, settings)
        ends = {"slsqp": refined, "perturbed": perturbed}
        new = {f"{name}_{f}": getattr(end, f) for name, end in ends.items() for f in FIELDS}
        before = store.state
        for name, value in (new | {"attempts": attempts}).items():
            values = [*before.get(name, ()), value]
            store.state = store.state | {name: np.array(values)}
        store.save(position)
        stop_if_asked()


def summarize(store: Snapshots, given: Problem, settings: Slides) -> tuple[dict, dict]:
    """Return the result and arrays: per student and, with a prefix, per student taken up."""
    theta = store.state["theta"].astype(np.float64)
    losses, gradients, hessians = newton.evaluate(theta, given)
    lowest = np.linalg.eigvalsh(hessians)[:, 0]
    all_negative = np.flatnonzero(lowest < 0)
    names = [f"{name}_{field}" for name in ("slsqp", "perturbed") for field in FIELDS]
    arrays = {name: store.state.get(name, np.array([])) for name in (*names, "attempts")}
    of = len(arrays["attempts"])
    flipped, succeeded = (
        int((arrays[f"{name}_lambda_min"] > 0).sum()) for name in ("slsqp", "perturbed")
    )
    result = {
        "summary": f"{len(all_negative)} of {len(theta)} students with a negative smallest "
        f"eigenvalue; SLSQP flips {flipped} of {of}, perturbing {succeeded}",
        "negative": _share(len(all_negative), len(theta)),
        "slsqp_positive": _share(flipped, of),
        "perturbed_positive": _share(succeeded, of),
        "perturbed_definite": _share(int(np.sum(arrays["perturbed_definite"])), of),
        "slsqp_one_iteration": int((arrays["slsqp_iterations"] <= 1).sum()),
    }
    return result, arrays | {
        "loss": losses,
        "gradient_norm": np.abs(gradients).max(axis=1),
        "lambda_min": lowest,
        "incoming": theta[:, :-1].transpose(0, 2, 1),
        "outgoing": theta[:, -1],
        "examined": all_negative[: settings.slsqp_students],
        "trajectory": store.state["trajectory"],
    }


def _share(hits: int, trials: int) -> dict:
    interval = None
    if trials:
        bounds = binomtest(hits, trials).proportion_ci(method="wilson")
        interval = [float(bound) for bound in bounds]
    return {"count": hits, "of": trials, "wilson": interval}
