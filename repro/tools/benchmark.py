"""Measure how fast the suite is, as ratios and times taken within one process on one machine.

    tools/benchmark [--only=NAME] [--fast]

Prints a table, writes outputs/benchmark.json and ends with status 1 if a target is missed. A row is
a function of `fast` that returns a Row; a paper adds its rows to ROWS. Arrays are random: speed
does not depend on values. Other programs on the machine disturb ratios less than times, as what is
compared takes turns; quote numbers only from a machine that is otherwise idle.
"""

import argparse
import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from repro.models import MODELS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow is imported late; keep it quiet

BATCH = 128  # Zhang et al. 2017
EXAMPLES = 50_000  # of CIFAR-10's training set: 391 steps an epoch
AUGMENT = ("crop", "flip", "brightness", "saturation", "hue", "contrast")
REPEATS = 5
SECONDS = 4.0  # of one repeat, where a whole epoch takes longer


@dataclasses.dataclass(frozen=True)
class Row:
    """A measured `value` in `unit`, judged against `target` (such as `<= 1.05`)."""

    name: str
    value: float
    unit: str
    target: str
    holds: bool
    detail: str


def row(name: str, value: float, unit: str, target: str, detail: str) -> Row:
    """Return the row with its verdict; `target` is `<= number` or `>= number`."""
    sign, bound = target.split()
    holds = value <= float(bound) if sign == "<=" else value >= float(bound)
    return Row(name, round(value, 4), unit, target, holds, detail)


# --- rows -------------------------------------------------------------------------------------


def loop_overhead(name: str, model: str, fast: bool) -> Row:
    """Time a training step of the loop over a bare compiled step on one and the same batch."""
    steps, once, epoch = _training(model, fast)
    bare, loop = _medians([once, epoch], 1 if fast else REPEATS)
    detail = f"{1e3 * loop / steps:.2f} ms over {1e3 * bare / steps:.2f} ms, {steps} steps"
    return row(name, loop / bare, "ratio", "<= 1.05", detail)


def augmentation_headroom(name: str, fast: bool) -> Row:
    """Images a second that the fully augmented pipeline yields over those inception consumes."""
    from repro.data import pipeline

    steps, _, train = _training("inception", fast)
    data = _images(BATCH * (8 if fast else 80))
    batches = pipeline.TrainBatches(data, BATCH, 0, augment=AUGMENT)

    def feed():
        for _ in batches.epoch(1):
            pass

    trained, fed = _medians([train, feed], 1 if fast else 3)
    produced, consumed = batches.steps * BATCH / fed, steps * BATCH / trained
    detail = f"{produced:,.0f} images/s over {consumed:,.0f} images/s"
    return row(name, produced / consumed, "ratio", ">= 3", detail)


def epoch_seconds(name: str, fast: bool) -> Row:
    """Time epochs of mlp_1x512 on 50,000 images: training, both evaluations, metrics, checkpoint."""
    import tensorflow as tf

    from repro.data import pipeline
    from repro.training import checkpoints, loop, runs, step

    model, optimizer = _network("mlp_1x512")
    train, test = _images(EXAMPLES // 10 if fast else EXAMPLES), _images(1000 if fast else 10_000)
    whitened = pipeline.preprocess(train.images)
    tested = pipeline.preprocess(test.images)
    data = loop.EpochData(
        pipeline.TrainBatches(train, BATCH, 0, whitened=whitened),
        {"train": pipeline.EvaluationBatches(whitened, train.labels, 500),
         "test": pipeline.EvaluationBatches(tested, test.labels, 500)},
    )  # fmt: skip
    starts, strategy = [], tf.distribute.get_strategy()

    def epoch_data(epoch):
        starts.append(time.perf_counter())  # everything between two of these is an epoch
        return data

    with tempfile.TemporaryDirectory() as directory, _silence():
        run = runs.RunDirectory(directory, {})
        loop.fit(
            data=epoch_data, train_steps=step.make_train_steps(model, optimizer, strategy),
            evaluate=step.make_evaluate(model, strategy), strategy=strategy,
            stop=loop.Stop(3 if fast else 2 + REPEATS), run=run,
            checkpoints=checkpoints.Checkpoints(run.path / "checkpoints", model, optimizer),
            environment={},
        )  # fmt: skip
        run.close()
    seconds = [b - a for a, b in zip(starts[1:], starts[2:])]  # the first epoch compiles
    spread = f"{min(seconds):.2f} to {max(seconds):.2f} s"
    return row(name, statistics.median(seconds), "s", "<= 3",
               f"{len(train):,} images, {spread} in {len(seconds)} epochs")  # fmt: skip


def start_seconds(name: str, arguments: list[str], fast: bool) -> Row:
    """Time a Python process that imports the binary, or prints its help."""
    command = [sys.executable, *arguments]

    def start():
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    (seconds,) = _medians([start], 1 if fast else REPEATS)
    return row(name, seconds, "s", "<= 1", "python " + " ".join(arguments))


ROWS: dict[str, Callable[[str, bool], Row]] = {
    **{
        f"loop_overhead/{model}": functools.partial(_call, model=model)
        for model, _call in ((m, lambda name, fast, model: loop_overhead(name, model, fast))
                             for m in MODELS)
    },
}
