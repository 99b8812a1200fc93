"""What the suite has a device do, as functions that a compiler takes whole: `make(NAME)`.

Each is the compiled loop that a run calls, made by the same functions. Only the iterator over
batches, which stays on the host, is replaced by one batch that is met again and again.
"""

import functools
import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from repro import models
from repro.critical import adam, loss
from repro.curvature import exact_loss, hvp, weights
from repro.landscape import curve_training, points
from repro.stability import descent
from repro.stability.data import Examples
from repro.teacher_student import teacher
from repro.training import optimizers, sam, step

CLASSES = 10
SHAPES = {"fnn": (28, 28, 1), "inception_v3": (299, 299, 3)}  # of images, else 32 x 32 x 3
HIDDEN = 5  # neurons of a student


class Program:
    """A function of tensors, marked for XLA, and the shapes and types of its arguments."""

    def __init__(self, function: Callable, *specs: tf.TensorSpec):
        self.function, self.specs = tf.function(function, jit_compile=True), specs


def train(network: str, batch: int, *, look: bool = True, xla: bool = False) -> Program:
    """Return the loop over training steps, with momentum, weight decay and a falling rate.

    Args:
      network: a key of models.MODELS; it is built in Keras's present precision.
      batch: images of a step.
      look: whether it looks at every loss, see step.repeated.
      xla: whether forward and backward pass are marked for XLA within it, as by --xla.
    """
    model, strategy = _build(network), tf.distribute.get_strategy()
    optimizer = _sgd(model.trainable_variables)
    steps = step.make_train_steps(model, optimizer, strategy, weight_decay=5e-4, xla=xla)

    def loop(images, labels, count):
        return steps.python_function(itertools.repeat((images, labels)), count, look)

    return Program(loop, *_batch(model, batch), _spec([], "int32"))


def sharpness_aware(network: str, batch: int) -> Program:
    """Return the loop over training steps of SAM, with momentum and weight decay."""
    model, strategy = _build(network), tf.distribute.get_strategy()
    optimizer = _sgd(model.trainable_variables)
    steps = sam.make_train_steps(model, optimizer, strategy, rho=0.05, weight_decay=5e-4)

    def loop(images, labels, count):
        return steps.python_function(itertools.repeat((images, labels)), count)

    return Program(loop, *_batch(model, batch), _spec([], "int32"))


def evaluate(network: str, batch: int) -> Program:
    """Return the loop over a data set that adds up losses and right answers in float64."""
    model = _build(network)
    sums = step.make_sums(model, tf.distribute.get_strategy())

    def loop(images, labels, counted, total):
        batches = itertools.repeat((images, labels, counted))
        return sums.python_function(batches, tf.constant(10), total)

    return Program(loop, *_batch(model, batch), _spec([batch]), _spec([3], "float64"))


def curve(network: str, batch: int, *, sampling: str = "uniform") -> Program:
    """Return the loop over steps that train the middle node of a Bezier curve."""
    model = _build(network)
    end = points.get(model)
    nodes = curve_training.CurveVariables([end, end, end])
    curve_step = curve_training.make_curve_step(
        model,
        nodes,
        _sgd(nodes.trainable),
        step.cross_entropy,
        kind="bezier",
        decayed=[True] * len(end),
        weight_decay=5e-4,
        sampling=sampling,
    )
    steps = step.repeated(curve_step, tf.distribute.get_strategy())

    def loop(images, labels, count):
        return steps.python_function(itertools.repeat((images, labels)), count)

    return Program(loop, *_batch(model, batch), _spec([], "int32"))


def curvature(network: str, batch: int, matrix: str) -> Program:
    """Return a product with the Hessian or the Gauss-Newton matrix, summed over a batch.

    Args:
      network: a key of models.MODELS.
      batch: examples that are differentiated at once.
      matrix: a key of hvp.MATRICES.
    """
    model = _build(network)
    here = weights.point(model)

    exact = exact_loss.in_float64(step.cross_entropy)

    def product(vector, images, labels, counted):
        return hvp.MATRICES[matrix](exact, here, vector, images, labels, counted)

    vector, counted = _spec([here.size], "float64"), _spec([batch])
    return Program(product, vector, *_batch(model, batch), counted)


def gradient_descent(network: str, examples: int, batch: int) -> Program:
    """Return the loop of GD, or of SGD where a batch is smaller than all examples."""
    model = _build(network)
    velocities = [tf.Variable(tf.zeros(v.shape)) for v in model.trainable_variables]
    data = Examples(
        np.zeros((examples, *model.input_shape[1:]), np.float32),
        np.zeros((examples, CLASSES), np.float32),
    )
    recipe = descent.Recipe(0.1, batch, momentum=0.9, iterations=1000, stop_loss=1e-4)
    of = model, velocities, data, recipe, descent.squared_error
    steps = descent.make_steps(*of, tf.distribute.get_strategy())
    number = _spec([], "int64")
    orders = _spec([2, examples], "int64")
    return Program(steps.python_function, orders, number, number, _spec([]))


def students(precision: str, count: int) -> Program:
    """Return the loop of Adam for a block of students with five neurons."""
    net = teacher.get("alternating")
    given = loss.problem(teacher.half_grid(), net.weights, net.signs)
    shape = (count, 3, HIDDEN)
    loop = adam.compiled(given, precision, shape)
    number = _spec([], "int32")
    of = _spec(shape, precision), _spec([2, *shape], precision), number, number
    return Program(lambda *arguments: loop(*arguments), *of, _spec([], "float64"))


OF_A_NETWORK = {
    "train": train,
    "sam": sharpness_aware,
    "evaluate": evaluate,
    "curve": curve,
    "hessian": functools.partial(curvature, matrix="hessian"),
    "gauss_newton": functools.partial(curvature, matrix="gauss_newton"),
    "gd": lambda network, batch: gradient_descent(network, batch, batch),
    "sgd": lambda network, batch: gradient_descent(network, 10 * batch, batch),
}
NAMES = (
    *(f"{kind}/{network}" for kind in OF_A_NETWORK for network in models.MODELS),
    "students/float64",
    "students/float32",
)


def make(name: str, batch: int) -> Program:
    """Return the program of a name in NAMES; `batch` is the number of images, or of students."""
    kind, what = name.split("/")
    return students(what, batch) if kind == "students" else OF_A_NETWORK[kind](what, batch)


def _build(network: str) -> keras.Model:
    return models.build(network, SHAPES.get(network, (32, 32, 3)), CLASSES, seed=0)


def _sgd(variables) -> keras.optimizers.Optimizer:
    falling = optimizers.exponential_decay(0.1, 0.95, 391)
    optimizer = optimizers.sgd(falling, 0.9, keras.config.dtype_policy().name)
    optimizer.build(variables)
    return optimizer


def _batch(model: keras.Model, batch: int) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    """Return images and labels."""
    return _spec([batch, *model.input_shape[1:]]), _spec([batch], "int64")


def _spec(shape, dtype: str = "float32") -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.as_dtype(dtype))
