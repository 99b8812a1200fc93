"""Runs killed at any change of a file end as if they had not been; see kills.py.

REPRO_FAULTS=many kills a thousand times, which takes an hour.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
KILLS = {"ci": 1, "many": 112}[os.environ.get("REPRO_FAULTS", "ci")]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None,
    reason="needs Linux and a C compiler, for the library that kills",
)

SMALL = ("--dataset=digits", "--train_examples=100", "--batch_size=50", "--download=false")
MODES = (*SMALL, "--model=mlp_1x512", "--eval_examples=50", "--epoch_scale=0.05")
QUICK = ("--measure_every=20", "--max_iterations=3")
RUNS = {
    "randomization": ("randomization", *SMALL, "--model=mlp_1x512", "--epochs=3"),
    "students": ("teacher_student", "--hidden=3", "--num_students=2", "--adam_steps=2000"),
    "curve": ("mode_connectivity", "--stage=curve", *MODES, "--large_batch_size=100"),
}
MORE = {  # seconds of compiling before the first step, or many of them
    "toy": ("bad_minima", "--stage=toy"),
    "bad start": (
        *("bad_minima", "--model=resnet18", "--width=0.0625", "--dataset=digits"),
        *("--train_examples=32", "--batch_size=16", "--init=adversarial"),
        *("--pretrain_epochs=2", "--epochs=2", "--eval_every=1", "--download=false"),
    ),
    "stability": ("stability", *SMALL, "--model=fnn", "--iterations=60", *QUICK),
    "escape": ("stability", "--stage=escape", *SMALL, "--start_iterations=40", "--iterations=40"),
    "slides": ("teacher_student", "--stage=slides", "--num_students=2", "--adam_steps=500"),
    "graph": ("teacher_student", "--stage=graph", "--adam_steps=500"),
}


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    """Return the library that kills."""
    library = tmp_path_factory.mktemp("killer") / "killer.so"
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "killer.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


def check(killer, environment, folder, kills, *flags):
    """Kill a run so often; kills.py compares what becomes of it."""
    done = subprocess.run(
        [sys.executable, str(HERE / "kills.py"), str(folder), str(kills), "0", *flags],
        cwd=HERE.parents[1],
        env={**environment, "LD_PRELOAD": str(killer), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(flags[0], found)
    assert found["kills"] >= kills and found["runs"] >= 1


@pytest.mark.parametrize("name", RUNS)
def test_killed_anywhere(name, killer, environment, tmp_path):
    check(killer, environment, tmp_path, KILLS, *RUNS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_killed_anywhere_at_length(name, killer, environment, tmp_path):
    check(killer, environment, tmp_path, KILLS, *MORE[name])
