"""Benchmark rows of whole processes: how long a binary takes to start, to step, to go on."""

import functools
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from repro.tools.benchmark_rows import REPEATS, Row, judged, medians

# One batch of digits an epoch, so that the first row of metrics comes after the first step.
SMALL = ("--model=mlp_1x512", "--dataset=digits", "--train_examples=128", "--epochs=100000")
PATIENCE = 120.0  # seconds


def start_seconds(fast: bool, name: str, arguments: Sequence[str]) -> Row:
    """Time a Python process that imports a binary or prints its help."""

    def start():
        subprocess.run([sys.executable, *arguments], capture_output=True)

    ((seconds, _),) = medians([start], 1 if fast else REPEATS)
    return judged(f"start_seconds/{name}", seconds, "s", "<= 1", f"python {' '.join(arguments)}")


def first_step_seconds(fast: bool) -> Row:
    """Time a process from its start to the end of the first epoch, which is one step."""
    with tempfile.TemporaryDirectory() as place:
        seconds = [_seconds_to_a_row(Path(place, str(k))) for k in range(1 if fast else REPEATS)]
    detail = (
        f"{min(seconds):.1f} to {max(seconds):.1f} s, the MLP on 128 digits, evaluated and saved"
    )
    return judged("start_seconds/first_step", statistics.median(seconds), "s", "<= 6", detail)


def resume_seconds(fast: bool) -> Row:
    """Time a process that goes on with a stopped run, from its start to its first new epoch."""
    with tempfile.TemporaryDirectory() as place:
        run_dir = Path(place, "run")
        _seconds_to_a_row(run_dir)
        seconds = [_seconds_to_a_row(run_dir) for _ in range(1 if fast else REPEATS)]
    detail = f"{min(seconds):.1f} to {max(seconds):.1f} s, the same run stopped by SIGTERM"
    return judged("resume_seconds/mlp_1x512", statistics.median(seconds), "s", "<= 10", detail)


def _seconds_to_a_row(run_dir: Path) -> float:
    """Start a run, or go on with it; stop it once its metrics have a row more."""
    command = [sys.executable, "-m", "repro.randomization", *SMALL, f"--run_dir={run_dir}"]
    before, began = _rows(run_dir), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while _rows(run_dir) <= before:
            if process.poll() is not None:
                raise RuntimeError(f"the run ended: {process.stderr.read().decode()}")
            if time.perf_counter() - began > PATIENCE:
                raise RuntimeError(f"no row of metrics came within {PATIENCE:g} seconds")
            time.sleep(0.02)
        return time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def _rows(run_dir: Path) -> int:
    file = run_dir / "metrics.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0


ROWS: dict[str, Callable[[bool], Row]] = {
    "start_seconds/import": functools.partial(
        start_seconds, name="import", arguments=("-c", "import repro.randomization.settings")
    ),
    "start_seconds/help": functools.partial(
        start_seconds, name="help", arguments=("-m", "repro.randomization", "--help")
    ),
    "start_seconds/first_step": first_step_seconds,
    "resume_seconds/mlp_1x512": resume_seconds,
}
