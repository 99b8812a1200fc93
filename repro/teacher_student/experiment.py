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

import functools
import json
import time
from pathlib import Path

from absl import app, flags

from repro import common_flags
from repro.teacher_student import teacher as teachers

MODULE = "repro.teacher_student"
# Defaults of flags that belong to one protocol.
SEED_ONLY = {"slsqp_ftol": 1e-6, "epsilon": 0.01, "max_perturbations": 20, "seed_students": 60}
CENSUS_ONLY = {"newton_iterations": 3000}


def define_flags():
    common_flags.define_run(checkpoint_unit="Thousands of Adam steps, hundreds of Newton's")
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
    flags.DEFINE_integer("seed_students", None, "seed: at most, to SLSQP. 60.", lower_bound=0)
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
    from repro.critical import adam, pieces
    from repro.training import snapshots

    net = teachers.get(teacher)
    given = _problem(net)
    draw = functools.partial(adam.INITIALIZERS[init], seed, num_students)
    options = {"steps": adam_steps, "learning_rate": learning_rate, "precision": adam_precision}
    keep = _keeper(run_directory, given, checkpoint_every)
    saved = snapshots.load(run_directory.path / "checkpoints")
    started = time.monotonic()
    if protocol == "graph":
        run_directory.begin(len(saved or ()), environment)
        starts = {narrow: draw(narrow) for narrow in range(1, width + 1)}
        ends = pieces.each_width(
            starts, saved or {}, given, **options, iterations=newton_iterations, keep=keep
        )
        result = _graph(ends, given, net, newton_iterations, seed, run_directory)
    else:
        state = saved or pieces.start(draw(width), adam_precision)
        run_directory.begin(pieces.done(state), environment)
        state = pieces.train(state, given, **options, keep=keep)
        if protocol == "census":
            result = _census(state, given, net, newton_iterations, keep, run_directory)
        else:
            result = _slides(
                state, given, run_directory, ftol=slsqp_ftol, epsilon=epsilon,
                attempts=max_perturbations, at_most=seed_students, seed=seed,
            )  # fmt: skip
    if saved is None:  # else it took longer
        result["seconds"] = time.monotonic() - started
    up_to, after = "each width up to" if protocol == "graph" else "width", result.pop("after")
    result["protocol"] = (
        f"{num_students:,} students of {up_to} {width}, teacher {teacher}, {init} start, Adam "
        f"{learning_rate:g} for {adam_steps:,} steps in {adam_precision}, {after}, seed {seed}"
    )
    return result


def _graph(ends, given, net, iterations: int, seed: int, run_directory) -> dict:
    """Trace critical points across widths; write the transition plot's arrays and certificates."""
    from repro.critical import exactness, family

    result, arrays, proofs = family.trace(ends, given, _exact(net), _named(net), iterations, seed)
    result["exact"] = exactness.check(teachers.grid(), net.output(teachers.grid()), given)
    return _write(run_directory, result, arrays, proofs) | {"after": _newton(iterations)}


def _census(state, given, net, iterations: int, keep, run_directory) -> dict:
    """Descend to critical points, classify and certify them; write arrays and certificates."""
    from repro.critical import census, pieces

    state = pieces.descend(state, given, iterations, keep)
    result, arrays, proofs = census.take(
        state["theta"], given, _exact(net), _named(net), iterations
    )
    arrays |= census.after_adam(state["trained"], given)
    arrays |= {"trajectory": state["trajectory"]}
    return _write(run_directory, result, arrays, proofs) | {"after": _newton(iterations)}


def _slides(state, given, run_directory, **options) -> dict:
    """Do what the slides do after Adam; write arrays."""
    from repro.critical import slides

    trained = state["theta"].astype("float64")
    result, arrays = slides.follow_slides(trained, given, **options)
    result["after"] = f"SLSQP with ftol {options['ftol']:g}, epsilon {options['epsilon']:g}"
    return _write(run_directory, result, arrays | {"trajectory": state["trajectory"]}, None)


def _newton(iterations: int) -> str:
    return f"at most {iterations:,} Newton iterations"


def _keeper(run_directory, given, every: int):
    """Return a function that logs a state after each piece of work and saves every so many."""
    from repro.critical import pieces
    from repro.training import snapshots

    def keep(state: dict, theta, piece: int, step: int, last: bool) -> None:
        run_directory.log({"epoch": piece, "step": step} | pieces.measure(theta, given))
        if last or piece % every == 0:
            snapshots.save(run_directory.path / "checkpoints", **state)

    return keep


def _write(run_directory, result: dict, arrays: dict, proofs: dict | None) -> dict:
    """Write arrays and, in one file for --verify, certificates by name; return the result."""
    run_directory.save_arrays(**arrays)
    if proofs is not None:
        file = run_directory.path / "certificates.json"
        file.write_text(json.dumps(proofs, indent=1) + "\n")
    return result


def _named(net: teachers.Teacher) -> tuple:
    return net.name, net.weights, net.signs


@functools.cache  # one object, so that what is compiled for it is found again
def _problem(net: teachers.Teacher):
    """Return the problem the teacher sets on half the grid."""
    from repro.critical import loss

    return loss.problem(teachers.half_grid(), net.weights, net.signs)


@functools.cache
def _exact(net: teachers.Teacher):
    """Return the problem in ball arithmetic."""
    from repro.critical import proofs

    return proofs.exact(teachers.half_grid(), net.incoming, net.outgoing)


def verify(file: str) -> int:
    """Prove all certificates in a file again and return their number.

    Raises:
      ValueError: the file is missing or no JSON, or a certificate does not prove its claim.
    """
    from repro.critical import certificates

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
        net = teachers.get(str(certificate.get("teacher")))
        try:
            certificates.verify(certificate, _exact(net))
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
