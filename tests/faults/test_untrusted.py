"""What comes from elsewhere runs no code and leads nowhere: TOMLs, run directories, datasets."""

import ast
import json
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from test_what_users_type import ANYTHING, SCALARS

from repro.reporting import evidence, ledger, rows
from repro.tools import plans, runs
from repro.training import provenance

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "repro").rglob("*.py"), *(f for f in (ROOT / "clouds").rglob("*.py"))]


def calls():
    """All calls in the sources: (file, name as written, call)."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                yield file, ast.unparse(node.func), node


def test_nothing_read_is_ever_run():
    """No pickles, which may hold code, and no text that is made into code."""
    forbidden = {"eval", "exec", "compile", "__import__", "yaml.load", "os.system", "os.popen"}
    seen = 0
    for file, name, call in calls():
        assert name not in forbidden, f"{file}: {name}"
        assert name.split(".")[0] not in ("pickle", "marshal", "shelve", "dill"), file
        assert not any(keyword.arg == "shell" for keyword in call.keywords), file
        if name == "np.load":
            seen += 1
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert said.get("allow_pickle") == "False", file
        if name.endswith(("load_model", "Lambda")):
            pytest.fail(f"{file}: {name} may run what a file says")
    assert seen >= 2


def test_no_yaml_is_read():
    """Its aliases can be bombs."""
    for file in SOURCES:
        nodes = list(ast.walk(ast.parse(file.read_text())))
        names = {
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in names} & {"yaml", "ruamel"}, file


# --- TOMLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["output_dir", "run_dir", "profile_dir", "wandb_project"])
def test_a_toml_cannot_send_a_run_elsewhere(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name} is for the command line alone"):
        plans.plan("randomization", [{name: str(tmp_path)}], tmp_path, {})


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "randomization/../../x", ""])
def test_no_figure_lies_outside_of_the_configs(name):
    with pytest.raises(ValueError, match="unknown figure"):
        plans.load_config(name)


def test_a_bomb_of_brackets_in_a_toml_is_one_line(tmp_path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "bomb.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(ValueError, match="is no TOML"):
        plans.load_config("zoo/bomb", tmp_path)


# --- run directories ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/etc/passwd", "repro./etc/passwd", "repro.../x", "os", "repro"])
def test_only_modules_of_this_project_are_looked_at(name):
    assert provenance.code([name]) == {}
    assert set(provenance.code(["repro.fields"])) == {"repro.fields"}


KEYS = st.sampled_from([*evidence.KINDS, "machine", "status", "seconds", "settings", "epoch", "x"])
OBJECTS = st.dictionaries(KEYS, ANYTHING, max_size=5)
MACHINES = st.dictionaries(
    st.sampled_from(["gpus", "processor", "memory_gib"]), st.one_of(SCALARS, ANYTHING), max_size=3
)


def test_any_json_in_a_run_directory_is_listed_or_named(tried, tmp_path):
    """Whatever a run of somebody else says of itself, the ledger and the table hold it."""
    path = tmp_path / "randomization" / "run"
    path.mkdir(parents=True)
    (path / "flags.cfg").write_text("--stage=train\n--seed=0\n")
    statuses = set()

    @tried(150)
    @hypothesis.given(OBJECTS, OBJECTS, MACHINES, st.lists(OBJECTS, max_size=3))
    def check(result, environment, machine, metrics):
        (path / "result.json").write_text(json.dumps(result))
        (path / "environment.json").write_text(json.dumps({"machine": machine} | environment))
        lines = (json.dumps({"epoch": 1, "step": 1} | row) + "\n" for row in metrics)
        (path / "metrics.jsonl").write_text("".join(lines))
        (found,) = runs.read(tmp_path)
        statuses.add(found["status"])
        text = ledger.as_json({"runs": [found]})
        text.encode()
        json.loads(text)
        rows.as_csv([found]).encode()
        runs.listing([found]).encode()

    check()
    assert {"unreadable", "complete"} <= statuses


def test_text_that_no_page_can_hold_is_named(tmp_path):
    """Half of a surrogate pair is JSON, and no Unicode."""
    path = tmp_path / "randomization" / "run"
    path.mkdir(parents=True)
    (path / "flags.cfg").write_text("--stage=train\n--seed=0\n")
    (path / "result.json").write_text('{"summary": "\\ud800"}')
    (found,) = runs.read(tmp_path)
    assert found["status"] == "unreadable" and "result.json is damaged" in found["problem"]


# --- datasets -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "{", '{"name": 3}', "[" * 5000, "!!python/object:os.x"])
def test_a_prepared_dataset_of_somebody_else_runs_no_code(content, tmp_path, monkeypatch):
    """Its features.json may name any class; the suite's own builder is what reads it."""
    from repro.data import datasets

    (tmp_path / "evil_module.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "data" / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    evil = {"pythonClassName": "evil_module.Features", "featuresDict": {"features": {}}}
    (folder / "features.json").write_text(json.dumps(evil))
    (folder / "dataset_info.json").write_text(content)
    with pytest.raises((ValueError, datasets.MissingDataError)) as caught:
        datasets.load("cifar10", str(tmp_path / "data"), download=False)
    assert "cifar10" in str(caught.value) and "\n" not in str(caught.value)
    assert "evil_module" not in sys.modules
