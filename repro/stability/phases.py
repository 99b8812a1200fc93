"""Phases of plain descent, one after the other, as pieces of work that can be taken up again."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.stability.descent import Phase, epoch_orders, make_steps
from repro.training.checkpoints import Checkpoints
from repro.training.resume import resume, stop_at_once, stop_if_asked
from repro.training.runs import Job
from repro.training.step import CallLength

PIECE = 1000  # steps that a piece of work has at most
LAST_RUNNING, EARLIER_RUNNING = "train/running_loss", "start/running_loss"  # by phase


@dataclasses.dataclass(frozen=True)
class State:
    """What training changes beside the network, in variables that a checkpoint holds."""

    velocities: Sequence[tf.Variable]
    phase: tf.Variable  # number of the phase at work
    done: tf.Variable  # steps done in it
    running: tf.Variable  # moving average of minibatch losses
    vectors: tf.Variable  # [2, size], where sharpness and non-uniformity were attained
    seconds: tf.Variable  # of taking steps, over all sittings

    @classmethod
    def initial(
        cls, network: keras.Model, strategy: tf.distribute.Strategy, *, vectors: bool
    ) -> "State":
        """Return the state before the first step; `vectors`: whether any will be kept."""
        weights = [v.value for v in network.trainable_variables]
        size = sum(w.shape.num_elements() for w in weights) if vectors else 0
        with strategy.scope():
            velocities = [tf.Variable(tf.zeros_like(w)) for w in weights]
        return cls(
            velocities=velocities,
            phase=tf.Variable(0, dtype=tf.int64),
            done=tf.Variable(0, dtype=tf.int64),
            running=tf.Variable(np.inf, dtype=weights[0].dtype),
            vectors=tf.Variable(tf.zeros([2, size], tf.float64)),
            seconds=tf.Variable(0.0, dtype=tf.float64),
        )

    def variables(self) -> dict:
        """Return all of it by name, for a checkpoint."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def begin_next_phase(self) -> None:
        """Forget velocities and moving average, and count steps anew."""
        for velocity in self.velocities:
            velocity.assign(tf.zeros_like(velocity))
        self.phase.assign_add(1)
        self.done.assign(0)
        self.running.assign(np.inf)

    def starts(self) -> list[np.ndarray | None]:
        """Return the vectors to start Lanczos from, None where there was no measurement yet."""
        return [row if row.any() else None for row in self.vectors.numpy()]


class Descent:
    """Training through phases, each from where the one before ended.

    A piece of work ends at the next multiple of `measure_every` or of 1,000 steps, or with its
    phase; the switch to the next phase is a piece of its own. A row's `epoch` is the number of the
    piece, `phase` counts from 0, and `step` counts the steps of that phase. Earlier phases have
    `start/running_loss` only, as what is measured is where the last one leads.
    """

    def __init__(
        self,
        network: keras.Model,
        examples,
        phases: Sequence[Phase],
        *,
        loss: Callable,
        strategy: tf.distribute.Strategy,
        seed: int,
        measure_every: int,
        evaluate: Callable[[], Mapping],
        measure: Callable | None = None,
        others: Mapping | None = None,
        begin: Callable[[], None] | None = None,
    ):
        """Say what is trained and what is measured.

        Args:
          network: trained in place; built under `strategy`.
          examples: with `images` [n, ...] and `targets` [n, k].
          phases: one after the other.
          loss: targets, outputs -> losses [b].
          strategy: whose replicas share every batch.
          seed: keys the order of examples.
          measure_every: steps of the last phase between two measurements.
          evaluate: () -> losses and accuracies by name, `train/loss` among them; called at the end
            too.
          measure: start vectors -> two curvature.stability.Measure by name; None: none. What is
            measured at the end is the caller's, who starts it from `state.starts()`.
          others: name -> variables that `evaluate` changes, for checkpoints.
          begin: takes the network to where the last of two phases begins, in place of the steps
            of the first; None: the steps do.
        """
        self.state = State.initial(network, strategy, vectors=measure is not None)
        self._network, self._examples, self._phases = network, examples, list(phases)
        self._loss, self._strategy = loss, strategy
        self._seed, self._every = seed, measure_every
        self._evaluate, self._measure, self._others = evaluate, measure, others or {}
        self._begin = begin
        self._last, self._compiled = len(self._phases) - 1, {}

    def run(self, job: Job) -> dict:
        """Do what is left and return the last row of metrics, with `status`.

        The state where the last of several phases begins is kept as `start`.
        """
        self._store = Checkpoints(
            job.checkpoints,
            self._network,
            others={**self.state.variables(), **self._others},
            chief=job.directory.chief,
        )
        return resume(job, self._store, self._piece, self._finished, first=lambda: self._look(0))

    def fitted(self) -> bool:
        """Whether the last phase has met its stopping rule."""
        running = float(self.state.running)
        return int(self.state.phase) == self._last and self._phases[-1].fitted(running)

    def _piece(self, number: int, before: Mapping) -> dict:
        """Do a piece, or what is left of it, and return its row. `before` says where it began."""
        phase = self._phases[before["phase"]]
        if phase.ended(before["step"], _running(before)):
            if int(self.state.phase) == before["phase"]:  # else it was stopped after the switch
                if self._begin is not None:
                    self._begin()
                if before["phase"] + 1 == self._last:
                    self._store.keep("start")
                self.state.begin_next_phase()
        else:
            every = self._every if before["phase"] == self._last else PIECE
            ends = [before["step"] + each - before["step"] % each for each in (every, PIECE)]
            if not self._take_steps(before["phase"], min(*ends, phase.iterations)):
                return self._diverged()
        return self._look(number)

    def _look(self, number: int) -> dict:
        """Return the row of where training is now, measured where that is due."""
        phase, step = int(self.state.phase), int(self.state.done)
        running, seconds = float(self.state.running), float(self.state.seconds)
        row = {"epoch": number, "phase": phase, "step": step, "seconds": seconds}
        due, ended = step % self._every == 0, self._phases[phase].ended(step, running)
        if phase == self._last and (due or ended):
            with stop_at_once():
                row |= self._evaluate()
                if not np.isfinite(row["train/loss"]):  # the last step's update went too far
                    return self._diverged()
                found = self._measure(self.state.starts()) if self._measure and due else {}
            if found:
                self.state.vectors.assign([measure.vector for measure in found.values()])
                row |= {f"curvature/{name}": measure.value for name, measure in found.items()}
            _say(row, self._phases[phase])
        if step:
            row[LAST_RUNNING if phase == self._last else EARLIER_RUNNING] = running
        return row

    def _finished(self, row: Mapping) -> bool:
        ended = self._phases[row["phase"]].ended(row["step"], _running(row))
        return row["phase"] == self._last and ended

    def _diverged(self) -> dict:
        phase, step = int(self.state.phase), int(self.state.done)
        print(f"the loss is not finite after {step:,} steps of phase {phase}: diverged", flush=True)
        seconds = float(self.state.seconds)
        return {"status": "diverged", "phase": phase, "step": step, "seconds": seconds}

    def _take_steps(self, number: int, until: int) -> bool:
        """Take steps of a phase up to `until`, or its end; return whether all losses were finite.

        A call of the compiled loop lasts about a second; its length changes no bit.
        """
        state, phase, examples = self.state, self._phases[number], len(self._examples)
        if number not in self._compiled:
            self._compiled[number] = make_steps(
                self._network,
                state.velocities,
                self._examples,
                phase,
                self._loss,
                self._strategy,
            )
        per_epoch = -(-examples // phase.batch_size)
        calls = CallLength(isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy))
        while (step := int(state.done)) < until and not phase.ended(step, float(state.running)):
            began, stop = time.perf_counter(), step + calls.next(until - step)
            orders = np.zeros([0, examples])
            if phase.batch_size < examples:
                epochs = range(step // per_epoch, (stop - 1) // per_epoch + 1)
                orders = epoch_orders(examples, epochs, [self._seed, number])
            step_then, running, finite = self._compiled[number](
                tf.constant(orders, tf.int64),
                tf.constant(step, tf.int64),
                tf.constant(stop, tf.int64),
                tf.identity(state.running),
            )
            state.done.assign(step_then)
            state.running.assign(running)
            state.seconds.assign_add(time.perf_counter() - began)
            if not finite:
                return False
            stop_if_asked()
        return True


def _running(row: Mapping) -> float:
    """Return the moving average of losses that a row has, infinite before the first step."""
    return row.get(LAST_RUNNING, row.get(EARLIER_RUNNING, np.inf))


def _say(row: Mapping, phase: Phase) -> None:
    shown = ("train/loss", "train/accuracy", "test/accuracy", "curvature/sharpness")
    values = (f"{name} {row[name]:.4g}" for name in shown if name in row)
    print(f"step {row['step']:,} of at most {phase.iterations:,}  {'  '.join(values)}", flush=True)
