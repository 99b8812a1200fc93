"""The run directory: who may use it, what it records, what it survives."""

import errno
import json
import multiprocessing
import os
import threading

import numpy as np
import pytest

from repro.training.provenance import environment
from repro.training.runs import (
    RunDirectory,
    RunDirectoryError,
    find,
    flag_lines,
    settings_hash,
)

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


def test_hash_stands_for_all_settings():
    digits = settings_hash(SETTINGS)
    assert len(digits) == 8
    assert int(digits, 16) >= 0
    assert settings_hash(dict(reversed(SETTINGS.items()))) == digits
    assert settings_hash({**SETTINGS, "new_flag": None}) == digits
    for change in ({"epochs": 4}, {"augment": ["crop"]}, {"xla": True}, {"dropout": 0.0}):
        assert settings_hash({**SETTINGS, **change}) != digits


def test_hash_is_stable_over_versions():
    """Names of old runs must not change: sha256 of the sorted JSON, computed by hand."""
    assert settings_hash({"b": 1, "a": "x"}) == "385820f0"


def test_flag_lines_are_what_absl_reads():
    from absl import flags

    lines = flag_lines({**SETTINGS, "augment": ["crop", "flip"], "rate": 1e-3, "xla": True})
    values = flags.FlagValues()
    flags.DEFINE_string("model", None, "", flag_values=values)
    flags.DEFINE_integer("epochs", None, "", flag_values=values)
    flags.DEFINE_bool("xla", False, "", flag_values=values)
    flags.DEFINE_list("augment", ["x"], "", flag_values=values)
    flags.DEFINE_float("dropout", None, "", flag_values=values)
    flags.DEFINE_float("rate", None, "", flag_values=values)
    values(["binary", *lines])
    assert values.flag_values_dict() == {
        "model": "mlp_1x512", "epochs": 3, "xla": True, "augment": ["crop", "flip"],
        "dropout": None, "rate": 1e-3,
    }  # fmt: skip


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
    assert "--model" not in message
    assert "\n" not in message
    make()  # refusal has let go of the lock and left the settings


# --- one writer -----------------------------------------------------------------------------------


def test_one_directory_is_held_once(make):
    run = make()
    with pytest.raises(RunDirectoryError, match="another process is writing to"):
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
    with pytest.raises(RunDirectoryError, match="another process is writing to"):
        make()
    done.set()
    other.join(60)
    assert other.exitcode == 0
    make()


def test_only_the_chief_writes(make, tmp_path):
    worker = make(chief=False)
    worker.begin(0, {})
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
    run.begin(0, {})
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
    run.begin(2, {})
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
    run.begin(2, {})
    run.log(row(3))
    assert run.metrics() == [row(1), row(2), row(3)]


def test_tensorboard_tags_are_the_metrics_names(three_rows):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    three_rows.close()
    events = EventAccumulator(str(three_rows.path))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"train/loss", "test/accuracy"}
    points = {e.step: float(make_ndarray(e.tensor_proto)) for e in events.Tensors("train/loss")}
    assert points == {10 * e: pytest.approx(1 / e, rel=2**-23) for e in (1, 2, 3)}  # float32


# --- results --------------------------------------------------------------------------------------


def test_the_result_is_the_mark_of_completion(make):
    run = make()
    run.begin(0, {"devices": ["CPU:0"]})
    assert run.result() is None
    result = run.finish({"status": "complete", "epochs": 3})
    assert result == {"status": "complete", "epochs": 3}
    assert make().result() == result
    assert not list(run.path.glob("*.partial"))


def test_environment_is_recorded(make):
    run = make()
    run.begin(0, environment("default", ["CPU:0"], "repro.randomization"))
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["strategy"] == "default"
    assert recorded["devices"] == ["CPU:0"]
    assert recorded["command"].startswith("python -m repro.randomization")
    assert recorded["versions"]["tensorflow"]
    assert "commit" in recorded
    assert "dirty" in recorded
    assert "start" in recorded
    assert "end" not in recorded
    run.finish({})
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["end"] >= recorded["start"]


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
        three_rows.begin(1, {})
    assert caught.value.errno == errno.ENOSPC
    assert (three_rows.path / "metrics.jsonl").read_text() == before


# --- runs that need other runs --------------------------------------------------------------------


def test_a_run_is_found_by_its_settings(tmp_path):
    for name, epochs in (("any name", 3), ("other", 4)):
        RunDirectory(tmp_path / name, {**SETTINGS, "epochs": epochs}, places={"p": "x"}).close()
    assert find(tmp_path, SETTINGS).name == "any name"
    assert find(tmp_path, {**SETTINGS, "epochs": 5}) is None
    assert find(tmp_path / "nowhere", SETTINGS) is None


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
