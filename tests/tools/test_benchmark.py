"""The benchmark's verdicts and records; its rows, made small, only have to work."""

import json
import math
import sys

import pytest

from repro.tools import benchmark
from repro.tools import benchmark_rows as measure


@pytest.mark.parametrize(
    "value, target, holds",
    [(1.05, "<= 1.05", True), (1.06, "<= 1.05", False), (3, ">= 3", True), (2.9, ">= 3", False)],
)
def test_verdicts(value, target, holds):
    assert measure.judged("row", value, "ratio", target, "").holds is holds


def test_what_is_compared_takes_turns_after_warming_up():
    calls = []
    functions = [lambda name=name: calls.append(name) for name in "ab"]
    medians = measure.medians(functions, 3)
    assert calls == ["a", "b"] * 4
    assert len(medians) == 2 and all(0 <= seconds < 1 for pair in medians for seconds in pair)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run the command on given rows; return the exit status and the record."""

    def run(rows, *arguments):
        monkeypatch.setattr(benchmark, "ROWS", rows)
        monkeypatch.setattr(sys, "argv", ["benchmark", f"--output_dir={tmp_path}", *arguments])
        with pytest.raises(SystemExit) as ended:
            benchmark.main()
        file = tmp_path / "benchmark.json"
        return ended.value.code, json.loads(file.read_text()) if file.exists() else None

    return run


def fake(name, value):
    return lambda fast: measure.judged(name, value, "s", "<= 1", "made up")


def test_a_missed_target_is_the_exit_status(command, capsys):
    status, record = command({"a": fake("a", 0.5), "b": fake("b", 2.0)})
    assert status == 1
    assert [(row["name"], row["holds"]) for row in record["rows"]] == [("a", True), ("b", False)]
    assert record["fast"] is False and "tensorflow" in record["versions"]
    assert "MISSED" in capsys.readouterr().out


def test_rows_are_chosen_by_the_start_of_their_names(command):
    status, record = command({"a/x": fake("a/x", 0.5), "b": fake("b", 2.0)}, "--only=a", "--fast")
    assert status == 0 and [row["name"] for row in record["rows"]] == ["a/x"] and record["fast"]


def ratio(name, value, target):
    return lambda fast: measure.judged(name, value, "ratio", target, "made up")


@pytest.mark.parametrize(
    "value, target, regressed",
    [
        (1.09, "<= 5", False),
        (1.11, "<= 5", True),
        (0.5, "<= 5", False),  # twice as good
        (0.92, ">= 0.5", False),  # 1 / 0.92 is 8.7 % more
        (0.9, ">= 0.5", True),  # 11 %
        (2.0, ">= 0.5", False),
    ],
)
def test_a_ratio_a_tenth_worse_than_the_baseline_is_flagged(
    command, monkeypatch, tmp_path, capsys, value, target, regressed
):
    monkeypatch.setattr(benchmark, "BASELINE", tmp_path / "baseline.json")
    (tmp_path / "baseline.json").write_text('{"a": 1.0}')
    status, record = command({"a": ratio("a", value, target)})
    assert (status, record["regressions"]) == ((1, ["a"]) if regressed else (0, []))
    assert ("REGRESSION" in capsys.readouterr().out) is regressed


def test_a_saved_baseline_keeps_the_rows_that_were_not_measured(command, monkeypatch, tmp_path):
    file = tmp_path / "baseline.json"
    monkeypatch.setattr(benchmark, "BASELINE", file)
    file.write_text('{"a": 1.0, "b": 2.0}')
    rows = {"a": ratio("a", 3.0, "<= 5"), "b": ratio("b", 9.0, "<= 9"), "seconds": fake("s", 1)}
    assert command(rows, "--only=a", "--save_baseline")[0] == 1  # said once more, then kept
    assert json.loads(file.read_text()) == {"a": 3.0, "b": 2.0}
    assert command(rows, "--only=a")[0] == 0
    command(rows, "--fast", "--save_baseline")  # says nothing of speed
    assert json.loads(file.read_text()) == {"a": 3.0, "b": 2.0}


def test_an_unknown_row_lists_the_choices(command):
    status, record = command(benchmark.ROWS, "--only=nothing")
    assert "choose from start_seconds/import" in status and record is None


def test_the_issues_rows_are_there():
    kinds = {name.split("/")[0] for name in benchmark.ROWS}
    assert kinds >= {"loop_overhead", "augmentation_headroom", "epoch_seconds", "start_seconds"}


@pytest.mark.parametrize(
    "name", ["loop_overhead/mlp_1x512", "epoch_seconds/mlp_1x512", "start_seconds/help"]
)
def test_fast_rows_work(name):
    row = benchmark.ROWS[name](True)
    assert row.name == name and row.value > 0 and math.isfinite(row.value)
