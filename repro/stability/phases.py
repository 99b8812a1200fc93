"""Phases of plain descent, one after the other, in a run directory that can be taken up again."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.stability.descent import Phase, epoch_orders, make_steps
from repro.training.runs import RunDirectory

STEPS_PER_CALL = 200  # of compiled steps, between two looks at the keyboard


@dataclasses.dataclass(frozen=True)
class State:
    """All that training changes, in variables that a checkpoint holds."""

    network: keras.Model
    velocities: Sequence[tf.Variable]
    phase: tf.Variable  # number of the phase at work
    step: tf.Variable  # steps done in it
    observed: tf.Variable  # the last step of it that has a row of metrics
    running: tf.Variable  # moving average of minibatch losses
    vectors: tf.Variable  # [2, size], where sharpness and non-uniformity were attained
    seconds: tf.Variable  # of computing, over all sittings

    @classmethod
    def initial(cls, network: keras.Model) -> "State":
        weights = [v.value for v in network.trainable_variables]
        size = sum(w.shape.num_elements() for w in weights)
        counters = [tf.Variable(number, dtype=tf.int64) for number in (0, 0, -1)]
        return cls(
            network, [tf.Variable(tf.zeros_like(w)) for w in weights], *counters,
            tf.Variable(np.inf, dtype=tf.float32), tf.Variable(tf.zeros([2, size], tf.float64)),
            tf.Variable(0.0, dtype=tf.float64),
        )  # fmt: skip

    def checkpoint(self) -> tf.train.Checkpoint:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return tf.train.Checkpoint(model=fields.pop("network"), **fields)

    def starts(self) -> list[np.ndarray | None]:
        """Return the vectors to start Lanczos from, None where there was no measurement yet."""
        return [row if row.any() else None for row in self.vectors.numpy()]


def run(
    network: keras.Model,
    examples,
    phases: Sequence[Phase],
    *,
    loss: Callable,
    seed: int,
    observe: Callable,
    measure_every: int,
    curvature_along_the_way: bool,
    run: RunDirectory,
    environment: Mapping,
    checkpoint_every: int,
) -> dict:
    """Train through all phases and return where the last one ends.

    Goes on where the last checkpoint is, and ends with the same bits as without interruption.

    Args:
      network: trained in place.
      examples: with `images` [n, ...] and `targets` [n, k].
      phases: one after the other, each from where the one before ended; only the last one has rows
        of metrics. Their `epoch` is the step, as is `step`.
      loss: targets, outputs -> losses [b].
      seed: keys the order of examples.
      observe: (start vectors, whether curvature is asked for) -> row of metrics, and the measures
        by name or None.
      measure_every: steps between two rows.
      curvature_along_the_way: whether rows have curvature; the last one always has.
      run: where metrics and checkpoints go.
      environment: for the run's record.
      checkpoint_every: steps between two checkpoints; there is also one after each measurement.
    """
    state = State.initial(network)
    checkpoint = state.checkpoint()
    directory = run.path / "checkpoints"
    manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
    else:
        checkpoint.write(str(directory / "initial"))
    run.begin(int(state.observed), environment)

    def look(curvature):
        row, found = observe(state.starts(), curvature)
        if found:
            state.vectors.assign([measure.vector for measure in found.values()])
        step = int(state.step)
        running = {"train/running_loss": float(state.running)} if step else {}
        row = {"epoch": step, "step": step, "seconds": float(state.seconds), **row, **running}
        if step > int(state.observed):
            run.log(row)
            state.observed.assign(step)
        return row, found

    for number in range(int(state.phase), len(phases)):
        last = number == len(phases) - 1
        finite = _descend(
            state, examples, phases[number], loss, [seed, number],
            save=manager.save, checkpoint_every=checkpoint_every,
            look=(lambda: look(curvature_along_the_way)) if last else None,
            measure_every=measure_every,
        )  # fmt: skip
        if not finite or last:
            break
        checkpoint.write(str(directory / f"phase_{number}"))
        for velocity in state.velocities:
            velocity.assign(tf.zeros_like(velocity))
        state.phase.assign(number + 1)
        state.step.assign(0)
        state.running.assign(np.inf)
        manager.save()
    checkpoint.write(str(directory / "final"))
    outcome = {
        "status": "complete" if finite else "diverged",
        "fitted": bool(float(state.running) < phases[-1].stop_loss),
        "phase": number, "iterations": int(state.step), "seconds": float(state.seconds),
    }  # fmt: skip
    row, found = look(curvature=True) if finite else ({}, None)
    for name in ("train/loss", "train/accuracy", "test/loss", "test/accuracy"):
        outcome[name.replace("/", "_")] = row.get(name)
    for name in ("sharpness", "nonuniformity"):
        outcome[name] = found and found[name].without_vector()
    squares = sum(float(tf.reduce_sum(tf.square(v.value))) for v in network.trainable_variables)
    return {**outcome, "weight_norm": squares**0.5 if finite else None}


def _descend(
    state: State, examples, phase: Phase, loss: Callable, key: list[int], *,
    save: Callable, checkpoint_every: int, look: Callable | None, measure_every: int,
) -> bool:  # fmt: skip
    """Run a phase to its end; return whether all losses were finite."""
    steps = make_steps(state.network, state.velocities, examples, phase, loss)
    per_epoch = -(-len(examples) // phase.batch_size)
    finite, began = True, time.monotonic()
    while True:
        step = int(state.step)
        if look and step % measure_every == 0 and step > int(state.observed):
            look()
            save()
            began = time.monotonic()
        ended = float(state.running) < phase.stop_loss or step >= phase.iterations
        if ended or not finite:
            return finite
        ends = [step + every - step % every for every in (measure_every, checkpoint_every)]
        until = min(*ends, step + STEPS_PER_CALL, phase.iterations)
        epochs = range(step // per_epoch, (until - 1) // per_epoch + 1)
        orders = tf.constant(epoch_orders(len(examples), epochs, key), tf.int64)
        step, running, finite = steps(
            orders, tf.constant(step, tf.int64), tf.constant(until, tf.int64), state.running
        )
        state.step.assign(step)
        state.running.assign(running)
        state.seconds.assign_add(time.monotonic() - began)
        began = time.monotonic()
        if int(step) % checkpoint_every == 0:
            save()
