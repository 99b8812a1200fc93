"""The one way runs are taken up again: in parts equals in full, wherever a run dies.

The run here is a random walk: a piece moves a point by a step keyed by the piece's number, in four
parts between which it can be stopped. Its state is kept by both stores, as papers keep theirs.
"""

import contextlib
import logging
import os
import signal
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.training import signals
from repro.training.checkpoints import Checkpoints
from repro.training.resume import resume, stop_if_asked
from repro.training.runs import Job, RunDirectory, RunDirectoryError
from repro.training.snapshots import Snapshots

PIECES, PARTS = 6, 4


class KilledError(BaseException):
    """Stands for a kill; no handler of ordinary errors may catch it."""


class Walk:
    """What pieces change, behind one face: `point`, and `part`, how far a piece has come."""

    def __init__(self, kind, path):
        self.kind = kind
        if kind == "checkpoints":
            self._point = tf.Variable(np.zeros(3))
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            self.store = Checkpoints(path, model, others={"point": self._point})
        else:
            self.store = Snapshots(path, {"point": np.zeros(3), "part": np.array(0)})

    @property
    def point(self):
        return self._point.numpy() if self.kind == "checkpoints" else self.store.state["point"]

    @property
    def part(self):
        return int(self.store.step if self.kind == "checkpoints" else self.store.state["part"])

    def put(self, point, part):
        if self.kind == "checkpoints":
            self._point.assign(point)
            self.store.step.assign(part)
        else:
            self.store.state = {"point": point, "part": np.array(part)}


class Run:
    """One process's life of a run: made anew in the same directory, it goes on."""

    def __init__(self, kind, path, checkpoint_every=1, strategy=None):
        self.directory = RunDirectory(path, {"pieces": PIECES})
        self.job = Job(
            directory=self.directory,
            strategy=strategy or tf.distribute.get_strategy(),
            checkpoint_every=checkpoint_every,
        )
        self.walk = Walk(kind, self.job.checkpoints)
        self.parts, self.kept = [], []  # done in this life
        self.before = lambda number, part: None  # called before every part of a piece

    def piece(self, number, row):
        while self.walk.part < PARTS:
            self.before(number, self.walk.part)
            stop_if_asked()
            step = np.random.default_rng([number, self.walk.part]).normal(size=3)
            self.walk.put(self.walk.point / 3 + step, self.walk.part + 1)
            self.parts.append((number, self.walk.part))
        self.walk.put(self.walk.point, 0)
        total = row.get("walk/total", 0.0) + float(self.walk.point.sum())
        return {"epoch": number, "step": number, "walk/total": total}

    def first(self):
        return {"epoch": 0, "step": 0, "walk/total": 0.5}

    def go(self):
        try:
            return resume(
                self.job,
                self.walk.store,
                self.piece,
                lambda row: row.get("epoch", 0) >= PIECES,
                first=self.first,
                keep=self.kept.append,
            )
        finally:
            self.directory.close()


@pytest.fixture(params=["checkpoints", "snapshots"])
def kind(request):
    return request.param


@pytest.fixture
def whole(kind, tmp_path):
    """The run without interruption: its outcome, rows and last point."""
    run = Run(kind, tmp_path / "whole")
    return run.go(), run.directory.metrics(), run.walk.point


def assert_whole(run, outcome, whole):
    expected, rows, point = whole
    assert outcome == expected
    assert run.directory.metrics() == rows
    np.testing.assert_array_equal(run.walk.point, point)


def tensorboard_steps(path):
    """All steps that TensorBoard shows, those that it would show twice too."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path), purge_orphaned_data=False)
    events.Reload()
    return [event.step for event in events.Tensors("walk/total")]


def test_a_whole_run(kind, whole, tmp_path):
    outcome, rows, _ = whole
    assert [row["epoch"] for row in rows] == list(range(PIECES + 1))
    assert outcome == {**rows[-1], "status": "complete"}
    names = {path.name.split(".")[0] for path in (tmp_path / "whole" / "checkpoints").iterdir()}
    assert {"initial", "final"} <= names
    assert tensorboard_steps(tmp_path / "whole") == list(range(PIECES + 1))


def die(run, where, at, monkeypatch):
    """Let a run die at a place of a piece: within it, or between its row and the saving."""
    log, save = run.directory.log, run.walk.store.save

    def log_and_die(row):
        if where == "before the row" and row["epoch"] == at:
            raise KilledError
        log(row)
        if where == "after the row" and row["epoch"] == at:
            raise KilledError

    def save_and_die(position):
        save(position)
        if where == "after the saving" and position == at:
            raise KilledError

    def before(number, part):
        if where == "within" and (number, part) == (at, 2):
            raise KilledError

    monkeypatch.setattr(run.directory, "log", log_and_die)
    monkeypatch.setattr(run.walk.store, "save", save_and_die)
    run.before = before
    with contextlib.suppress(KilledError):
        run.go()
        pytest.fail("it did not die")


PLACES = ["within", "before the row", "after the row", "after the saving"]


@pytest.mark.parametrize("at", [1, 2, 5, 6])
@pytest.mark.parametrize("where", PLACES)
def test_in_parts_equals_in_full(kind, whole, tmp_path, monkeypatch, where, at):
    die(Run(kind, tmp_path / "run"), where, at, monkeypatch)
    run = Run(kind, tmp_path / "run")
    assert_whole(run, run.go(), whole)
    saved = at if where == "after the saving" else at - 1
    assert run.parts == [(n, p) for n in range(saved + 1, PIECES + 1) for p in range(1, PARTS + 1)]
    assert tensorboard_steps(tmp_path / "run") == list(range(PIECES + 1))


@pytest.mark.parametrize("where", PLACES)
def test_with_rare_saving_too(kind, whole, tmp_path, monkeypatch, where):
    """Saved after pieces 4 and 6 alone; dying twice, rows after 4 are dropped twice."""
    if where != "after the saving":
        die(Run(kind, tmp_path / "run", checkpoint_every=4), where, 5, monkeypatch)
    die(Run(kind, tmp_path / "run", checkpoint_every=4), where, 6, monkeypatch)
    run = Run(kind, tmp_path / "run", checkpoint_every=4)
    assert_whole(run, run.go(), whole)
    assert run.kept == ([] if where == "after the saving" else [5, 6])
    assert tensorboard_steps(tmp_path / "run") == list(range(PIECES + 1))


def newest(path):
    """The files of the newest saved state of either store."""
    saved = sorted(
        [*path.glob("ckpt-*.data*"), *path.glob("state-*.npz")],
        key=lambda file: int(file.name.split("-")[1].split(".")[0]),
    )
    return saved[-1]


def test_it_falls_back_before_a_damaged_state(kind, whole, tmp_path, monkeypatch, caplog):
    die(Run(kind, tmp_path / "run"), "within", 5, monkeypatch)
    file = newest(tmp_path / "run" / "checkpoints")
    file.write_bytes(file.read_bytes()[:50])
    run = Run(kind, tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        assert_whole(run, run.go(), whole)
    assert "is unreadable" in caplog.text
    assert run.parts[0] == (4, 1)


def test_with_all_states_damaged_it_starts_again(kind, whole, tmp_path, monkeypatch):
    die(Run(kind, tmp_path / "run"), "within", 5, monkeypatch)
    folder = tmp_path / "run" / "checkpoints"
    for file in [*folder.glob("ckpt-*.data*"), *folder.glob("state-*.npz")]:
        file.write_bytes(b"")
    run = Run(kind, tmp_path / "run")
    assert_whole(run, run.go(), whole)
    assert run.parts[0] == (1, 1)


def test_damaged_metrics_are_named_and_not_gone_on_from(kind, tmp_path, monkeypatch):
    """Rows that are lost cannot be made again from the state, which is after them."""
    die(Run(kind, tmp_path / "run"), "within", 5, monkeypatch)
    file = tmp_path / "run" / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:2], "\0\0\0\n", *lines[3:]]))
    with pytest.raises(RunDirectoryError, match=r"metrics.jsonl is damaged.*row of epoch 4"):
        Run(kind, tmp_path / "run").go()


def test_a_complete_run_does_nothing_again(kind, whole, tmp_path):
    """Killed after the last piece and before the result."""
    run = Run(kind, tmp_path / "whole")
    assert_whole(run, run.go(), whole)
    assert run.parts == run.kept == []


def test_a_status_ends_the_run_and_is_not_logged(kind, tmp_path):
    run = Run(kind, tmp_path / "run")
    piece = run.piece

    def diverging(number, row):
        return {**row, "status": "diverged", "step": 9} if number == 3 else piece(number, row)

    run.piece = diverging
    outcome = run.go()
    assert (outcome["status"], outcome["epoch"], outcome["step"]) == ("diverged", 2, 9)
    assert [row["epoch"] for row in run.directory.metrics()] == [0, 1, 2]


# --- signals --------------------------------------------------------------------------------------


@pytest.fixture
def terminal():
    """Let signals do what they do by default, also where these tests run under nohup."""
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    for number in before:
        interrupts = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if interrupts else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(("at", "part"), [(1, 0), (3, 2), (6, 3)])
def test_a_signal_saves_in_the_midst_of_a_piece(kind, whole, tmp_path, number, at, part):
    """The part at work is finished, and nothing is done twice, or left out, by the resumed run."""
    handlers = [signal.getsignal(one) for one in signals.SIGNALS]
    run = Run(kind, tmp_path / "run")
    run.before = lambda *now: os.kill(os.getpid(), number) if now == (at, part) else None
    with pytest.raises(SystemExit) as ended:
        run.go()
    assert ended.value.code == 128 + number
    assert [signal.getsignal(one) for one in signals.SIGNALS] == handlers
    again = Run(kind, tmp_path / "run")
    assert_whole(again, again.go(), whole)
    everything = [(n, p) for n in range(1, PIECES + 1) for p in range(1, PARTS + 1)]
    assert run.parts + again.parts == everything
    assert tensorboard_steps(tmp_path / "run") == list(range(PIECES + 1))


def test_a_run_can_be_stopped_many_times(kind, whole, tmp_path):
    """After every part, with rare saving: whatever was saved last is what it goes on from."""
    lives = 0
    while True:
        run = Run(kind, tmp_path / "run", checkpoint_every=4)
        run.before = lambda *now, run=run: run.parts and os.kill(os.getpid(), signal.SIGTERM)
        lives += 1
        try:
            outcome = run.go()
        except SystemExit as ended:
            assert ended.code == 143
            assert len(run.parts) == 1
        else:
            break
    assert lives == PIECES * PARTS
    assert_whole(run, outcome, whole)


def test_a_piece_without_stops_is_finished_first(kind, whole, tmp_path, monkeypatch):
    run = Run(kind, tmp_path / "run")
    monkeypatch.setitem(globals(), "stop_if_asked", lambda: None)
    run.before = lambda *now: os.kill(os.getpid(), signal.SIGTERM) if now == (2, 1) else None
    with pytest.raises(SystemExit):
        run.go()
    assert run.parts[-1] == (2, PARTS)
    again = Run(kind, tmp_path / "run")
    assert_whole(again, again.go(), whole)


@pytest.mark.usefixtures("terminal")
def test_a_second_signal_ends_at_once(kind, whole, tmp_path):
    """Nothing of the piece at work is saved; the run goes on from the state before."""
    run = Run(kind, tmp_path / "run")

    def twice(*now):
        if now == (3, 2):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it went on")

    run.before = twice
    with pytest.raises(SystemExit) as ended:
        run.go()
    assert ended.value.code == 128 + signal.SIGINT
    again = Run(kind, tmp_path / "run")
    assert_whole(again, again.go(), whole)
    assert again.parts[0] == (3, 1)


def test_a_signal_of_one_run_does_not_stop_the_next(kind, whole, tmp_path):
    run = Run(kind, tmp_path / "run")
    run.before = lambda *now: os.kill(os.getpid(), signal.SIGTERM) if now == (2, 1) else None
    with pytest.raises(SystemExit):
        run.go()
    stop_if_asked()  # no signal waits any more


def test_several_workers_end_at_once(kind, tmp_path):
    """One that saved while the others had gone on would wait for them for ever."""
    worker = object.__new__(tf.distribute.MultiWorkerMirroredStrategy)
    run = Run(kind, tmp_path / "run", strategy=worker)
    run.before = lambda *now: os.kill(os.getpid(), signal.SIGTERM) if now == (3, 2) else None

    def end(number, frame):
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)  # as launch sets it
    try:
        with pytest.raises(SystemExit):
            run.go()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert run.parts[-1] == (3, 2)
    assert run.walk.store.restore() == 2
    assert run.walk.part == 0


def test_a_run_outside_the_main_thread_leaves_signals_alone(kind, whole, tmp_path):
    outcomes = []
    run = Run(kind, tmp_path / "run")
    thread = threading.Thread(target=lambda: outcomes.append(run.go()))
    thread.start()
    thread.join(60)
    assert_whole(run, outcomes[0], whole)


def test_a_run_stopped_in_its_first_piece_keeps_its_beginning(kind, tmp_path):
    """`initial` stays the point before the first part of the first piece, the origin."""

    def stop(number, part):
        if part == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = Run(kind, tmp_path / "run")
    stopped.before = stop
    with pytest.raises(SystemExit):
        stopped.go()
    run = Run(kind, tmp_path / "run")
    run.go()
    assert run.parts[0] == (1, 3)  # it went on in the midst of the piece
    place = run.job.checkpoints
    if kind == "checkpoints":
        kept = tf.train.load_variable(str(place / "initial"), "point/.ATTRIBUTES/VARIABLE_VALUE")
    else:
        with np.load(place / "initial.npz") as arrays:
            kept = arrays["point"]
    np.testing.assert_array_equal(kept, np.zeros(3))
