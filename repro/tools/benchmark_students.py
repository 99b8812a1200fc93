"""Rows of tools/benchmark for the teacher-student runs: batched Adam, the census, its memory."""

import resource
import subprocess
import sys
import tempfile
import time

from repro.tools.benchmark_rows import Row, judged

WIDTH, STUDENTS = 5, 1000
ADAM_STEPS = 3_000  # of a census here; one of Figure 1 has 30,000, which students/adam_step times


def _problem():
    """Return the problem and 1,000 students of width 5 with Adam's moments."""
    import numpy as np

    from repro.critical import adam, loss
    from repro.teacher_student import teacher

    net = teacher.get("alternating")
    given = loss.problem(teacher.half_grid(), net.weights, net.signs)
    theta = adam.glorot_uniform(0, STUDENTS, WIDTH)
    return given, theta, np.zeros((2, *theta.shape))


def _seconds_per_step(given, theta, moments, steps: int) -> float:
    """Time compiled Adam steps in float64, after a first call that compiles."""
    from repro.critical import adam

    options = {"steps": steps, "learning_rate": 1e-4}
    adam.train(theta, moments, given, start=0, **options)
    start = time.perf_counter()
    adam.train(theta, moments, given, start=steps, **options)
    return (time.perf_counter() - start) / steps


def batched_adam(fast: bool) -> Row:
    """Time one float64 step of 1,000 width-5 students."""
    seconds = _seconds_per_step(*_problem(), steps=20 if fast else 500)
    detail = f"{STUDENTS:,} students of width {WIDTH}, float64"
    return judged("students/adam_step", 1e3 * seconds, "ms", "<= 15", detail)


def batching_gain(fast: bool) -> Row:
    """Compare a student-step of the batch with one of a loop over single students.

    The loop is the usual one: a compiled TensorFlow step with automatic gradients on the full grid
    and Keras's Adam, one student at a time.
    """
    import keras
    import tensorflow as tf

    from repro.teacher_student import teacher

    given, theta, moments = _problem()
    batched = _seconds_per_step(given, theta, moments, steps=20 if fast else 500) / STUDENTS
    points = tf.constant(teacher.grid())
    labels = tf.constant(teacher.get("alternating").output(teacher.grid()))
    weights = [tf.Variable(theta[0, :2]), tf.Variable(theta[0, 2])]
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(weights)

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            output = tf.linalg.matvec(tf.sigmoid(points @ weights[0]), weights[1])
            loss = tf.reduce_mean((output - labels) ** 2)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    step()
    steps = 50 if fast else 1000
    start = time.perf_counter()
    for _ in range(steps):
        step()
    single = (time.perf_counter() - start) / steps
    detail = f"{1e6 * single:.0f} us a student-step alone, {1e6 * batched:.1f} us in the batch"
    return judged("students/batching_gain", single / batched, "ratio", ">= 10", detail)


def census_minutes(fast: bool) -> Row:
    """Time a census of 1,000 width-5 students: few Adam steps, Newton, classes, certificates."""
    minutes, _ = _census(fast)
    return judged("students/census", minutes, "min", "<= 8", _census_detail(fast))


def census_memory(fast: bool) -> Row:
    """Measure the largest resident memory of a process that takes that census."""
    _, gibibytes = _census(fast)
    return judged("students/memory", gibibytes, "GiB", "<= 4", _census_detail(fast))


_measured: dict[bool, tuple[float, float]] = {}  # one census serves both rows


def _census(fast: bool) -> tuple[float, float]:
    """Return minutes and GiB of one census in a process of its own."""
    if fast not in _measured:
        flags = [f"--hidden={WIDTH}", f"--num_students={20 if fast else STUDENTS}"]
        flags += [f"--adam_steps={1000 if fast else ADAM_STEPS}"]
        flags += ["--newton_iterations=100"] if fast else []
        with tempfile.TemporaryDirectory() as path:
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "repro.teacher_student", *flags, f"--run_dir={path}/run"],
                check=True,
                capture_output=True,
            )
            minutes = (time.perf_counter() - start) / 60
        # of the largest child so far: kilobytes on Linux
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        _measured[fast] = minutes, peak
    return _measured[fast]


def _census_detail(fast: bool) -> str:
    return "20 students, 1,000 steps" if fast else f"{STUDENTS:,} students, {ADAM_STEPS:,} steps"


ROWS = {
    "students/adam_step": batched_adam,
    "students/batching_gain": batching_gain,
    "students/census": census_minutes,
    "students/memory": census_memory,
}
