"""Kill a run at random changes of files, again and again: kills.py FOLDER KILLS SEED PAPER FLAG...

Started with killer.c preloaded. A run is made whole once; then others like it are killed in the
midst of a write, around a rename or before a removal, and started again, until they are complete;
each must end as the whole one did, bit for bit but for times. Every try is a fork of this process,
which has TensorFlow imported and nothing begun, as most of a start is that import.

Prints one JSON object: kills, runs, and the seconds of the slowest try.
"""

import ctypes
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from repro import command_line, devices, launch, papers

TIMES = ("seconds", "start", "end")


def main(folder: Path, kills: int, seed: int, paper: str, *flags: str) -> None:
    killer = ctypes.CDLL(None)  # finds what is preloaded
    devices.import_tensorflow()
    draw = random.Random(seed)
    whole = folder / "whole"
    changes = attempt(killer, 0, paper, flags, whole)
    done, runs, slowest = 0, 0, 0.0
    while done < kills:
        run = folder / f"run{runs}"
        while True:
            began = time.monotonic()
            ended = attempt(killer, draw.randint(1, changes), paper, flags, run)
            slowest = max(slowest, time.monotonic() - began)
            if ended is not None:
                break
            done += 1
        same(whole, run)
        runs += 1
    print(json.dumps({"kills": done, "runs": runs, "changes": changes, "slowest": slowest}))


def attempt(killer, at: int, paper: str, flags, run_dir: Path) -> int | None:
    """Make a run in a fork; return how many changes of files it made, None where it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        killer.kill_at(at)
        code = 1
        try:
            settings, place = command_line.parse(
                papers.stages(paper), [*flags, f"--run_dir={run_dir}"]
            )
            launch.make(settings, place)
            os.write(writing, str(killer.changes()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as said:
        changes = said.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    assert status == 0, f"a run ended with status {os.waitstatus_to_exitcode(status)}"
    return int(changes)


def same(whole: Path, run: Path) -> None:
    """Assert that two complete runs are equal but for times, weights included."""
    assert timeless(json.loads((whole / "result.json").read_text())) == timeless(
        json.loads((run / "result.json").read_text())
    ), run
    first, second = (
        [timeless(json.loads(row)) for row in (path / "metrics.jsonl").read_text().splitlines()]
        for path in (whole, run)
    )
    assert first == second, run
    names = {path.name for path in whole.iterdir()} - {"checkpoints"}
    names = {name for name in names if not name.startswith("events")}
    assert names <= {path.name for path in run.iterdir()}, run
    if "arrays.npz" in names:
        with np.load(whole / "arrays.npz") as one, np.load(run / "arrays.npz") as other:
            assert set(one) == set(other)
            for name in one:
                np.testing.assert_array_equal(one[name], other[name], err_msg=f"{run} {name}")
    final = whole / "checkpoints" / "final.index"
    if final.exists():
        child = os.fork()
        if not child:
            code = 1
            try:
                weights = [variables(path / "checkpoints" / "final") for path in (whole, run)]
                assert set(weights[0]) == set(weights[1])
                for name, value in weights[0].items():
                    np.testing.assert_array_equal(value, weights[1][name], err_msg=name)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0, f"{run}: other weights"


def variables(checkpoint: Path) -> dict[str, np.ndarray]:
    """Return the variables of a checkpoint but for the count of saves and the seconds taken."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(checkpoint))
    names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    kept = (name for name in names if not name.startswith(("save_counter", "seconds")))
    return {name: reader.get_tensor(name) for name in kept}


def timeless(value):
    """Return JSON without its times."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], *sys.argv[5:])
