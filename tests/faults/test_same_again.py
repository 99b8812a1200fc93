"""The same command gives the same bytes again, and on any machine the numbers of tests/golden.

tests/golden has the metrics of a small run of every binary. REPRO_GOLDEN=write writes them anew,
after a change that is meant to change numbers.
"""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from runs_made import RUNS, slow

GOLDEN = Path(__file__).parents[1] / "golden"
# Processors round in different orders, and every step of training carries that on. A loss may be
# off by so much of itself; a share of examples by a few of them, of which digits have hundreds.
LOSS, SHARE = 1e-3, 0.02
NAMES = ("randomization", "bad start", "stability", "students", "curve")  # of every binary
CLOCK = ("seconds", "start", "end")


@pytest.fixture
def twice(command, tmp_path):
    """Make a run twice, with --deterministic where its binary has it; return both directories."""

    def make(name, times=2):
        paths = [tmp_path / f"run{number}" for number in range(times)]
        for path in paths:
            ended = command(*RUNS[name], "--deterministic", f"--run_dir={path}", below=path)
            if ended.status == 2:  # float64 on processors alone, which has no other kernels
                assert "--deterministic is unknown" in ended.error
                ended = command(*RUNS[name], f"--run_dir={path}", below=path)
            assert ended.status == 0, ended.said
        return paths

    return make


def rows_of(file):
    """Return the rows of a metrics.jsonl without times, as text of their bytes."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_twice_gives_the_same_bytes(name, twice):
    one, other = twice(name)
    assert json.dumps(rows_of(one / "metrics.jsonl")) == json.dumps(
        rows_of(other / "metrics.jsonl")
    )
    assert rows_of(one / "metrics.jsonl")
    assert (one / "arrays.npz").exists() == (other / "arrays.npz").exists()
    if (one / "arrays.npz").exists():
        with np.load(one / "arrays.npz") as first, np.load(other / "arrays.npz") as second:
            assert set(first) == set(second)
            for array in first:
                assert first[array].tobytes() == second[array].tobytes(), array


@pytest.mark.parametrize("name", ["randomization", *map(slow, NAMES[1:])])
def test_the_golden_metrics(name, twice):
    (path,) = twice(name, times=1)
    found, file = rows_of(path / "metrics.jsonl"), GOLDEN / f"{name.replace(' ', '_')}.jsonl"
    if os.environ.get("REPRO_GOLDEN") == "write":
        file.write_text("".join(json.dumps(row) + "\n" for row in found))
    golden = rows_of(file)
    assert [list(row) for row in found] == [list(row) for row in golden]
    for row, expected in zip(found, golden):
        for key, value in expected.items():
            share = "accuracy" in key or value in (0, 1)
            close = math.isclose(row[key], value, rel_tol=LOSS, abs_tol=SHARE if share else 1e-6)
            assert close, (row["epoch"], key, row[key], value)
