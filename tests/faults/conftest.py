"""Commands in forks of a process whose files fail, and how many random inputs are tried.

A few by default, as many as it takes with REPRO_FAULTS=many.
"""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # puts runs_made.py, beside the tests, within their reach

from runs_made import MANY  # noqa: E402

CLOCK = ("seconds", "start", "end")


@pytest.fixture
def tried():
    """Return hypothesis's settings for so many examples: tried(60), times 17 for `many`."""

    def settings(examples):
        return hypothesis.settings(
            max_examples=examples * (17 if MANY else 1),
            derandomize=not MANY,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )

    return settings


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: exit status (negative: a signal), its lines, its changes of files."""

    status: int
    said: str
    changes: int
    seconds: float

    @property
    def error(self) -> str:
        """The one line that says what went wrong; asserts that there is one, and no traceback."""
        assert "Traceback" not in self.said and "Exception ignored" not in self.said, self.said
        found = [line for line in self.said.splitlines() if line.startswith("error: ")]
        assert self.status in (1, 2, 75) and len(found) == 1, (self.status, self.said)
        return found[0]


@pytest.fixture(scope="session")
def faults_library(tmp_path_factory):
    """Return the library of faults.c, compiled."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler, for the library that lets files fail")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    options = ["-O1", "-shared", "-fPIC", "-o", str(library), str(HERE / "faults.c"), "-ldl"]
    subprocess.run(["cc", *options], check=True)
    return library


@pytest.fixture(scope="session")
def commands(faults_library, environment):
    """Make commands of the suite in forks: commands([{...}, ...]) -> [Ended], all at once.

    See server.py for what a command is.
    """
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")],
        cwd=HERE.parents[1],
        env={**environment, "LD_PRELOAD": str(faults_library), "MPLBACKEND": "Agg"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert json.loads(server.stdout.readline()) == "ready"

    def make(asked):
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        return [Ended(**one) for one in json.loads(server.stdout.readline())]

    yield make
    server.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(10)
    server.kill()


@pytest.fixture(scope="session")
def command(commands):
    """Make one: command(name, *arguments, below=folder, faults=[(function, *values)]) -> Ended.

    The functions are those of faults.c; an error may be said by name, such as "ENOSPC".
    """

    def make(name, *arguments, below, faults=()):
        one = {"command": name, "arguments": [str(a) for a in arguments], "below": str(below)}
        return commands([{**one, "faults": list(faults)}])[0]

    return make


# --- equal but for times --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def assert_same():
    """Assert that two complete runs are equal but for times, bit for bit."""
    return same


def same(whole: Path, run: Path, but: str | None = None) -> None:
    assert timeless(whole / "result.json") == timeless(run / "result.json"), run
    if (whole / "metrics.jsonl").exists():
        assert timeless(whole / "metrics.jsonl") == timeless(run / "metrics.jsonl"), run
    names = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()}
    ours = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    passing = ("events", "lock", "checkpoints/ckpt-", "checkpoints/state-", "log.txt")
    names = {name for name in names if not name.startswith(passing)}
    names = {name for name in names if but is None or but not in name}
    assert names <= ours, names - ours
    for name in names:
        if name.endswith(".npz"):
            arrays_equal(whole / name, run / name)
    if "checkpoints/final.index" in names:
        first, second = (variables(path / "checkpoints" / "final") for path in (whole, run))
        assert set(first) == set(second)
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name], err_msg=f"{run} {name}")


def arrays_equal(one: Path, other: Path) -> None:
    with np.load(one, allow_pickle=False) as first, np.load(other, allow_pickle=False) as second:
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=f"{other} {name}")


def variables(checkpoint: Path) -> dict[str, np.ndarray]:
    """Return the variables of a checkpoint but for the count of saves and the seconds taken."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(checkpoint))
    names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    kept = (name for name in names if not name.startswith(("save_counter", "seconds")))
    return {name: reader.get_tensor(name) for name in kept}


def timeless(file: Path):
    """Return the JSON of a file, or of each of its lines, without times."""
    text = file.read_text()
    values = map(json.loads, text.splitlines()) if file.suffix == ".jsonl" else [json.loads(text)]
    return [_timeless(value) for value in values]


def _timeless(value):
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in CLOCK}
    return [_timeless(each) for each in value] if isinstance(value, list) else value
