"""Simsek et al. (ICML 2021) and seed 002: what do students of a four-neuron teacher converge to?

    python -m repro.teacher_student --protocol=census --width=5 --num_students=1000
    python -m repro.teacher_student --verify=outputs/.../certificates.json

Students 2-m-1 (sigmoid, no biases) learn the teacher's 1,681 labels by full-batch Adam. Then

* --protocol=seed   does what the slides say: smallest Hessian eigenvalue; SLSQP where it is
                    negative; perturb by --epsilon and SLSQP again until it is positive.
* --protocol=census descends by damped Newton steps to a gradient below 1e-12, gives every student
                    a class, and certifies every distinct critical point in ball arithmetic.
* --protocol=graph  takes a census of every width from 1 to --width, splits the neurons of all
                    minima, certifies the plateaus and saddles that makes, steps off the saddles,
                    and perturbs one point of each class by a range of lengths.

Where this departs from the slides, or fills what they do not say:
* The teacher's incoming weights are those of the 2021 paper's code; its outgoing weights are the
  slides' (1, -1, 1, -1), or that code's (1, 1, 1, 1) with --teacher=ones.
* Number of Adam steps, initial weights, epsilon and SLSQP's tolerance are not stated: flags.
* Loss and Hessian are exact on half the grid (critical/loss.py) and in float64, as float32's
  errors of 1e-8 to 4e-7 in eigenvalues exceed many of them.
"""

import json
import time
from pathlib import Path

from absl import app, flags

from repro import common_flags
from repro.data import teacher as teachers

MODULE = "repro.teacher_student"
# --checkpoint_every counts pieces of this many Adam steps or Newton iterations.
ADAM_PIECE, NEWTON_PIECE = 1000, 100
FOLLOWED = 24  # students whose neurons' paths are kept for figures
# Defaults of flags that belong to one protocol.
SEED_ONLY = {"slsqp_ftol": 1e-6, "epsilon": 0.01, "max_perturbations": 20, "seed_students": 60}
CENSUS_ONLY = {"newton_iterations": 3000}


def define_flags():
    common_flags.define_run(checkpoint_unit=f"Thousands of Adam steps, {NEWTON_PIECE}s of Newton's")
    flags.adopt_module_key_flags(common_flags)
    flags.DEFINE_enum("protocol", "census", ["seed", "census", "graph"], "What is done after Adam.")
    flags.DEFINE_enum("teacher", "alternating", list(teachers.TEACHERS), "Outgoing weights.")
    flags.DEFINE_integer("width", 5, "Hidden neurons of a student.", lower_bound=1)
    flags.DEFINE_integer("num_students", 1000, "How many are trained.", lower_bound=1)
    flags.DEFINE_enum("init", "glorot", ["glorot", "torch"], "Initial weights.")
    flags.DEFINE_integer("adam_steps", 30_000, "Full-batch steps.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 1e-4, "Of Adam.", lower_bound=0.0)
    flags.DEFINE_enum("adam_precision", "float64", ["float64", "float32"], "Of Adam only.")
    flags.DEFINE_integer("newton_iterations", None, "census: at most. 3000.", lower_bound=1)
    flags.DEFINE_float("slsqp_ftol", None, "seed: of scipy's SLSQP. 1e-6, scipy's default.")
    flags.DEFINE_float("epsilon", None, "seed: length of a perturbation. 0.01.")
    flags.DEFINE_integer("max_perturbations", None, "seed: tries per student. 20.", lower_bound=1)
    flags.DEFINE_integer(
        "seed_students", None, "seed: at most so many negative ones go on to SLSQP. 60.",
        lower_bound=0,
    )
    flags.DEFINE_string("verify", None, "Check the certificates in this file instead of a run.")


def run(
    *,
    protocol: str,
    teacher: str,
    width: int,
    num_students: int,
    init: str,
    adam_steps: int,
    learning_rate: float,
    adam_precision: str,
    newton_iterations: int | None,
    slsqp_ftol: float | None,
    epsilon: float | None,
    max_perturbations: int | None,
    seed_students: int | None,
    seed: int,
    run_directory,
    environment: dict,
    checkpoint_every: int = 1,
) -> dict:
    """Train students, look where they are, and return the result of the run.

    Arguments are the flags of the same names; `run_directory` is a training.runs.RunDirectory.
    """
    import numpy as np

    from repro.critical import adam, census, family, loss, proofs, slides
    from repro.training import snapshots

    net = teachers.get(teacher)
    given = loss.problem(teachers.half_grid(), net.weights, net.signs)
    exact = proofs.exact(teachers.half_grid(), net.incoming, net.outgoing)
    named = (net.name, net.weights, net.signs)
    place = run_directory.path / "checkpoints"
    state = snapshots.load(place)
    text = (
        f"{num_students:,} students of width {width}, teacher {teacher}, {init} start, "
        f"Adam {learning_rate:g} for {adam_steps:,} steps in {adam_precision}, "
    )
    if protocol == "graph":
        starts = {r: adam.INITIALIZERS[init](seed, num_students, r) for r in range(1, width + 1)}
        adam_options = {"learning_rate": learning_rate, "precision": adam_precision}
        run_directory.begin(len(state or ()), environment)
        ends = _ends(starts, state or {}, given, adam_steps, adam_options, newton_iterations,
                     run_directory)  # fmt: skip
        result, arrays, proofs = family.trace(ends, given, exact, named, newton_iterations, seed)
        _write_certificates(run_directory, proofs)
        run_directory.save_arrays(**arrays)
        result["exact"] = _exactness(net, given)
        text = text.replace(" of width ", " of each width up to ")
        return {**result, "protocol": f"{text}at most {newton_iterations:,} Newton iterations"}
    if state is None:
        theta = adam.INITIALIZERS[init](seed, num_students, width)
        state = {
            "theta": theta.astype(adam_precision), "moments": np.zeros((2, *theta.shape)),
            "damping": np.zeros(num_students), "adam_steps": np.array(0),
            "newton_iterations": np.array(0), "trajectory": theta[None, :FOLLOWED],
        }  # fmt: skip
    pieces = -(-int(state["adam_steps"]) // ADAM_PIECE)
    run_directory.begin(pieces + int(state["newton_iterations"]) // NEWTON_PIECE, environment)
    keep = _keeper(run_directory, place, checkpoint_every, given)

    started = time.monotonic()
    state = _train(state, given, adam_steps, learning_rate, adam_precision, keep)
    seconds = {"adam": time.monotonic() - started}
    trained = state["theta"].astype(np.float64)
    if protocol == "seed":
        result, arrays = slides.follow_slides(
            trained, given, ftol=slsqp_ftol, epsilon=epsilon, attempts=max_perturbations,
            at_most=seed_students, seed=seed,
        )  # fmt: skip
        text += f"SLSQP with ftol {slsqp_ftol:g}, epsilon {epsilon:g}"
    else:
        state = _descend(state, given, newton_iterations, adam_steps, keep)
        seconds["newton"] = time.monotonic() - started - seconds["adam"]
        result, arrays, proofs = census.take(
            state["theta"], given, exact, named, newton_iterations
        )
        arrays |= _after_adam(state["trained"], given)
        _write_certificates(run_directory, proofs)
        text += f"at most {newton_iterations:,} Newton iterations"
    run_directory.save_arrays(**arrays, trajectory=state["trajectory"])
    seconds["all"] = time.monotonic() - started
    return {**result, "protocol": f"{text}, seed {seed}", "seconds": seconds}


def _keeper(run_directory, place, every: int, given):
    """Return a function that logs a state after each piece of work and saves every so many."""
    import numpy as np

    from repro.critical import newton
    from repro.training import snapshots

    def keep(state: dict, piece: int, step: int, last: bool) -> None:
        losses, gradients, hessians = newton.evaluate(state["theta"].astype(np.float64), given)
        lowest = np.linalg.eigvalsh(hessians)[:, 0]
        run_directory.log({
            "epoch": piece, "step": step, "students/median_loss": float(np.median(losses)),
            "students/zero_loss": float((losses < 1e-20).mean()),
            "students/negative_lambda_min": float((lowest < 0).mean()),
            "students/lowest_lambda_min": float(lowest.min()),
            "students/median_gradient": float(np.median(np.abs(gradients).max(axis=1))),
        })  # fmt: skip
        if last or piece % every == 0:
            snapshots.save(place, **state)

    return keep


def _train(state, given, steps, learning_rate, precision, keep) -> dict:
    """Take the Adam steps that are left, in pieces."""
    import numpy as np

    from repro.critical import adam

    while (done := int(state["adam_steps"])) < steps:
        piece = min(ADAM_PIECE, steps - done)
        theta, moments = adam.train(
            state["theta"], state["moments"], given, start=done, steps=piece,
            learning_rate=learning_rate, precision=precision,
        )  # fmt: skip
        path = np.concatenate([state["trajectory"], theta[None, :FOLLOWED]])
        state = state | {
            "theta": theta, "moments": moments, "adam_steps": np.array(done + piece),
            "trajectory": path,
        }  # fmt: skip
        keep(state, -(-(done + piece) // ADAM_PIECE), done + piece, done + piece == steps)
    return state


def _descend(state, given, iterations, adam_steps, keep) -> dict:
    """Take the Newton iterations that are left, in pieces, until all students have converged."""
    import numpy as np

    from repro.critical import newton

    offset = -(-adam_steps // ADAM_PIECE)
    if not int(state["newton_iterations"]):
        trained = state["theta"].astype(np.float64)
        state = state | {"trained": trained, "theta": trained}
    while (done := int(state["newton_iterations"])) < iterations:
        damping = state["damping"] if done else np.full(len(state["theta"]), newton.DAMPING_START)
        theta, damping = newton.descend(state["theta"], damping, given, NEWTON_PIECE)
        still = np.array_equal(theta, state["theta"])
        done = iterations if still else done + NEWTON_PIECE
        state = state | {"theta": theta, "damping": damping, "newton_iterations": np.array(done)}
        if not still:
            keep(state, offset + done // NEWTON_PIECE, adam_steps + done, done >= iterations)
    return state


def _ends(starts, state, given, adam_steps, adam_options, iterations, run_directory) -> dict:
    """Return, per width, where students [S, 3, m] end after Adam and Newton; keep each width."""
    import numpy as np

    from repro.critical import adam, newton
    from repro.training import snapshots

    for width, theta in starts.items():
        if f"width_{width}" not in state:
            moments = np.zeros((2, *theta.shape))
            theta, _ = adam.train(
                theta, moments, given, start=0, steps=adam_steps, **adam_options
            )
            damping = np.full(len(theta), newton.DAMPING_START)
            theta, _ = newton.descend(theta.astype(np.float64), damping, given, iterations)
            state = state | {f"width_{width}": theta}
            losses, _, _ = newton.evaluate(theta, given)
            run_directory.log({
                "epoch": width, "step": width, "students/zero_loss": float((losses < 1e-20).mean())
            })  # fmt: skip
            snapshots.save(run_directory.path / "checkpoints", **state)
    return {width: state[f"width_{width}"] for width in starts}


def _exactness(net, given) -> dict:
    """Return counts, and the half grid's largest relative error over 100 random students."""
    import numpy as np

    from repro.critical import counting, newton

    grid, theta = teachers.grid(), np.random.default_rng(0).uniform(-1.5, 1.5, (100, 3, 5))
    outputs = [a @ (1 / (1 + np.exp(-(grid @ np.stack([x, y])).T))) for x, y, a in theta]
    full = np.mean((np.array(outputs) - net.output(grid)) ** 2, axis=1)
    half, _, _ = newton.evaluate(theta, given)
    return {
        "grid": len(grid), "G": [counting.critical_subspaces(r, 5) for r in (4, 3, 2)],
        "T": counting.global_subspaces(4, 5),
        "half_grid_error": float(np.abs(half / full - 1).max()),
    }  # fmt: skip


def _after_adam(trained, given) -> dict:
    """Return where Adam stopped and how it looked there, for figures."""
    import numpy as np

    from repro.critical import newton

    losses, gradients, hessians = newton.evaluate(trained, given)
    return {
        "adam_loss": losses, "adam_gradient_norm": np.abs(gradients).max(axis=1),
        "adam_lambda_min": np.linalg.eigvalsh(hessians)[:, 0], "adam_theta": trained,
    }  # fmt: skip


def _write_certificates(run_directory, proofs: dict) -> None:
    """Write all certificates of a run, by name, to one file for --verify."""
    file = run_directory.path / "certificates.json"
    file.write_text(json.dumps(proofs, indent=1) + "\n")


def verify(file: str) -> int:
    """Prove all certificates in a file again and return their number.

    Raises:
      ValueError: the file is missing or no JSON, or a certificate does not prove its claim.
    """
    from repro.critical import certificates, proofs

    try:
        content = json.loads(Path(file).read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot read certificates from {file}: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{file} holds no certificates")
    named = {"the certificate": content} if "kind" in content else content
    for name, certificate in named.items():
        if not isinstance(certificate, dict):
            raise ValueError(f"{name} in {file} is no certificate")
        net = teachers.get(certificate.get("teacher", ""))
        exact = proofs.exact(teachers.half_grid(), net.incoming, net.outgoing)
        try:
            certificates.verify(certificate, exact)
        except certificates.InvalidCertificate as error:
            raise ValueError(f"{name} in {file} is not valid: {error}") from error
    return len(named)


def main(argv):
    common_flags.reject_stray_arguments(argv)
    values = common_flags.values()
    if (file := values.pop("verify")) is not None:
        print(f"{verify(file)} certificates hold")
        return
    seed_protocol = values["protocol"] == "seed"
    own, others = (SEED_ONLY, CENSUS_ONLY) if seed_protocol else (CENSUS_ONLY, SEED_ONLY)
    if given := [name for name in others if values[name] is not None]:
        raise ValueError(f"--{given[0]} is not for --protocol={values['protocol']}")
    values |= {name: default for name, default in own.items() if values[name] is None}
    for name in ("slsqp_ftol", "epsilon", "learning_rate"):
        if values[name] is not None and not values[name] > 0:
            raise ValueError(f"--{name} must be positive, not {values[name]:g}")
    name = "-".join([
        values["protocol"], values["teacher"], f"m{values['width']}", f"n{values['num_students']}",
        f"seed{values['seed']}",
    ])  # fmt: skip
    unsaid, no_sweeps = {}, Path("nowhere")
    common_flags.run_binary(MODULE, values, unsaid, no_sweeps, name, run)


if __name__ == "__main__":
    define_flags()
    app.run(common_flags.end_with_one_line(main))
