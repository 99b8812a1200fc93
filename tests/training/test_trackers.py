"""What TensorBoard's HParams tab and Weights & Biases show of a run, read with their own code."""

import json
import struct
import sys

import pytest

from repro.training import trackers
from repro.training.runs import RunDirectory

SETTINGS = {
    "model": "mlp_1x512",
    "epochs": 3,
    "rate": 0.5,
    "xla": False,
    "augment": ["crop", "flip"],
}
RESULT = {"status": "complete", "test_accuracy": 0.75, "norm": float("nan"), "stopped": True}


def row(epoch):
    return {"epoch": epoch, "step": 10 * epoch, "seconds": 0.1, "train/loss": 1 / epoch}


def made(path, project=None):
    """Make a run of three rows that is interrupted after the second."""
    for first, last in ((1, 2), (3, 3)):
        directory = RunDirectory(path, {**SETTINGS, "none": None})
        watched = trackers.weights_and_biases(directory, project, "fig1") if project else None
        tell = watched.__enter__() if watched else None
        directory.begin(first - 1)
        for epoch in range(first, last + 1):
            directory.log(row(epoch))
        if last == 3 and tell:
            tell(RESULT)
        if watched:
            watched.__exit__(None, None, None)
        if last == 3:
            directory.finish(RESULT)
        directory.close()


def test_final_metrics_are_the_finite_numbers():
    assert trackers.final_metrics(RESULT) == {"result/test_accuracy": 0.75}


def test_the_hparams_tab_lists_settings_and_final_metrics(tmp_path):
    """By TensorBoard's own code behind the tab, for two runs side by side."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    for name in ("one", "other"):
        made(tmp_path / name)
    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(tmp_path))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(tmp_path))
    context = backend_context.Context(TBContext(logdir=str(tmp_path), data_provider=provider))
    asked = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=10, allowed_statuses=[0, 1, 2, 3], include_metrics=True
    )
    shown = list_session_groups.Handler(RequestContext(), context, "", asked).run()
    assert [group.name for group in shown.session_groups] == ["one", "other"]
    for group in shown.session_groups:
        hparams = {
            name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()
        }
        assert hparams == {**SETTINGS, "augment": "crop,flip"}
        metrics = {
            value.name.tag: (value.value, value.training_step) for value in group.metric_values
        }
        assert metrics == {
            "train/loss": (pytest.approx(1 / 3), 30),
            "result/test_accuracy": (0.75, 30),
        }


def records(file):
    """Return the records of a .wandb file: a LevelDB log after seven bytes, each in a protobuf."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts, found = file.read_bytes(), 7, b"", []
    while position + 7 <= len(data):
        left = 2**15 - position % 2**15
        if left < 7:  # what is left of a block is empty where no header fits in
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return found


@pytest.mark.slow
def test_weights_and_biases_gets_settings_metrics_and_result(tmp_path, monkeypatch):
    """Offline, from the files that `wandb sync` would send; interrupted and gone on as one run."""
    pytest.importorskip("wandb", reason="pip install .[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    made(tmp_path / "a run", project="minima")
    files = sorted((tmp_path / "a run" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    said = [records(file) for file in files]
    for each in said:
        run = next(record.run for record in each if record.HasField("run"))
        assert (run.project, run.run_group, run.display_name) == ("minima", "fig1", "a run")
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert {**SETTINGS, "none": None}.items() <= config.items()
    ids = {record.run.run_id for each in said for record in each if record.HasField("run")}
    assert len(ids) == 1
    logged = [record.history for record in said[1] if record.HasField("history")]
    values = [
        {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for item in history.item
        }
        for history in logged
    ]
    assert [(value["_step"], value["train/loss"]) for value in values] == [
        *((10 * epoch, 1 / epoch) for epoch in (1, 2, 3))
    ]
    summary = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in said[1]
        if record.HasField("summary")
        for item in record.summary.update
    }
    assert summary["result/test_accuracy"] == 0.75


@pytest.mark.slow
def test_the_way_out_where_wandb_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    directory = RunDirectory(tmp_path, SETTINGS)
    with pytest.raises(RuntimeError, match=r"pip install .\[wandb\]"):
        trackers.weights_and_biases(directory, "minima", "fig1").__enter__()
    directory.close()
