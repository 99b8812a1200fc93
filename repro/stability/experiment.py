"""Train a network by GD or SGD, or let it leave a minimum, and measure where it ends.

Losses are squared errors on one-hot targets, averaged over outputs as PyTorch does; every sharpness
is of this loss. With 1/2 of the sum over k outputs instead, both are k/2 times as large, and the
same steps have k/2 times smaller learning rates.

What follows the released code where the paper says nothing, and where this departs:

* The first n images are those tensorflow-datasets stores first, in an order of its own (by hash);
  the paper's are the first n of the original files.
* The first epoch takes the images in that order, all others shuffle, without replacement; the last
  batch of an epoch may be smaller. Shuffles are keyed by (seed, epoch).
* Training stops once a moving average of the minibatches' losses (0.9 of the old one) is below
  --stop_loss, 1e-4 in the paper and 5e-4 on corrupted labels; --stop_loss=0 --iterations=10000 is
  the fixed budget of the later release, which the course project ran.
* CIFAR-10 has two classes, airplane and automobile; wrong labels are drawn as in the released code.
* Momentum is PyTorch's heavy ball: v <- momentum v + gradient, w <- w - learning_rate v.
* Curvature is measured by Lanczos to a residual, on all training images, with frozen batch norm.
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro import curvature_on_request
from repro.curvature import moments, stability
from repro.stability import descent, noise, toy
from repro.stability.data import Examples
from repro.stability.opening import build, load
from repro.stability.opening import open_run as open_run
from repro.stability.pieces import Descent
from repro.stability.settings import Escape, Toy, Train
from repro.training import trained
from repro.training.runs import Job

SGD_RUNS, SHOWN = 2000, 20  # of the toy, and how many of them figures draw
AT_THE_END = (  # None for each where training diverged
    "sharpness",
    "nonuniformity",
    "theorem1",
    "weight_norm",
    "sharpness_margin",
    "nonuniformity_margin",
)
AWAY = 0.3  # a run of the toy has left x = 1 once it is farther from it


def run(settings: Train | Escape | Toy, job: Job) -> dict:
    """Do the stage that the settings are of, and return the result."""
    return run_toy(settings, job) if isinstance(settings, Toy) else train(settings, job)


def train(settings: Train | Escape, job: Job) -> dict:
    """Train a network, or let it leave a minimum, and measure where it ends.

    The result has losses, accuracies, and what `at_the_end` returns.
    """
    s = settings
    keras.utils.set_random_seed(s.seed)
    images, test_images = load(s, job.data_dir, job.download)
    with job.strategy.scope():
        network = build(s, images)

    sharp = None
    if isinstance(s, Train):
        sharp = curvature_on_request.along(
            s,
            network,
            descent.squared_error,
            (images.images, images.targets),
            tolerance=s.tolerance,
            max_iterations=s.max_iterations,
            batch_size=noise.ALL,
        )

    def evaluate() -> dict[str, float]:
        row = {}
        for split, examples in (("train", images), ("test", test_images)):
            means = descent.evaluate(network, examples, descent.squared_error)
            row |= {f"{split}/{name}": value for name, value in means.items()}
        if sharp and np.isfinite(row["train/loss"]):
            row |= sharp.row(int(training.state.done))
        return row

    here = make_moments(network, images, job.strategy)

    def measure(starts) -> dict[str, stability.Measure]:
        found = stability.sharpness_and_nonuniformity(here(), **_limits(s), starts=starts)
        return dict(zip(("sharpness", "nonuniformity"), found))

    recipe = descent.Recipe(s.learning_rate, s.batch_size, s.momentum, s.iterations, s.stop_loss)
    if escapes := isinstance(s, Escape):
        recipe = dataclasses.replace(recipe, stop_loss=0.0)
        go_to_minimum(s, job, network, images)
    training = Descent(
        network,
        images,
        recipe,
        loss=descent.squared_error,
        strategy=job.strategy,
        order=[s.seed, int(escapes)],
        measure_every=s.measure_every,
        evaluate=evaluate,
        measure=measure if escapes else None,
        others=sharp.variables() if sharp else None,
    )
    outcome = training.run(job)
    if outcome["status"] == "complete":
        found = at_the_end(s, network, images, here(), training.state.starts())
    else:
        found = dict.fromkeys(AT_THE_END)
    return {
        "status": outcome["status"],
        "fitted": training.fitted(),
        "iterations": outcome["step"],
        "seconds": outcome["seconds"],
        "train_loss": outcome.get("train/loss"),
        "train_accuracy": outcome.get("train/accuracy"),
        "test_loss": outcome.get("test/loss"),
        "test_accuracy": outcome.get("test/accuracy"),
        **found,
        "parameters": network.count_params(),
        "train_examples": len(images),
        "test_examples": len(test_images),
    }


def go_to_minimum(settings: Escape, job: Job, network: keras.Model, images: Examples) -> None:
    """Take a network to the minimum that is left: of GD or SGD, in a run of its own, or of L-BFGS.

    That run is found by its settings or made now. L-BFGS is quick, and taken anew when a run is
    taken up again.

    Raises:
      RuntimeError: the way to the minimum diverged.
      ValueError: the run left no network behind, or a damaged one.
    """
    s = settings
    if s.start_optimizer:
        loss = descent.squared_error
        descent.lbfgs(network, images, loss, s.start_iterations, s.stop_loss)
        return
    (training,) = s.needs()
    start = job.need(training)
    if start.result()["status"] == "diverged":
        raise RuntimeError(f"the way to the minimum, {start.path}, diverged: lower its rate")
    trained.restore(network, start.path)


def make_moments(
    network: keras.Model, images: Examples, strategy: tf.distribute.Strategy
) -> Callable[[], moments.Moments]:
    """Return a function () -> first and second moment of the examples' Hessians at the weights now.

    Their products are traced at the first call, and moved to the weights of the later ones.
    """
    traced = None

    def here() -> moments.Moments:
        nonlocal traced
        of = network, descent.squared_error, (images.images, images.targets)
        traced = traced or moments.moments(*of, strategy=strategy)
        traced = traced.at([v.numpy() for v in network.trainable_variables])
        return traced

    return here


def at_the_end(
    settings: Train | Escape,
    network: keras.Model,
    images: Examples,
    here: moments.Moments,
    starts: Sequence[np.ndarray | None],
) -> dict:
    """Return what is measured where training ends: AT_THE_END, and what `noise.at_end` adds.

    `sharpness`, `nonuniformity` and `theorem1`, the largest eigenvalue of Theorem 1's operator,
    with residual, iterations and whether Lanczos converged; no `theorem1` with momentum, which is
    not in the theorem.

    Args:
      settings, network, images: of the run.
      here: moments of the examples' Hessians at the end.
      starts: vectors that Lanczos starts from.
    """
    s, theorem = settings, None
    a, uneven = stability.sharpness_and_nonuniformity(here, **_limits(s), starts=starts)
    if s.momentum == 0:
        theorem = stability.theorem_1_of(
            here,
            learning_rate=s.learning_rate,
            sgd_batch_size=s.batch_size,
            seed=s.seed,
            **_limits(s),
        ).without_vector()
    return {
        "sharpness": a.without_vector(),
        "nonuniformity": uneven.without_vector(),
        "theorem1": theorem,
        "weight_norm": weight_norm(network),
        "sharpness_margin": stability.sharpness_margin(a.value, s.learning_rate, s.momentum),
        "nonuniformity_margin": stability.nonuniformity_margin(
            uneven.value, s.learning_rate, s.batch_size, s.examples
        ),
        **(noise.at_end(s, network, images) if isinstance(s, Train) else {}),
    }


def _limits(settings: Train | Escape) -> dict:
    """Return the limits of Lanczos."""
    return {"tolerance": settings.tolerance, "max_iterations": settings.max_iterations}


def weight_norm(network: keras.Model) -> float:
    """Return the Euclidean norm of all trainable weights."""
    squares = (float(tf.reduce_sum(tf.square(v.value))) for v in network.trainable_variables)
    return sum(squares) ** 0.5


def run_toy(settings: Toy, job: Job) -> dict:
    """Let GD and SGD of batch size 1 start beside the minimum x = 1 of the toy, SGD 2,000 times."""
    s = settings
    job.directory.begin(0)
    start = {"iterations": s.iterations, "start": 1 + 1e-5}
    gd = toy.descend(s.learning_rate, runs=1, seed=None, **start)[:, 0]
    sgd = toy.descend(s.learning_rate, runs=SGD_RUNS, seed=s.seed, **start)
    away = np.abs(sgd - 1) > AWAY
    left = away.any(0)
    job.directory.save_arrays(gd=gd, sgd=sgd[:, :SHOWN])
    steps = np.quantile(away[:, left].argmax(0), [0.05, 0.5, 0.95]).tolist() if left.any() else None
    a, uneven = toy.SHARPNESS, toy.NONUNIFORMITY
    return {
        "status": "complete",
        "sgd_at_0": float(np.mean(np.abs(sgd[-1]) < 1e-3)),
        "sgd_at_1": float(np.mean(np.abs(sgd[-1] - 1) < 1e-3)),
        "gd_end": float(gd[-1]),
        "escape_steps": steps,
        "sharpness": a,
        "nonuniformity": uneven,
        "condition": (1 - s.learning_rate * a) ** 2 + (s.learning_rate * uneven) ** 2,
        "thresholds": toy.thresholds(),
        "train_examples": 2,
        "test_examples": 0,
    }
