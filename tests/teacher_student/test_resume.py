"""Runs that are killed, are stopped in the midst of a piece, or find a damaged state."""

import json
import signal

import numpy as np
import pytest

from repro.teacher_student import descent, slides
from repro.training import step
from repro.training.resume import Stopped
from repro.training.runs import RunDirectory


class Killed(Exception):
    pass


def left(path):
    """Return what a complete run left, but for times."""
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((path / "result.json").read_text())
    for each in (result, *rows):
        each.pop("seconds")
    with np.load(path / "arrays.npz", allow_pickle=False) as arrays:
        return result, rows, {name: arrays[name] for name in arrays}


def assert_same(path, whole):
    (result, rows, arrays), (expected, expected_rows, expected_arrays) = left(path), left(whole)
    assert result == expected and rows == expected_rows
    assert set(arrays) == set(expected_arrays)
    for name, values in expected_arrays.items():
        np.testing.assert_array_equal(arrays[name], values, err_msg=name)


@pytest.fixture(scope="module")
def whole(make, census, short, tmp_path_factory):
    """Complete runs by stage, made when they are asked for: whole(stage) -> directory."""
    made = {"census": census[0]}

    def whole(stage):
        if stage not in made:
            path = tmp_path_factory.mktemp(stage)
            make(short[stage], path)
            made[stage] = path
        return made[stage]

    return whole


@pytest.mark.parametrize(
    "stage, rows",
    [
        ("census", 4),
        ("slides", 2),
        *(pytest.param(*run, marks=pytest.mark.slow) for run in (("census", 1), ("slides", 1))),
        pytest.param("graph", 1, marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed(stage, rows, make, short, short_graph, whole, tmp_path, monkeypatch):
    """A kill comes before a row is logged, or, after the slides' last, at the first SLSQP."""
    expected, written, write = whole(stage), [], RunDirectory.log

    def log(directory, row):
        if len(written) == rows:
            raise Killed
        written.append(row)
        write(directory, row)

    def kill(*arguments):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "log", log)
        if (stage, rows) == ("slides", 2):
            patched.setattr(slides, "slsqp", kill)
        with pytest.raises(Killed):
            make(short[stage], tmp_path)
    assert len(written) == rows
    make(short[stage], tmp_path)
    assert_same(tmp_path, expected)


@pytest.mark.parametrize(
    "stage, module, looks",
    [
        ("census", descent, 3),  # within Adam's first piece
        # among Newton's last iterations
        pytest.param("census", descent, -20, marks=pytest.mark.slow),
        pytest.param("slides", slides, 5, marks=pytest.mark.slow),  # within the first SLSQP
        ("slides", slides, -2),  # within the last perturbation
        pytest.param("graph", descent, 4, marks=pytest.mark.slow),  # within Adam at width 1
        # within Newton's method at width 2
        pytest.param("graph", descent, -20, marks=pytest.mark.slow),
    ],
)
def test_stopped_within_a_piece(
    stage, module, looks, make, short, short_graph, whole, tmp_path, monkeypatch
):
    """A signal saves the state and ends with 143; the run goes on from there, bit for bit."""
    calls = []

    def look():
        calls.append(None)
        if len(calls) == looks:
            raise Stopped(signal.SIGTERM)

    if looks < 0:  # counted from the end of a run, which takes as many looks again
        with monkeypatch.context() as patched:
            patched.setattr(module, "stop_if_asked", look)
            make(short[stage], tmp_path / "counted")
        looks = len(calls) + looks
        calls.clear()
    with monkeypatch.context() as patched:
        patched.setattr(module, "stop_if_asked", look)
        with pytest.raises(SystemExit) as ended:
            make(short[stage], tmp_path / "stopped")
    assert ended.value.code == 143
    assert list((tmp_path / "stopped" / "checkpoints").glob("state-*.npz"))
    assert not (tmp_path / "stopped" / "result.json").exists()
    make(short[stage], tmp_path / "stopped")
    assert_same(tmp_path / "stopped", whole(stage))


def test_a_stop_within_adam_loses_no_step(make, short, tmp_path, monkeypatch):
    looks = []

    def look():
        looks.append(None)
        if len(looks) == 3:
            raise Stopped(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(descent, "stop_if_asked", look)
        patched.setattr(step, "SECONDS_PER_CALL", 0.0)  # a step a call
        with pytest.raises(SystemExit):
            make(short["census"], tmp_path)
    with np.load(tmp_path / "checkpoints" / "state-0.npz") as state:
        assert 3 <= state["adam_steps"] < descent.ADAM_PIECE


@pytest.mark.slow
def test_falls_back_before_a_damaged_state(make, short, census, tmp_path):
    path = tmp_path / "run"
    make(short["census"], path)
    for name in ("result.json", "arrays.npz", "certificates.json"):
        (path / name).unlink()
    states = sorted((path / "checkpoints").glob("state-*.npz"), key=lambda p: int(p.stem[6:]))
    assert len(states) == 2
    states[-1].write_bytes(states[-1].read_bytes()[:100])
    make(short["census"], path)
    assert_same(path, census[0])


@pytest.mark.slow
def test_sigterm_ends_a_process_with_143(stopped, tmp_path):
    flags = ["--hidden=3", "--num_students=2", "--adam_steps=100000000", f"--run_dir={tmp_path}"]
    ended = stopped(
        "-m",
        "repro.teacher_student",
        *flags,
        when=lambda: list(tmp_path.glob("checkpoints/state-*.npz")),
        by=signal.SIGTERM,
    )
    assert ended.returncode == 143
    assert not (tmp_path / "result.json").exists()
