"""Benchmark rows of what all papers share: training loop, pipeline, evaluation, epochs."""

import contextlib
import functools
import io
import itertools
import statistics
import tempfile
import time
import types
from collections.abc import Callable

from repro.tools.benchmark_rows import REPEATS, Row, judged, medians

BATCH = 128  # Zhang et al. 2017
STEPS = 391  # of an epoch of CIFAR-10's 50,000 training images
LOOPS = ("mlp_1x512", "fnn", "alexnet", "inception", "resnet18")  # from short steps to long ones
AUGMENT = ("crop", "flip", "brightness", "saturation", "hue", "contrast")
SECONDS = 2.5  # that one repeat trains for, in whole epochs of at most STEPS steps


def loop_overhead(fast: bool, model: str) -> Row:
    """Time epochs of the training loop over as many bare compiled steps on one and the same batch.

    An epoch includes making its iterator, gathering and shuffling, as in a run.
    """
    steps, bare_steps, epochs = _training(model, fast)
    (bare, bare_cpu), (loop, loop_cpu) = medians([bare_steps, epochs], 1 if fast else REPEATS)
    detail = (
        f"{1e3 * loop / steps:.2f} ms a step over {1e3 * bare / steps:.2f} ms; {steps} steps; "
        f"processor time {loop_cpu / bare_cpu:.3f}"
    )
    return judged(f"loop_overhead/{model}", loop / bare, "ratio", "<= 1.05", detail)


def augmentation_headroom(fast: bool) -> Row:
    """Compare images/s out of the fully augmented pipeline with what inception's training takes."""
    from repro.data import pipeline

    steps, _, train = _training("inception", fast)
    batches = pipeline.TrainBatches(_images(BATCH * (4 if fast else 80)), BATCH, 0, augment=AUGMENT)

    def feed():
        for _ in batches.epoch(1):
            pass

    (trained, _), (fed, _) = medians([train, feed], 1 if fast else REPEATS)
    made, taken = BATCH * batches.steps / fed, BATCH * steps / trained
    detail = f"{made:,.0f} images/s made over {taken:,.0f} taken"
    return judged("augmentation_headroom/inception", made / taken, "ratio", ">= 3", detail)


def epoch_seconds(fast: bool, model: str) -> Row:
    """Time whole epochs on 50,000 images: training, both evaluations, metrics, checkpoint."""
    import tensorflow as tf

    from repro.data import pipeline
    from repro.randomization import data as randomized
    from repro.training import loop, runs, step

    network, optimizer = _network(model)
    strategy, starts, splits = tf.distribute.get_strategy(), [], {}
    train, test = _images(5_000 if fast else 50_000), _images(1_000 if fast else 10_000)
    for name, images in (("train", train), ("test", test)):
        whitened = pipeline.preprocess(images.images)
        splits[name] = pipeline.EvaluationBatches(
            whitened, images.labels, pipeline.EVALUATION_BATCH
        )
    data = randomized.EpochData(pipeline.TrainBatches(train, BATCH, 0), splits)

    def epoch_data(epoch):
        starts.append(time.perf_counter())  # an epoch is all that happens between two of these
        return data

    with tempfile.TemporaryDirectory() as path, contextlib.redirect_stdout(io.StringIO()):
        job = runs.Job(directory=runs.RunDirectory(path, {"model": model}), strategy=strategy)
        loop.fit(
            job,
            network,
            optimizer,
            data=epoch_data,
            train_steps=step.make_train_steps(network, optimizer, strategy),
            evaluate=step.make_evaluate(network, strategy),
            stop=loop.Stop(3 if fast else 7),
        )
        job.directory.close()
    seconds = [end - start for start, end in itertools.pairwise(starts[1:])]  # the first compiles
    detail = f"{min(seconds):.2f} to {max(seconds):.2f} s on {len(train):,} images"
    return judged(f"epoch_seconds/{model}", statistics.median(seconds), "s", "<= 3", detail)


def evaluation_speed(fast: bool, model: str) -> Row:
    """Compare images/s of an evaluation with images/s of training, both as in a run."""
    import tensorflow as tf

    from repro.data import pipeline
    from repro.training import step

    steps, _, train = _training(model, fast)
    network, _ = _network(model)
    # Nearly as many as CIFAR-10 has for testing, or a few batches where a network takes long.
    full = 13 if BATCH * steps > 10_000 else 4
    images = _images(256 if fast else full * pipeline.EVALUATION_BATCH)
    batches = pipeline.EvaluationBatches(
        pipeline.preprocess(images.images), images.labels, pipeline.EVALUATION_BATCH
    )
    evaluate = step.make_evaluate(network, tf.distribute.get_strategy())
    (trained, _), (seen, _) = medians([train, lambda: evaluate(batches)], 1 if fast else REPEATS)
    evaluated, taken = len(images) / seen, BATCH * steps / trained
    detail = f"{evaluated:,.0f} images/s evaluated over {taken:,.0f} trained on"
    return judged(f"evaluation_speed/{model}", evaluated / taken, "ratio", ">= 3", detail)


ROWS: dict[str, Callable[[bool], Row]] = {
    "epoch_seconds/mlp_1x512": functools.partial(epoch_seconds, model="mlp_1x512"),
    **{f"loop_overhead/{model}": functools.partial(loop_overhead, model=model) for model in LOOPS},
    **{
        f"evaluation_speed/{model}": functools.partial(evaluation_speed, model=model)
        for model in ("mlp_1x512", "inception", "resnet18")
    },
    "augmentation_headroom/inception": augmentation_headroom,
}


def _images(count: int):
    """Return random images of CIFAR-10's shape."""
    import numpy as np

    from repro.data.datasets import Images

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return Images(images, rng.integers(0, 10, count), np.arange(count))


def _network(model: str):
    """Return a network and its optimiser; the step is small, so that nothing diverges."""
    from repro import models
    from repro.training import optimizers

    network = models.build(model, (28, 28, 3), 10)
    optimizer = optimizers.sgd(optimizers.exponential_decay(1e-3, 0.95, STEPS), 0.9)
    optimizer.build(network.trainable_variables)
    return network, optimizer


def _training(model: str, fast: bool) -> tuple[int, Callable, Callable]:
    """Return a number of steps, a function that takes them bare, and one through the loop."""
    import tensorflow as tf

    from repro.data import pipeline
    from repro.training import loop, step

    network, optimizer = _network(model)
    variables = network.trainable_variables

    @tf.function
    def bare_step(images, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(step.cross_entropy(labels, network(images, training=True)))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    one_batch = next(iter(pipeline.TrainBatches(_images(BATCH), BATCH, 0).epoch(1)))
    bare_step(*one_batch)
    ((seconds, _),) = medians([lambda: bare_step(*one_batch)], 3)
    wanted = max(2, round((0.2 if fast else SECONDS) / seconds))
    steps = min(STEPS, wanted)  # of an epoch
    count = -(-wanted // steps)  # of epochs

    def bare_steps():
        for _ in range(count * steps):
            loss = bare_step(*one_batch)
        float(loss)

    strategy, progress = tf.distribute.get_strategy(), loop.Progress(1)
    train_steps = step.make_train_steps(network, optimizer, strategy)
    batches = pipeline.TrainBatches(_images(BATCH * steps), BATCH, 0)
    store = types.SimpleNamespace(
        step=tf.Variable(0, dtype=tf.int64), total=tf.Variable(0.0, dtype=tf.float64)
    )

    def epochs():
        for number in range(1, count + 1):
            store.step.assign(0)
            loop.train_epoch(number, batches, train_steps, strategy, progress, store)

    return count * steps, bare_steps, epochs
