"""Measure how fast the suite is, as ratios and times taken within one process on one machine.

    tools/benchmark [--only=NAME] [--fast]

Prints a table, writes outputs/benchmark.json and ends with status 1 if a target is missed. A row is
a function of `fast` that returns a Row; a paper adds its functions to ROWS. Arrays are random:
speed does not depend on values. What a ratio compares takes turns, so that other programs disturb
both sides; times are worth quoting only from a machine that is otherwise idle.
"""

import argparse
import contextlib
import dataclasses
import functools
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from repro.models import MODELS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow is imported late; keep it quiet

BATCH = 128  # Zhang et al. 2017
STEPS = 391  # of an epoch of CIFAR-10's 50,000 training images
CIFAR = [name for name in MODELS if name != "inception_v3"]  # which is ImageNet's, for GPUs
AUGMENT = ("crop", "flip", "brightness", "saturation", "hue", "contrast")
SECONDS = 2.5  # that one repeat trains for, in whole epochs of at most STEPS steps
REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Row:
    """A measured `value` in `unit`; whether it `holds` its `target`, such as `<= 1.05`."""

    name: str
    value: float
    unit: str
    target: str
    holds: bool
    detail: str


def judged(name: str, value: float, unit: str, target: str, detail: str) -> Row:
    """Return the row with its verdict; `target` is `<= number` or `>= number`."""
    sign, bound = target.split()
    holds = value <= float(bound) if sign == "<=" else value >= float(bound)
    return Row(name, round(value, 4), unit, target, holds, detail)


# --- rows -----------------------------------------------------------------------------------------


def loop_overhead(fast: bool, model: str) -> Row:
    """Time epochs of the training loop over as many bare compiled steps on one and the same batch.

    An epoch includes making its iterator, gathering and shuffling, as in a run.
    """
    steps, bare_steps, epochs = _training(model, fast)
    bare, loop = _median_seconds([bare_steps, epochs], 1 if fast else REPEATS)
    detail = f"{1e3 * loop / steps:.2f} ms a step over {1e3 * bare / steps:.2f} ms; {steps} steps"
    return judged(f"loop_overhead/{model}", loop / bare, "ratio", "<= 1.05", detail)


def augmentation_headroom(fast: bool) -> Row:
    """Compare images/s out of the fully augmented pipeline with what inception's training takes."""
    from repro.data import pipeline

    steps, _, train = _training("inception", fast)
    batches = pipeline.TrainBatches(_images(BATCH * (4 if fast else 80)), BATCH, 0, augment=AUGMENT)

    def feed():
        for _ in batches.epoch(1):
            pass

    trained, fed = _median_seconds([train, feed], 1 if fast else REPEATS)
    made, taken = BATCH * batches.steps / fed, BATCH * steps / trained
    detail = f"{made:,.0f} images/s made over {taken:,.0f} taken"
    return judged("augmentation_headroom/inception", made / taken, "ratio", ">= 3", detail)


def epoch_seconds(fast: bool, model: str) -> Row:
    """Time whole epochs on 50,000 images: training, both evaluations, metrics, checkpoint."""
    import tensorflow as tf

    from repro.data import pipeline, randomized
    from repro.training import checkpoints, loop, runs, step

    network, optimizer = _network(model)
    strategy, starts, splits = tf.distribute.get_strategy(), [], {}
    train, test = _images(5_000 if fast else 50_000), _images(1_000 if fast else 10_000)
    for name, images in (("train", train), ("test", test)):
        whitened = pipeline.preprocess(images.images)
        splits[name] = pipeline.EvaluationBatches(
            whitened, images.labels, randomized.EVALUATION_BATCH
        )
    data = randomized.EpochData(pipeline.TrainBatches(train, BATCH, 0), splits)

    def epoch_data(epoch):
        starts.append(time.perf_counter())  # an epoch is all that happens between two of these
        return data

    with tempfile.TemporaryDirectory() as path, contextlib.redirect_stdout(io.StringIO()):
        run = runs.RunDirectory(path, {})
        loop.fit(
            data=epoch_data, train_steps=step.make_train_steps(network, optimizer, strategy),
            evaluate=step.make_evaluate(network, strategy), strategy=strategy,
            stop=loop.Stop(3 if fast else 7), run=run, environment={},
            checkpoints=checkpoints.Checkpoints(run.path / "checkpoints", network, optimizer),
        )  # fmt: skip
        run.close()
    seconds = [end - start for start, end in itertools.pairwise(starts[1:])]  # the first compiles
    detail = f"{min(seconds):.2f} to {max(seconds):.2f} s on {len(train):,} images"
    return judged(f"epoch_seconds/{model}", statistics.median(seconds), "s", "<= 3", detail)


def start_seconds(fast: bool, name: str, arguments: Sequence[str]) -> Row:
    """Time a Python process that imports a binary or prints its help."""

    def start():
        subprocess.run([sys.executable, *arguments], capture_output=True)

    (seconds,) = _median_seconds([start], 1 if fast else REPEATS)
    return judged(f"start_seconds/{name}", seconds, "s", "<= 1", f"python {' '.join(arguments)}")


ROWS: dict[str, Callable[[bool], Row]] = {
    "start_seconds/import": functools.partial(
        start_seconds, name="import", arguments=("-c", "import repro.randomization")
    ),
    "start_seconds/help": functools.partial(
        start_seconds, name="help", arguments=("-m", "repro.randomization", "--help")
    ),
    "epoch_seconds/mlp_1x512": functools.partial(epoch_seconds, model="mlp_1x512"),
    **{f"loop_overhead/{model}": functools.partial(loop_overhead, model=model) for model in CIFAR},
    "augmentation_headroom/inception": augmentation_headroom,
}

# --- what rows share ------------------------------------------------------------------------------


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
    (seconds,) = _median_seconds([lambda: bare_step(*one_batch)], 3)
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

    def epochs():
        for number in range(count):
            loop.train_epoch(number, batches, train_steps, strategy, progress)

    return count * steps, bare_steps, epochs


def _median_seconds(functions: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Call functions in turns, once to warm up and `repeats` times; return each one's median."""
    seconds = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, times in zip(functions, seconds):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds]


# --- the command ----------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name starts so")
    parser.add_argument("--fast", action="store_true", help="small and noisy: does it work at all")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs"))
    arguments = parser.parse_args()
    chosen = [name for name in ROWS if name.startswith(arguments.only)]
    if not chosen:
        sys.exit(f"error: no row {arguments.only!r}; choose from {', '.join(ROWS)}")
    print(f"{'row':42} {'value':>7} {'unit':5} {'target':>7}")
    rows = []
    for name in chosen:
        rows.append(r := ROWS[name](arguments.fast))
        verdict = "holds" if r.holds else "MISSED"
        print(f"{r.name:42} {r.value:7.3f} {r.unit:5} {r.target:>7} {verdict:6}  {r.detail}",
              flush=True)  # fmt: skip

    from repro.training import runs

    record = runs.environment("default", ["CPU"], "repro.tools.benchmark")
    record |= {"fast": arguments.fast, "rows": [dataclasses.asdict(r) for r in rows]}
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    file = arguments.output_dir / "benchmark.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {file}")
    sys.exit(not all(r.holds for r in rows))


if __name__ == "__main__":
    main()
