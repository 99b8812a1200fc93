"""Benchmark rows of a training step beside the same step in PyTorch, in turns within one run.

PyTorch is no part of the suite's environment: it lives in one of its own, and `peer.py` runs there
as a process that waits while the suite's steps are timed. Above 1, the suite is the faster one.
Only an idle machine is fair to both: PyTorch's threads spin until the last of them is done, so that
beside other programs two of them can take ten times as long as one. A row during which PyTorch kept
fewer cores busy than it has threads does not hold, whatever its ratio.
"""

import contextlib
import dataclasses
import functools
import json
import math
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from repro.tools.benchmark_rows import REPEATS, Row, judged, medians

PEER = Path(__file__).with_name("peer.py")
HOW = (
    "python -m venv DIR && DIR/bin/pip install torch numpy, then "
    "tools/benchmark --only=peers --pytorch=DIR/bin/python"
)
BATCH = 128
SECONDS = 2.5  # that one turn of ours takes; the other side takes as many steps
SIZES = {"mlp_1x512": 28, "inception": 28, "resnet18": 32, "vgg16": 32}  # sides of images
STARVED = 0.8  # below this share of its threads PyTorch was kept from computing
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
NAMES = {f"peers/{model}_{p}": (model, p) for model in SIZES for p in POLICIES}


def rows(python: str) -> dict[str, Callable[[bool], Row]]:
    """Return the rows, whose other side is run by this Python, once it is seen to run there.

    Raises:
      ValueError: it does not.
    """
    with started(python):
        return {
            name: functools.partial(
                step_over_torch, python=python, model=model, precision=precision
            )
            for name, (model, precision) in NAMES.items()
        }


def step_over_torch(fast: bool, python: str, model: str, precision: str) -> Row:
    """Time training steps of PyTorch over as many of ours, on one batch that stays in memory.

    Raises:
      RuntimeError: the two networks differ in their number of trained parameters, the other side
        ended, or a loss is not finite.
    """
    batch, repeats = (16, 1) if fast else (BATCH, REPEATS)
    request = {"model": model, "size": SIZES[model], "precision": precision, "batch": batch}
    with started(python) as (about, ask):
        theirs = ask(request | {"steps": 1})["parameters"]
        parameters, train = _training(model, precision, batch)
        if theirs != parameters:
            raise RuntimeError(
                f"{model} has {parameters:,} trained parameters, but {theirs:,} in PyTorch"
            )
        ((seconds, _),) = medians([lambda: train(1)], 1)
        steps, answers = max(1, round((0.2 if fast else SECONDS) / seconds)), []

        def peer():
            answers.append(ask(request | {"steps": steps}))

        (their_time, _), (our_time, our_cpu) = medians([peer, lambda: train(steps)], repeats)
    busy = statistics.median(a["processor_seconds"] / a["seconds"] for a in answers[1:])
    detail = (
        f"{1e3 * their_time / steps:.2f} ms a step of torch {about['torch']} over "
        f"{1e3 * our_time / steps:.2f} ms; {steps} steps of {batch}; {parameters:,} parameters; "
        f"{about['threads']} threads, {busy:.2f} cores busy beside {our_cpu / our_time:.2f}"
    )
    ratio = their_time / our_time
    row = judged(f"peers/{model}_{precision}", ratio, "ratio", ">= 1", detail)
    if busy < STARVED * about["threads"]:
        return dataclasses.replace(row, holds=False, detail=f"unfair on a busy machine: {detail}")
    return row


@contextlib.contextmanager
def started(python: str) -> Iterator[tuple[dict, Callable[[dict], dict]]]:
    """Start peer.py; give what it says of itself, and a function from a request to its answer.

    Raises:
      ValueError: this Python does not run it; the way to one that does is in the message.
    """
    with contextlib.ExitStack() as stack:
        complaints = stack.enter_context(tempfile.TemporaryFile("w+"))

        def last_words() -> str:
            process.wait()
            complaints.seek(0)
            return (complaints.read().strip().splitlines() or [f"status {process.returncode}"])[-1]

        def stop() -> None:
            process.kill()
            with contextlib.suppress(BrokenPipeError):  # it had ended before a last request
                process.stdin.close()

        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(
                [python, str(PEER)], stdin=pipe, stdout=pipe, stderr=complaints, text=True
            )
        except OSError as error:
            raise ValueError(f"--pytorch={python} does not start: {error}; do {HOW}") from None
        stack.enter_context(process)  # closes its pipes and waits for it
        stack.callback(stop)
        about = process.stdout.readline()
        if not about:
            raise ValueError(f"--pytorch={python} has no PyTorch: {last_words()}; do {HOW}")

        def ask(request: dict) -> dict:
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps(request), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError(f"PyTorch's side ended: {last_words()}")
            return json.loads(answer)

        yield json.loads(about), ask


def _training(model: str, precision: str, batch: int) -> tuple[int, Callable[[int], None]]:
    """Return how many parameters a network trains, and a function that takes so many steps."""
    import keras
    import tensorflow as tf

    from repro import models
    from repro.training import optimizers, step

    size, before = (SIZES[model], SIZES[model], 3), keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        network = models.build(model, size, 10)
    finally:
        keras.config.set_dtype_policy(before)
    optimizer = optimizers.sgd(1e-3, 0.9)
    optimizer.build(network.trainable_variables)
    images = tf.random.stateless_normal((batch, *size), [0, 0])
    labels = tf.range(batch, dtype=tf.int64) % 10
    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    train_steps = step.make_train_steps(network, optimizer, tf.distribute.get_strategy())

    def train(steps: int) -> None:
        _, done = train_steps(batches, tf.constant(steps))
        if done != steps:
            raise RuntimeError(f"the loss of {model} was not finite after {int(done)} steps")

    return sum(math.prod(v.shape) for v in network.trainable_variables), train
