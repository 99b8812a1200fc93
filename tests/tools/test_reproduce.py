"""tools/reproduce: from a TOML to commands, runs, a figure and verdicts."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.reporting import figures, results
from repro.reporting.claims import VERDICTS
from repro.tools import reproduce

TOOL = ("-m", "repro.tools.reproduce")

# --- expansion ------------------------------------------------------------------------------------


def test_grid_is_every_combination():
    config = {"grid": {"a": [1, 2], "b": ["x", "y", "z"]}, "scale": {"cpu": {}}}
    runs = reproduce.expand(config, "cpu")
    assert len(runs) == 6
    assert {(run["a"], run["b"]) for run in runs} == {(a, b) for a in (1, 2) for b in "xyz"}


def test_later_tables_win():
    config = {
        "flags": {"a": "flags", "b": "flags", "c": "flags", "d": "flags"},
        "grid": {"b": "grid", "c": "grid", "d": "grid"},
        "scale": {"cpu": {"c": "scale", "d": "scale", "runs": [{"d": "run"}]}},
    }
    (run,) = reproduce.expand(config, "cpu")
    assert run == {"a": "flags", "b": "grid", "c": "scale", "d": "run"}


def test_groups_of_runs_have_grids_of_their_own():
    config = {
        "flags": {"seed": 0},
        "scale": {"cpu": {"runs": [{"a": [1, 2]}, {"b": [3, 4], "seed": 1}]}},
    }
    assert reproduce.expand(config, "cpu") == [
        {"seed": 0, "a": 1}, {"seed": 0, "a": 2}, {"seed": 1, "b": 3}, {"seed": 1, "b": 4},
    ]  # fmt: skip


def test_a_scale_replaces_an_axis_of_the_grid():
    config = {"grid": {"a": [1, 2, 3]}, "scale": {"smoke": {"a": 1}, "cpu": {"a": [4, 5]}}}
    assert reproduce.expand(config, "smoke") == [{"a": 1}]
    assert reproduce.expand(config, "cpu") == [{"a": 4}, {"a": 5}]


def test_expanding_leaves_the_config_alone():
    config = reproduce.load_config("randomization/fig1b")
    before = json.dumps(config)
    assert reproduce.expand(config, "cpu") == reproduce.expand(config, "cpu")
    assert json.dumps(config) == before


def test_figures_can_share_runs():
    fig1b, fig1c = (reproduce.load_config(f"randomization/{name}") for name in ("fig1b", "fig1c"))
    assert reproduce.expand(fig1c, "paper") == reproduce.expand(fig1b, "paper")
    assert len(reproduce.expand(fig1b, "paper")) == 3 * 11  # networks and values of p


def test_unknown_scale_lists_the_choices():
    with pytest.raises(ValueError, match="no scale 'paper'; this figure has smoke, cpu"):
        reproduce.expand({"scale": {"smoke": {}, "cpu": {}}}, "paper")


def test_unknown_figure_lists_the_choices():
    with pytest.raises(ValueError, match=r"choose from .*randomization/fig1a, randomization/fig1b"):
        reproduce.load_config("randomization/fig9")


# --- names and commands ---------------------------------------------------------------------------


def test_run_name_says_the_main_settings_and_stands_for_all():
    flags = {"model": "alexnet", "corrupt_prob": 1 / 3, "train_examples": 500, "seed": 2,
             "augment": "crop,flip", "epochs": 3}  # fmt: skip
    name = reproduce.run_name(flags)
    assert name.startswith("alexnet-p0.333-n500-crop+flip-seed2-")
    assert reproduce.run_name(dict(reversed(flags.items()))) == name
    assert reproduce.run_name({**flags, "epochs": 4}) != name
    assert reproduce.run_name({**flags, "corrupt_prob": 0.333}) != name


def test_run_names_are_stable_over_versions():
    """Else interrupted figures would begin again: 8 digits of the sha256 of the sorted JSON."""
    assert reproduce.run_name({"model": "alexnet", "epochs": 3}) == "alexnet-seed0-9810ea5b"


def test_every_run_of_a_figure_has_its_own_directory():
    for name in ("randomization/fig1b", "randomization/table1"):
        for scale in reproduce.SCALES:
            runs = reproduce.expand(reproduce.load_config(name), scale)
            assert len({reproduce.run_name(run) for run in runs}) == len(runs)


def test_command_lines():
    flags = {"redraw": True, "xla": False, "corrupt_prob": 0.5, "augment": ""}
    line = reproduce.command({"binary": "repro.b"}, flags, Path("out/run"), ["--data_dir=d"])
    assert line == [
        sys.executable, "-m", "repro.b", "--redraw=true", "--xla=false", "--corrupt_prob=0.5",
        "--augment=", "--data_dir=d", "--run_dir=out/run",
    ]  # fmt: skip


@pytest.mark.parametrize("jobs", [1, 2])
def test_failed_runs_are_named_and_complete_ones_left_alone(tmp_path, jobs, capfd):
    complete, failing, other = (tmp_path / name for name in ("complete", "failing", "other"))
    complete.mkdir()
    (complete / "result.json").write_text("{}")
    runs = {complete: {}, failing: {}, other: {}}
    failed = reproduce.run_missing({"binary": "repro.no_such_binary"}, runs, [], jobs)
    assert failed == [failing, other]
    assert "3 runs, 1 complete" in capfd.readouterr().out
    if jobs > 1:  # what they say goes to files, not among each other's lines
        assert "no_such_binary" in (failing / "log.txt").read_text()


@pytest.mark.parametrize("paper, left_out", [("zhang2017", True), ("liu2020", False)])
def test_what_diverged_is_left_out_where_it_cannot_be_drawn(tmp_path, capsys, paper, left_out):
    (tmp_path / "run").mkdir()
    lost = {"status": "diverged", "settings": {}, "test_accuracy": None}
    (tmp_path / "run" / "result.json").write_text(json.dumps(lost))
    config = {"paper": paper, "figure": "fig1c", "title": "", "claims": ["R13"]}
    if left_out:
        assert reproduce.draw(config, "a/b", "cpu", [tmp_path / "run"], tmp_path) == 0
        assert "1 of 1 runs diverged and are left out" in capsys.readouterr().out
    assert bool(figures.showable(paper, [results.load(tmp_path / "run")])) != left_out


def test_dry_run_lists_commands_and_does_nothing(python, tmp_path):
    done = python(
        *TOOL, "randomization/fig1a", "--scale=paper", "--dry_run", f"--output_dir={tmp_path}",
        "--data_dir=/some data", "--strategy=mirrored",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    for line in lines:
        assert line[:3] == ["python", "-m", "repro.randomization"]
        assert {"--model=inception", "--data_dir=/some data", "--strategy=mirrored"} <= set(line)
        assert any(flag.startswith(f"--run_dir={tmp_path}/randomization/") for flag in line)
    assert not list(tmp_path.iterdir())


def test_unknown_figure_is_one_line(python):
    done = python(*TOOL, "randomization/fig9")
    assert done.returncode != 0
    assert done.stderr.startswith("error: unknown figure 'randomization/fig9'; choose from")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_to_draw_is_one_line(python, tmp_path):
    done = python(*TOOL, "randomization/fig1a", "--draw_only", f"--output_dir={tmp_path}")
    assert done.returncode != 0
    assert done.stderr == "error: no run is complete, so there is nothing to draw"


# --- a figure, end to end -------------------------------------------------------------------------


@pytest.mark.slow
def test_an_interrupted_figure_goes_on(python, environment, tmp_path):
    """Kill everything after the first of three runs; the same command finishes, draws, judges."""
    command = (*TOOL, "randomization/fig1b", "--scale=smoke", f"--output_dir={tmp_path}")
    first = subprocess.Popen(
        [sys.executable, *command], env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while not list(tmp_path.glob("randomization/*/result.json")):
            assert time.monotonic() < deadline
            assert first.poll() is None
            time.sleep(0.02)
    finally:
        os.killpg(first.pid, signal.SIGKILL)  # its own group: the tool and the run it started
        first.wait()
    complete = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert len(complete) < 3

    done = python(*command)
    assert done.returncode == 0, done.stderr
    assert f"3 runs, {len(complete)} complete" in done.stdout
    assert len(list(tmp_path.rglob("result.json"))) == 3
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in complete.items())
    stem = tmp_path / "figures" / "randomization-fig1b-smoke"
    pictures = {suffix: Path(f"{stem}.{suffix}").read_bytes() for suffix in ("png", "pdf")}
    assert pictures["png"].startswith(b"\x89PNG")
    assert pictures["pdf"].startswith(b"%PDF")

    record = json.loads(Path(f"{stem}.json").read_text())
    assert (record["scale"], record["runs"]) == ("smoke", 3)
    claims = reproduce.load_config("randomization/fig1b")["claims"]
    assert [claim["id"] for claim in record["claims"]] == claims
    for claim in record["claims"]:
        assert claim["verdict"] in VERDICTS
        assert claim["statement"] == figures.CLAIMS["zhang2017"][claim["id"]].statement
        assert claim["id"] in done.stdout

    again = python(*command, "--draw_only")
    assert again.returncode == 0, again.stderr
    for suffix, before in pictures.items():  # the same runs give the same bytes
        assert Path(f"{stem}.{suffix}").read_bytes() == before
