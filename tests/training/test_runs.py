"""The run directory: who may use it, what it records, what it survives."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import filelock
import numpy as np
import pytest

from repro.training.locks import HeldError
from repro.training.provenance import environment
from repro.training.runs import RunDirectory, RunDirectoryError

SETTINGS = {"model": "mlp_1x512", "epochs": 3, "xla": False, "augment": [], "dropout": None}


@pytest.fixture
def make(tmp_path):
    """Open the run directory; all are closed at the end."""
    opened = []

    def make(settings=SETTINGS, **options):
        opened.append(RunDirectory(tmp_path / "run", settings, **options))
        return opened[-1]

    yield make
    for run in opened:
        run.close()


# --- identity -------------------------------------------------------------------------------------


def test_flags_are_written_once_places_apart(make):
    make(places={"data_dir": "/data", "download": True}).close()
    run = make(places={"data_dir": "/elsewhere", "download": False})
    lines = (run.path / "flags.cfg").read_text().splitlines()
    assert lines[:4] == ["--model=mlp_1x512", "--epochs=3", "--xla=false", "--augment="]
    assert lines[-2:] == ["--data_dir=/data", "--download=true"]


def test_other_settings_are_refused_and_named(make):
    make().close()
    with pytest.raises(RunDirectoryError, match="made with other settings") as caught:
        make({**SETTINGS, "epochs": 4, "dropout": 0.1})
    message = str(caught.value)
    for part in ("--epochs=3", "--epochs=4", "--dropout=0.1", "--run_dir"):
        assert part in message
    assert "--model" not in message and "data_dir" not in message
    assert "\n" not in message
    make()  # refusal has let go of the lock and left the settings


def test_a_directory_can_be_read_by_anybody(make, tmp_path):
    """Without settings it is neither made, nor held, nor compared."""
    run = make(places={"data_dir": "/data"})
    run.begin(0)
    run.log(row(1))
    reader = RunDirectory(tmp_path / "run")
    assert reader.metrics() == [row(1)]
    assert reader.result() is None
    assert RunDirectory(tmp_path / "none").result() is None
    assert not (tmp_path / "none").exists()


# --- one writer -----------------------------------------------------------------------------------


def test_one_directory_is_held_once(make):
    run = make()
    with pytest.raises(HeldError, match="another process is writing to"):
        make()
    run.close()
    make()


def hold(path, held, done):
    run = RunDirectory(path, SETTINGS)
    held.set()
    done.wait(60)
    run.close()


def test_another_process_keeps_us_out(make, tmp_path):
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()
    other = fork.Process(target=hold, args=(tmp_path / "run", held, done))
    other.start()
    assert held.wait(60)
    with pytest.raises(HeldError, match="another process is writing to"):
        make()
    done.set()
    other.join(60)
    assert other.exitcode == 0
    make()


HOLD = """
import sys, time
from repro.training.runs import RunDirectory
run = RunDirectory(sys.argv[1], {"seed": 0})
print("held", flush=True)
time.sleep(60)
"""


def hold_and_die(environment, path, before=""):
    """Let a process hold a directory, and kill it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", before + HOLD, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HeldError, match="another process is writing to"):
            RunDirectory(path, {"seed": 0})
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()


def test_the_lock_of_a_killed_process_is_taken(environment, tmp_path):
    hold_and_die(environment, tmp_path / "run")
    RunDirectory(tmp_path / "run", {"seed": 0}).close()


WITHOUT_FLOCK = """
import errno, filelock
class Unable(filelock.FileLock):
    def acquire(self, *_, **__):
        raise ERROR
filelock.FileLock = Unable
"""
# What filelock answers on such file systems: its older versions, and the system's own errors.
ANSWERS = [
    "NotImplementedError()",
    "OSError(errno.ENOSYS, 'no')",
    "OSError(errno.ENOLCK, 'no')",
    "OSError(errno.ENOTSUP, 'no')",
]


@pytest.fixture(params=ANSWERS)
def without_flock(request, monkeypatch):
    """A file system without flock; return the code that makes another process see it so."""
    code = WITHOUT_FLOCK.replace("ERROR", request.param)
    monkeypatch.setattr(filelock, "FileLock", filelock.FileLock)  # puts it back at the end
    exec(code, {})
    return code


def test_without_flock_a_directory_is_held_once_all_the_same(make, without_flock):
    run = make()
    with pytest.raises(HeldError, match="another process is writing to"):
        make()
    run.close()
    make().close()
    assert not list(run.path.glob("lock.soft"))


def test_without_flock_the_lock_of_a_killed_process_is_taken_too(
    environment, tmp_path, without_flock
):
    hold_and_die(environment, tmp_path / "run", before=without_flock)
    RunDirectory(tmp_path / "run", {"seed": 0}).close()


def test_a_directory_that_cannot_be_locked_for_other_reasons_is_an_error(make, monkeypatch):
    def acquire(*_, **__):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(OSError, match="broken disk"):
        make()


def test_only_the_chief_writes(make, tmp_path):
    worker = make(chief=False)
    worker.begin(0)
    worker.log({"epoch": 1, "step": 1, "train/loss": 1.0})
    worker.save_arrays(x=np.zeros(1))
    assert worker.finish({"status": "complete"}) == {"status": "complete"}
    assert worker.metrics() == []
    assert not (tmp_path / "run").exists()


# --- metrics --------------------------------------------------------------------------------------


def row(epoch):
    return {"epoch": epoch, "step": 10 * epoch, "train/loss": 1 / epoch, "test/accuracy": 0.1}


@pytest.fixture
def three_rows(make):
    run = make()
    run.begin(0)
    for epoch in (1, 2, 3):
        run.log(row(epoch))
    return run


def test_metrics_are_one_object_a_line(three_rows):
    lines = (three_rows.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == three_rows.metrics()
    assert three_rows.metrics() == [row(1), row(2), row(3)]


def test_metrics_after_the_checkpoint_are_dropped(three_rows, make):
    three_rows.close()
    run = make()
    assert run.begin(2) == [row(1), row(2)]
    assert run.metrics() == [row(1), row(2)]
    run.log(row(3))
    assert run.metrics() == [row(1), row(2), row(3)]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_cut_last_line_is_left_out(three_rows, make, cut):
    """What a kill in the middle of a write leaves; the next row starts on a line of its own."""
    three_rows.close()
    file = three_rows.path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[: -cut - 1])
    run = make()
    assert run.metrics() == [row(1), row(2)]
    run.begin(2)
    run.log(row(3))
    assert run.metrics() == [row(1), row(2), row(3)]


def test_tensorboard_tags_are_the_metrics_names(three_rows):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    three_rows.close()
    events = EventAccumulator(str(three_rows.path))
    events.Reload()
    hparams = "_hparams_/session_start_info"  # the settings, see test_trackers.py
    assert set(events.Tags()["tensors"]) == {"train/loss", "test/accuracy", hparams}
    points = {e.step: float(make_ndarray(e.tensor_proto)) for e in events.Tensors("train/loss")}
    assert points == {10 * e: pytest.approx(1 / e, rel=2**-23) for e in (1, 2, 3)}  # float32


def tensorboard(path):
    """What TensorBoard shows of `train/loss`, what it would show twice too."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path), purge_orphaned_data=False)
    events.Reload()
    return [event.step for event in events.Tensors("train/loss")]


def test_tensorboard_shows_no_step_twice(three_rows, make):
    """Killed after row 3, gone on from 2: rows that are dropped are dropped there too."""
    three_rows.close()
    assert tensorboard(three_rows.path) == [10, 20, 30]
    run = make()
    run.begin(2)
    for epoch in (3, 4):
        run.log(row(epoch))
    run.close()
    assert tensorboard(run.path) == [10, 20, 30, 40]


def test_a_run_can_begin_twice_in_one_process(three_rows):
    """As where its last part is measured anew: later rows do not go to a file that is gone."""
    three_rows.begin(1)
    three_rows.log(row(2))
    three_rows.close()
    assert three_rows.metrics() == [row(1), row(2)]
    assert tensorboard(three_rows.path) == [10, 20]


@pytest.mark.parametrize("damage", [b"\0" * 40, b"{}", b"[1]", b"\xff\xfe", b"NaN", b"12"])
def test_what_follows_a_line_that_is_no_row_is_left_out(three_rows, make, damage):
    three_rows.close()
    file = three_rows.path / "metrics.jsonl"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], damage, lines[2]]) + b"\n")
    run = make()
    assert run.metrics() == [row(1)]
    assert run.begin(1) == [row(1)]
    assert file.read_bytes() == lines[0] + b"\n"


def test_rows_that_a_saved_state_needs_and_that_are_lost_are_an_error(three_rows, make):
    """The run cannot go on after epoch 3 without its row, and nothing is cut off."""
    three_rows.close()
    file = three_rows.path / "metrics.jsonl"
    file.write_bytes(b"\0" + file.read_bytes())
    before = file.read_bytes()
    with pytest.raises(RunDirectoryError, match=r"metrics.jsonl is damaged.* epoch 3 .*remove"):
        make().begin(3)
    assert file.read_bytes() == before


# --- results --------------------------------------------------------------------------------------


def test_scalars_of_numpy_are_written_as_they_are(make):
    """Nothing computed for hours is lost to a type that JSON has not."""
    directory = make()
    directory.begin(0)
    directory.log({"epoch": 1, "step": 2, "train/loss": np.float32(0.5)})
    directory.finish({"converged": np.bool_(True), "value": np.float64(0.1), "n": np.int64(3)})
    result = json.loads((directory.path / "result.json").read_text())
    assert (result["converged"], result["value"], result["n"]) == (True, 0.1, 3)
    assert directory.metrics()[-1]["train/loss"] == 0.5
    with pytest.raises(TypeError, match="nothing that JSON has"):
        directory.finish({"what": object()})


def test_the_result_is_the_mark_of_completion(make):
    run = make()
    run.begin(0)
    assert run.result() is None
    result = run.finish({"status": "complete", "epochs": 3})
    assert result == {"status": "complete", "epochs": 3}
    assert make().result() == result
    assert not list(run.path.glob("*.partial"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"status": "comp', "is damaged"),
        ("", "is damaged"),
        ("[1, 2]", "holds no result"),
        ("\0" * 9, "is damaged"),
    ],
)
def test_a_damaged_result_is_named_in_one_line(make, text, said):
    """It is neither taken for complete nor written over."""
    file = make().path / "result.json"
    file.write_text(text)
    with pytest.raises(RunDirectoryError) as caught:
        RunDirectory(file.parent).result()
    message = str(caught.value)
    assert str(file) in message and said in message and "remove it" in message
    assert "\n" not in message


def test_what_it_resumed_after_is_recorded(three_rows, make):
    three_rows.close()
    run = make()
    run.begin(2)
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["resumed_after_epoch"] == 2


def test_environment_is_recorded(make):
    run = make(environment=environment("default", ["CPU:0"], "randomization"))
    run.begin(0)
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["strategy"] == "default"
    assert recorded["float32_products"] == "float32"  # "tf32" on GPUs, "bfloat16" on a TPU
    assert recorded["devices"] == ["CPU:0"]
    assert recorded["command"].startswith("python -m repro.randomization")
    assert recorded["versions"]["tensorflow"]
    assert "commit" in recorded
    assert "dirty" in recorded
    assert "start" in recorded
    assert recorded["resumed_after_epoch"] is None
    assert "end" not in recorded
    run.record(code={"repro.x": "01234567"})
    run.finish({})
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["end"] >= recorded["start"]
    assert recorded["code"] == {"repro.x": "01234567"}


def test_arrays(make):
    run = make()
    run.save_arrays(values=np.arange(3.0), names=np.array(["a", "b"]))
    with np.load(run.path / "arrays.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["values"], np.arange(3.0))
        np.testing.assert_array_equal(arrays["names"], ["a", "b"])


# --- a full disk ----------------------------------------------------------------------------------


def test_a_full_disk_keeps_what_was_there(three_rows):
    """/dev/full answers every write as a full disk does."""
    before = (three_rows.path / "metrics.jsonl").read_text()
    os.symlink("/dev/full", three_rows.path / "metrics.jsonl.partial")
    with pytest.raises(OSError) as caught:
        three_rows.begin(1)
    assert caught.value.errno == errno.ENOSPC
    assert (three_rows.path / "metrics.jsonl").read_text() == before


# --- waiting --------------------------------------------------------------------------------------


def test_a_run_can_be_waited_for(tmp_path):
    """A second holder gets the directory once the first lets go, and not before."""
    first, order = RunDirectory(tmp_path / "run", SETTINGS), []

    def second():
        run = RunDirectory(tmp_path / "run", SETTINGS, wait=True)
        order.append("second")
        run.close()

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.2)
    order.append("first")
    first.close()
    thread.join(10)
    assert order == ["first", "second"]
