"""One student of a finished run as a Keras model, so that any instrument can look at it."""

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from repro.critical import newton
from repro.teacher_student import teacher
from repro.teacher_student.problems import problem
from repro.teacher_student.settings import STAGES, Students
from repro.training import trained
from repro.training.snapshots import Snapshots, read_arrays


def open_run(
    path: epath.PathLike,
    data_dir: str | None = None,
    download: bool = True,
    examples: int | None = None,
    student: int | None = None,
) -> trained.Trained:
    """Open one student of a complete run, with the paper's loss, on the grid, in float64.

    The network's flattened weights are ordered as those of repro.critical, so its Hessian is the
    one that `critical.loss` has in closed form.

    Args:
      path: the run's directory.
      data_dir, download: of no use here: the grid is computed.
      examples: take no more than so many of the 1,681 points of the grid, the first ones.
      student: its number; None: the one of the lowest final loss. Of a graph's students those of
        the largest width are numbered.

    Raises:
      ValueError: the run is not complete, left no students behind, or has none of this number.
    """
    path = epath.Path(path)
    settings = trained.read_complete(STAGES, path)
    net = teacher.get(settings.teacher, biases=bool(settings.biases))
    theta = _students(path, settings)
    if student is None:
        student = int(newton.evaluate(theta, problem(net))[0].argmin())
    if not 0 <= student < len(theta):
        raise ValueError(f"{path} has students 0 to {len(theta) - 1}, none of number {student}")
    points = teacher.grid()[:examples]
    return trained.Trained(
        network=network(theta[student]),
        loss=squared_error,
        data=(points, net.output(points)[:, None]),
        settings=settings,
    )


def network(student: np.ndarray) -> keras.Model:
    """Return a student [3, m], or [4, m] with biases, as a Keras model 2-m-1 in float64."""
    biases = len(student) > 3
    model = keras.Sequential(
        [
            keras.Input((2,), dtype="float64"),
            keras.layers.Dense(
                student.shape[1],
                activation="sigmoid",
                use_bias=biases,
                dtype="float64",
                name="hidden",
            ),
            keras.layers.Dense(1, use_bias=False, dtype="float64", name="output"),
        ]
    )
    model.set_weights([student[:2], *student[2:-1], student[-1:].T])
    return model


def squared_error(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return the squared error [b] of each example; there is no factor of 1/2."""
    return tf.reduce_sum((outputs - targets) ** 2, axis=1)


def _students(path: epath.Path, settings: Students) -> np.ndarray:
    """Return where a run's students ended, [S, 3, m], or [S, 4, m] with biases."""
    if settings.stage != "graph":
        arrays = read_arrays(path / "arrays.npz")
        incoming, outgoing = arrays["incoming"], arrays["outgoing"]
        return np.concatenate([incoming.transpose(0, 2, 1), outgoing[:, None]], axis=1)
    store = Snapshots(path / "checkpoints", {})
    store.restore()
    name = f"width_{settings.hidden}"
    if name not in store.state:
        raise ValueError(
            f"{path} left no students behind: there is no readable state in checkpoints. Runs in "
            "outputs/reference keep only numbers; make the run again in another --output_dir"
        )
    return store.state[name]
