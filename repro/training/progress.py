"""What a training run says of itself while it goes on."""

import sys
import time
from collections.abc import Mapping

import keras


class Progress:
    """Keras's progress bar with rate and time left on a terminal, and a line an epoch anywhere."""

    def __init__(self, epochs: int):
        """Begin to count the time of a training of so many epochs."""
        self._epochs, self._terminal = epochs, sys.stdout.isatty()
        self._start, self._first_epoch, self._bar = time.perf_counter(), None, None

    def steps(self, done: int, steps: int, loss: float) -> None:
        """Move the bar, where there is a terminal: steps done of an epoch's, their mean loss."""
        if self._terminal:
            if self._bar is None:
                self._bar = keras.utils.Progbar(steps, unit_name="step", stateful_metrics=["loss"])
            self._bar.update(done, [("loss", loss)])
            if done == steps:
                self._bar = None

    def epoch(self, row: Mapping, batches) -> None:
        """Say what a row of metrics has, how fast it came, and how long the rest may take."""
        if self._first_epoch is None:
            self._first_epoch = row["epoch"] - 1
        per_epoch = (time.perf_counter() - self._start) / (row["epoch"] - self._first_epoch)
        rate = batches.steps * batches.batch_size / per_epoch
        left = per_epoch * (self._epochs - row["epoch"])
        values = (
            f"{name} {row[name]:.4f}" for name in row if name.endswith(("/loss", "/accuracy"))
        )
        self.say(
            f"epoch {row['epoch']}/{self._epochs}  {'  '.join(values)}  "
            f"{rate:,.0f} images/s  at most {_duration(left)} left"
        )

    def say(self, text: str) -> None:
        """Print a line at once."""
        print(text, flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
