"""Reading runs, and what runs have in common in one line."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from repro.reporting import results
from repro.reporting.results import Run

RESULT = {"train_examples": 5000, "test_examples": 1000}


def run(metrics=(), result=None, **settings):
    return Run(Path("made_up"), settings, RESULT | (result or {}), list(metrics))


@pytest.fixture
def run_dir(tmp_path):
    rows = [{"epoch": 1, "train/loss": 2.0}, {"epoch": 2}, {"epoch": 3, "train/loss": 1.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "result.json").write_text(json.dumps({"status": "complete"}))
    np.savez(tmp_path / "arrays.npz", values=np.arange(3))
    return tmp_path


def test_a_complete_run_is_read(run_dir):
    read = results.load(run_dir, {"seed": 0})
    assert (read.path, read.settings, read.result) == (run_dir, {"seed": 0}, {"status": "complete"})
    assert read.curve("train/loss") == ([1, 3], [2.0, 1.0])
    np.testing.assert_array_equal(read.arrays()["values"], [0, 1, 2])


def test_an_incomplete_run_is_none(run_dir):
    (run_dir / "result.json").unlink()
    assert results.load(run_dir, {}) is None


def test_a_run_may_have_no_metrics(run_dir):
    (run_dir / "metrics.jsonl").unlink()
    assert results.load(run_dir, {}).metrics == []


@pytest.mark.parametrize("file", ["result.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b'{"epoch": 1', b"\0\0\0", b"\xff\xfe"])
def test_a_damaged_run_is_named(run_dir, file, content):
    (run_dir / file).write_bytes(content)
    with pytest.raises(results.DamagedError, match=f"of {run_dir} is damaged"):
        results.load(run_dir, {})


@pytest.mark.parametrize(
    ("bounds", "epoch"),
    [
        ({"at_most": 1.5}, 3),
        ({"at_most": 2.0}, 1),
        ({"at_most": 0.5}, None),
        ({"at_least": 1.5}, 1),
        ({}, 1),
    ],
    ids=str,
)
def test_the_first_epoch_within_bounds(run_dir, bounds, epoch):
    assert results.load(run_dir, {}).first_epoch("train/loss", **bounds) == epoch


def test_runs_are_chosen_by_settings():
    runs = [run(seed=2, model="a"), run(seed=0, model="a"), run(seed=1, model="b")]
    assert results.select(runs, model="a") == runs[:2]
    assert results.select(runs, model="a", seed=2) == runs[:1]
    assert results.select(runs, none="x") == []
    assert results.only(runs, model="a") is runs[1]  # of the lowest seed
    assert results.only(runs, model="c") is None
    assert results.distinct(runs, "model") == ["a", "b"]


def test_the_protocol_says_what_runs_have_in_common():
    common = {"dataset": "digits", "epochs": 3, "batch_size": 64, "precision": "float32"}
    runs = [run(model="a", seed=0, **common), run(model="b", seed=1, **common)]
    assert results.protocol(runs) == (
        "a/b on digits, 5,000 training and 1,000 test images, at most 3 epochs, batch 64, float32, "
        "seed 0/1"
    )
    runs.append(run(result={"train_examples": 50_000}, model="a", seed=0, **common))
    assert "5,000/50,000 training" in results.protocol(runs)
    runs[1].result["unsaid"] = {"batch_size": "tuned", "dropout_rate": "default"}
    assert "batch 64, tuned batch_size 64, float32" in results.protocol(runs)


def test_protocols_of_the_runs_own_stand_side_by_side():
    runs = [run(result={"protocol": f"width {width}, seed 0"}) for width in (4, 5)]
    assert results.protocol(runs) == "width 4/5, seed 0"
    runs.append(run(result={"protocol": "something else"}))
    assert results.protocol(runs) == "width 4, seed 0; width 5, seed 0; something else"


def test_columns_of_a_digitised_figure(tmp_path):
    (tmp_path / "f.csv").write_text("p,error\n0.0,0.5\n0.1,\n")
    columns = results.read_columns(tmp_path / "f.csv")
    assert columns["p"] == [0.0, 0.1]
    assert columns["error"][0] == 0.5 and math.isnan(columns["error"][1])
