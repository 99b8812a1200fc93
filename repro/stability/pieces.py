"""Plain descent in pieces of work, after each of which it can be stopped and taken up again."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.stability.descent import Recipe, epoch_orders, make_steps
from repro.training.checkpoints import Checkpoints
from repro.training.resume import resume, stop_at_once, stop_if_asked
from repro.training.runs import Job
from repro.training.step import CallLength

PIECE = 1000  # steps that a piece of work has at most
RUNNING = "train/running_loss"


@dataclasses.dataclass(frozen=True)
class State:
    """What training changes beside the network, in variables that a checkpoint holds."""

    velocities: Sequence[tf.Variable]
    done: tf.Variable  # steps
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
            done=tf.Variable(0, dtype=tf.int64),
            running=tf.Variable(np.inf, dtype=weights[0].dtype),
            vectors=tf.Variable(tf.zeros([2, size], tf.float64)),
            seconds=tf.Variable(0.0, dtype=tf.float64),
        )

    def variables(self) -> dict:
        """Return all of it by name, for a checkpoint."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def starts(self) -> list[np.ndarray | None]:
        """Return the vectors to start Lanczos from, None where there was no measurement yet."""
        return [row if row.any() else None for row in self.vectors.numpy()]


class Descent:
    """Training from where a network is.

    A piece of work ends at the next multiple of `measure_every` or of 1,000 steps, or with the
    training. A row's `epoch` is the number of the piece, and `step` counts steps.
    """

    def __init__(
        self,
        network: keras.Model,
        examples,
        recipe: Recipe,
        *,
        loss: Callable,
        strategy: tf.distribute.Strategy,
        order: Sequence[int],
        measure_every: int,
        evaluate: Callable[[], Mapping],
        measure: Callable | None = None,
        others: Mapping | None = None,
    ):
        """Say what is trained and what is measured.

        Args:
          network: trained in place; built under `strategy`.
          examples: with `images` [n, ...] and `targets` [n, k].
          recipe: of the steps.
          loss: targets, outputs -> losses [b].
          strategy: whose replicas share every batch.
          order: numbers that key the order of examples.
          measure_every: steps between two measurements.
          evaluate: () -> losses and accuracies by name, `train/loss` among them; called at the end
            too.
          measure: start vectors -> two curvature.stability.Measure by name; None: none. What is
            measured at the end is the caller's, who starts it from `state.starts()`.
          others: name -> variables that `evaluate` changes, for checkpoints.
        """
        self.state = State.initial(network, strategy, vectors=measure is not None)
        self._network, self._examples, self._recipe = network, examples, recipe
        self._loss, self._strategy = loss, strategy
        self._order, self._every = list(order), measure_every
        self._evaluate, self._measure, self._others = evaluate, measure, others or {}
        self._steps = None  # compiled when the first is taken

    def run(self, job: Job) -> dict:
        """Do what is left and return the last row of metrics, with `status`."""
        store = Checkpoints(
            job.checkpoints,
            self._network,
            others={**self.state.variables(), **self._others},
            chief=job.directory.chief,
        )
        return resume(job, store, self._piece, self._finished, first=lambda: self._look(0))

    def fitted(self) -> bool:
        """Whether the stopping rule is met."""
        return self._recipe.fitted(float(self.state.running))

    def _piece(self, number: int, before: Mapping) -> dict:
        """Do a piece, or what is left of it, and return its row. `before` says where it began."""
        ends = [before["step"] + each - before["step"] % each for each in (self._every, PIECE)]
        if not self._take_steps(min(*ends, self._recipe.iterations)):
            return self._diverged()
        return self._look(number)

    def _look(self, number: int) -> dict:
        """Return the row of where training is now, measured where that is due."""
        step = int(self.state.done)
        running, seconds = float(self.state.running), float(self.state.seconds)
        row = {"epoch": number, "step": step, "seconds": seconds}
        due = step % self._every == 0
        if due or self._recipe.ended(step, running):
            with stop_at_once():
                row |= self._evaluate()
                if not np.isfinite(row["train/loss"]):  # the last step's update went too far
                    return self._diverged()
                found = self._measure(self.state.starts()) if self._measure and due else {}
            if found:
                if number:  # before the first piece no state is saved
                    self.state.vectors.assign([measure.vector for measure in found.values()])
                row |= {f"curvature/{name}": measure.value for name, measure in found.items()}
            _say(row, self._recipe)
        return {**row, RUNNING: running} if step else row

    def _finished(self, row: Mapping) -> bool:
        return self._recipe.ended(row["step"], row.get(RUNNING, np.inf))

    def _diverged(self) -> dict:
        step, seconds = int(self.state.done), float(self.state.seconds)
        print(f"the loss is not finite after {step:,} steps: diverged", flush=True)
        return {"status": "diverged", "step": step, "seconds": seconds}

    def _take_steps(self, until: int) -> bool:
        """Take steps up to `until`, or the end; return whether all losses were finite.

        A call of the compiled loop lasts about a second; its length changes no bit.
        """
        state, recipe, examples = self.state, self._recipe, len(self._examples)
        self._steps = self._steps or make_steps(
            self._network, state.velocities, self._examples, recipe, self._loss, self._strategy
        )
        per_epoch = -(-examples // recipe.batch_size)
        calls = CallLength(isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy))
        while (step := int(state.done)) < until and not recipe.ended(step, float(state.running)):
            began, stop = time.perf_counter(), step + calls.next(until - step)
            orders = np.zeros([0, examples])
            if recipe.batch_size < examples:
                epochs = range(step // per_epoch, (stop - 1) // per_epoch + 1)
                orders = epoch_orders(examples, epochs, self._order)
            step_then, running, finite = self._steps(
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


def _say(row: Mapping, recipe: Recipe) -> None:
    shown = ("train/loss", "train/accuracy", "test/accuracy", "curvature/sharpness")
    values = (f"{name} {row[name]:.4g}" for name in shown if name in row)
    print(f"step {row['step']:,} of at most {recipe.iterations:,}  {'  '.join(values)}", flush=True)
