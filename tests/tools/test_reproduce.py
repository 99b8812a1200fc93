"""tools/reproduce: from a TOML to commands, runs, a figure and verdicts."""

import contextlib
import io
import json
import shlex
import signal
import sys
from pathlib import Path

import pytest

from repro import command_line, launch, papers
from repro.randomization.settings import Train
from repro.reporting import results
from repro.reporting.claims import VERDICTS
from repro.reporting.tables import Table
from repro.settings import name, settle
from repro.tools import plans, reproduce
from repro.tools.execute import execute
from repro.tools.executors import warm
from repro.tools.executors.local import Local

TOOL = ("-m", "repro.tools.reproduce")

# --- expansion ------------------------------------------------------------------------------------


def test_grid_is_every_combination():
    config = {"grid": {"a": [1, 2], "b": ["x", "y", "z"]}, "scale": {"cpu": {}}}
    runs = plans.expand(config, "cpu")
    assert len(runs) == 6
    assert {(run["a"], run["b"]) for run in runs} == {(a, b) for a in (1, 2) for b in "xyz"}


def test_later_tables_win():
    config = {
        "flags": {"a": "flags", "b": "flags", "c": "flags", "d": "flags"},
        "grid": {"b": "grid", "c": "grid", "d": "grid"},
        "scale": {"cpu": {"c": "scale", "d": "scale", "runs": [{"d": "run"}]}},
    }
    (run,) = plans.expand(config, "cpu")
    assert run == {"a": "flags", "b": "grid", "c": "scale", "d": "run"}


def test_groups_of_runs_have_grids_of_their_own():
    config = {
        "flags": {"seed": 0},
        "scale": {"cpu": {"runs": [{"a": [1, 2]}, {"b": [3, 4], "seed": 1}]}},
    }
    assert plans.expand(config, "cpu") == [
        {"seed": 0, "a": 1},
        {"seed": 0, "a": 2},
        {"seed": 1, "b": 3},
        {"seed": 1, "b": 4},
    ]


def test_a_scale_replaces_an_axis_of_the_grid():
    config = {"grid": {"a": [1, 2, 3]}, "scale": {"smoke": {"a": 1}, "cpu": {"a": [4, 5]}}}
    assert plans.expand(config, "smoke") == [{"a": 1}]
    assert plans.expand(config, "cpu") == [{"a": 4}, {"a": 5}]


def test_expanding_leaves_the_config_alone():
    config = plans.load_config("randomization/fig1b")
    before = json.dumps(config)
    assert plans.expand(config, "cpu") == plans.expand(config, "cpu")
    assert json.dumps(config) == before


def test_figures_can_share_runs():
    fig1b, fig1c = (plans.load_config(f"randomization/{name}") for name in ("fig1b", "fig1c"))
    assert plans.expand(fig1c, "paper") == plans.expand(fig1b, "paper")
    assert len(plans.expand(fig1b, "paper")) == 3 * 11  # networks and values of p


def test_unknown_scale_lists_the_choices():
    with pytest.raises(ValueError, match="no scale 'paper'; this figure has smoke, cpu"):
        plans.expand({"scale": {"smoke": {}, "cpu": {}}}, "paper")


def test_unknown_figure_lists_the_choices():
    with pytest.raises(ValueError, match=r"choose from .*randomization/fig1a, .*/fig1b, "):
        plans.load_config("randomization/fig9")


@pytest.mark.parametrize("names", [["all"], list(papers.PAPERS)])
def test_all_and_papers_stand_for_their_figures(names):
    """Every figure with runs at the scale, its own or another's, and none twice."""
    every = [
        str(f.relative_to(plans.CONFIGS).with_suffix("")) for f in plans.CONFIGS.rglob("*.toml")
    ]
    found = plans.figures(names, "smoke")
    assert len(set(found)) == len(found) and set(found) <= set(every)
    for other in set(every) - set(found):
        with pytest.raises(ValueError, match="no scale 'smoke'"):
            plans.expand(plans.load_config(other), "smoke")
    assert plans.figures(["stability/toy", "stability/toy"], "smoke") == ["stability/toy"]


def test_what_others_need_is_made_first():
    """A start comes before the runs from it, once for both that need it."""
    flags = {"init": "adversarial", "momentum": [0.0, 0.9], "dataset": "digits"}
    runs = plans.expand({"grid": flags, "scale": {"cpu": {}}}, "cpu")
    planned = plans.plan("bad_minima", runs, Path("out"), {})
    ordered = plans.with_needed(planned, Path("out"), {"data_dir": "/d"})
    assert [run.settings.stage for run in ordered] == ["pretrain", "train", "train"]
    assert "--data_dir=/d" in ordered[0].command and "--stage=pretrain" in ordered[0].command
    assert ordered[0].settings == settle(planned[0].settings.pretraining())[0]


def test_seeds_replace_those_of_the_config():
    (figure,) = reproduce.read_figures(["randomization/fig1a"], "paper", Path("out"), {}, seeds=3)
    assert len(figure.runs) == 5 * 3
    assert {run.settings.seed for run in figure.runs} == {0, 1, 2}


# --- from flags to runs ---------------------------------------------------------------------------


def planned(runs, output_dir=Path("out"), **passed):
    return plans.plan("randomization", runs, output_dir, passed)


def test_a_run_is_named_by_its_settings_and_said_by_its_command(tmp_path):
    flags = {"model": "alexnet", "corrupt_prob": 0.5, "redraw": True, "augment": "", "epochs": 3}
    (run,) = planned([flags], tmp_path)
    settled, _ = settle(Train(model="alexnet", corrupt_prob=0.5, redraw=True, epochs=3))
    assert run.settings == settled
    assert run.path == tmp_path / "randomization" / name(settled)
    assert run.command == [
        sys.executable,
        "-m",
        "repro.randomization",
        "--model=alexnet",
        "--corrupt_prob=0.5",
        "--redraw=true",
        "--augment=",
        "--epochs=3",
        f"--output_dir={tmp_path}",
    ]


def test_runs_that_are_said_twice_are_one():
    """Whatever the words: the same settings have the same name."""
    runs = planned(
        [
            {"corruption": "partial_labels", "corrupt_prob": 0.0},
            {"corruption": "none"},
            {"corruption": "none", "learning_rate": 0.1},
            {"corruption": "none", "seed": 1},
        ]
    )
    assert [run.settings.seed for run in runs] == [0, 1]


def test_flags_of_the_machine_reach_the_runs_that_have_them():
    """A device changes the settings, a folder does not; runs without such a flag go without."""
    plain = planned([{}])
    passed = planned([{}], data_dir="/d", strategy="mirrored", download="false")
    assert passed[0].settings == plain[0].settings.replace(strategy="mirrored")
    assert {"--data_dir=/d", "--download=false", "--strategy=mirrored"} <= set(passed[0].command)
    (toy,) = plans.plan("bad_minima", [{"stage": "toy"}], Path("out"), {"strategy": "mirrored"})
    assert toy.settings == settle(papers.stages("bad_minima")["toy"]())[0]
    assert not any("strategy" in word for word in toy.command)


def test_who_watches_changes_no_run(python, tmp_path):
    """Weights & Biases gets the figure's name as the group; names and settings stay as they are."""
    asked = (["randomization/fig1a"], "paper", tmp_path)
    (plain,), (watched,) = (
        reproduce.read_figures(*asked, passed) for passed in ({}, {"wandb_project": "minima"})
    )
    flags = {"--wandb_project=minima", "--wandb_group=randomization/fig1a"}
    for one, other in zip(plain.runs, watched.runs, strict=True):
        assert (one.path, one.settings) == (other.path, other.settings)
        assert set(other.command) == {*one.command, *flags}
        settings, place = command_line.parse(papers.stages("randomization"), other.command[3:])
        assert settle(settings)[0] == one.settings
        assert (place.wandb_project, place.wandb_group) == ("minima", "randomization/fig1a")
    done = python(*TOOL, asked[0][0], "--scale=paper", "--dry_run", "--wandb_project=minima")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert flags <= set(shlex.split(line))


def test_places_in_a_toml_are_no_settings():
    (run,) = planned([{"checkpoint_every": 50}])
    assert run.path == planned([{}])[0].path
    assert "--checkpoint_every=50" in run.command


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({"modle": "alexnet"}, "--modle is unknown: is --model meant"),
        ({"stage": "toy"}, "--stage=toy is unknown: choose from train"),
        ({"corruption": "gaussian", "corrupt_prob": 0.5}, "--corrupt_prob is for partial_labels"),
    ],
    ids=str,
)
def test_what_the_paper_does_not_take_is_an_error(flags, line):
    with pytest.raises(ValueError, match=line):
        planned([flags])


@pytest.mark.parametrize("jobs", [1, 2])
def test_failed_runs_are_named_and_complete_ones_left_alone(tmp_path, monkeypatch, jobs, capfd):
    monkeypatch.setattr(warm, "POSSIBLE", False)  # saves TensorFlow's import; see test_execute.py
    settled, _ = settle(Train())
    complete, failing, other = (
        plans.Planned(tmp_path / name, settled, [sys.executable, "-m", "repro.no_such_binary"])
        for name in ("complete", "failing", "other")
    )
    complete.path.mkdir()
    (complete.path / "result.json").write_text("{}")
    failed = execute([complete, failing, other], Local(jobs))
    assert [one.run for one in failed] == [failing, other]
    said = capfd.readouterr().out
    assert "3 runs, 1 complete" in said
    assert "FAILED failing" in said and "no_such_binary" in said
    assert "no_such_binary" in (failing.path / "log.txt").read_text()  # a log, always


CONFIG = """
title = "Figure 0: a made-up figure"
figure = "fig1b"
claims = ["R10", "R11"]

[flags]
dataset = "digits"
train_examples = 100
epochs = 1
batch_size = 50
weight_decay = 0.0
dropout_rate = 0.0
model = "mlp_1x512"

[[scale.smoke.runs]]
"""


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """Two TOMLs that say the same two runs in different words, one by one in places."""
    folder = tmp_path / "configs"
    (folder / "randomization").mkdir(parents=True)
    say = {
        "one": 'corruption = "partial_labels"\ncorrupt_prob = [0.0, 1.0]',
        "other": 'corruption = ["none", "random_labels"]\nlearning_rate = 1e-2\nmomentum = 0.9',
    }
    for figure, text in say.items():
        (folder / "randomization" / f"{figure}.toml").write_text(CONFIG + text)
    monkeypatch.setattr(reproduce, "CONFIGS", folder)
    return folder


@pytest.fixture
def reproduced(monkeypatch, configs, tmp_path, capsys):
    """Run tools/reproduce on a figure in this process; return what it printed and started."""
    started = []
    output_dir = tmp_path / "out"

    def make(local, run):
        started.append(run)
        with contextlib.redirect_stdout(io.StringIO()):
            launch.make(*command_line.parse(papers.stages("randomization"), run.command[3:]))
        return 0

    def run(figure):
        started.clear()
        arguments = [figure, "--scale=smoke", f"--output_dir={output_dir}", "--download=false"]
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["tools/reproduce", *arguments])
            patched.setattr(Local, "_make", make)
            reproduce.main()
        return capsys.readouterr().out, len(started)

    return run


def test_the_same_settings_are_trained_once_whoever_asks(reproduced, tmp_path):
    """By hand, by one figure, by another in other words: one run, whose name all of them find."""
    by_hand = command_line.parse(
        papers.stages("randomization"),
        [
            "--model=mlp_1x512",
            "--dataset=digits",
            "--train_examples=100",
            "--epochs=1",
            "--batch_size=50",
            f"--output_dir={tmp_path / 'out'}",
            "--nodownload",
        ],
    )
    path = launch.make(*by_hand).path
    said, started = reproduced("randomization/one")
    assert "2 runs, 1 complete" in said
    assert started == 1
    for figure in ("randomization/other", "randomization/one"):
        said, started = reproduced(figure)
        assert "2 runs, 2 complete" in said
        assert started == 0
    folders = sorted((tmp_path / "out" / "randomization").iterdir())
    assert len(folders) == 2 and Path(path) in folders


# --- drawing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("paper, left_out", [("randomization", True), ("bad_minima", False)])
def test_what_diverged_is_left_out_where_it_cannot_be_drawn(
    tmp_path, capsys, monkeypatch, paper, left_out
):
    """A figure of trainings that ended says how many did not; one of divergence shows them."""
    settled, _ = settle(next(iter(papers.stages(paper).values()))())
    (tmp_path / "run").mkdir()
    lost = {"status": "diverged", "test_accuracy": None, "train_examples": 9, "test_examples": 9}
    (tmp_path / "run" / "result.json").write_text(json.dumps(lost))
    run = plans.Planned(tmp_path / "run", settled, [])
    drawn = []

    def figure(runs):
        drawn.extend(runs)
        return Table(["a"], [["b"]], "")

    monkeypatch.setattr(papers, "figure", lambda paper, name: figure)
    config = {"figure": "any", "title": "", "claims": []}
    count = reproduce.draw(plans.Figure(f"{paper}/any", config, [run]), "cpu", tmp_path)
    assert (count, len(drawn)) == ((0, 0) if left_out else (1, 1))
    assert ("1 of 1 runs diverged and are left out" in capsys.readouterr().out) == left_out


@pytest.mark.parametrize("file", ["result.json", "metrics.jsonl"])
def test_a_damaged_run_is_named(tmp_path, file):
    settled, _ = settle(Train())
    (tmp_path / "result.json").write_text("{}")
    (tmp_path / file).write_text('{"epoch": 1')
    run = plans.Planned(tmp_path, settled, [])
    config = {"figure": "fig1a", "title": "", "claims": []}
    figure = plans.Figure("randomization/fig1a", config, [run])
    with pytest.raises(results.DamagedError, match=f"of {tmp_path} is damaged"):
        reproduce.draw(figure, "cpu", tmp_path)


def test_dry_run_lists_commands_and_does_nothing(python, tmp_path):
    done = python(
        *TOOL,
        "randomization/fig1a",
        "--scale=paper",
        "--dry_run",
        f"--output_dir={tmp_path}",
        "--data_dir=/some data",
        "--strategy=mirrored",
    )
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    for line in lines:
        assert line[:3] == ["python", "-m", "repro.randomization"]
        assert {"--model=inception", "--data_dir=/some data", "--strategy=mirrored"} <= set(line)
        assert f"--output_dir={tmp_path}" in line
        settings, place = command_line.parse(papers.stages("randomization"), line[3:])
        assert (settings.strategy, place.data_dir) == ("mirrored", "/some data")
    assert not list(tmp_path.iterdir())


def test_dry_run_says_which_runs_are_complete(capsys, monkeypatch):
    reference = Path(__file__).parents[2] / "outputs" / "reference"
    arguments = ["randomization/fig2b", f"--output_dir={reference}", "--dry_run"]
    monkeypatch.setattr(sys, "argv", ["tools/reproduce", *arguments])
    reproduce.main()
    for line in capsys.readouterr().out.splitlines():
        settings, _ = command_line.parse(
            papers.stages("randomization"), shlex.split(line, True)[3:]
        )
        run = reference / "randomization" / name(settle(settings)[0])
        assert line.endswith("  # complete") == (run / "result.json").exists()


def test_unknown_figure_is_one_line(python):
    done = python(*TOOL, "randomization/fig9")
    assert done.returncode != 0
    assert done.stderr.startswith("error: unknown figure 'randomization/fig9'; choose from")
    assert "randomization/fig1a" in done.stderr and "stability/" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_to_draw_is_one_line(python, tmp_path):
    done = python(*TOOL, "randomization/fig1a", "--draw_only", f"--output_dir={tmp_path}")
    assert done.returncode != 0
    assert done.stderr == (
        f"error: nothing to draw for randomization/fig1a in {tmp_path}. Without --draw_only runs "
        "that are missing are made; --output_dir=outputs/reference has the committed ones"
    )


# --- a figure, end to end -------------------------------------------------------------------------


@pytest.mark.slow
def test_an_interrupted_figure_goes_on(python, stopped, tmp_path):
    """Kill everything after the first of three runs; the same command finishes, draws, judges."""
    command = (*TOOL, "randomization/fig1b", "--scale=smoke", f"--output_dir={tmp_path}")
    ended = stopped(
        *command,
        group=True,  # the tool and the run that it has started
        when=lambda: list(tmp_path.glob("randomization/*/result.json")),
    )
    assert ended.returncode == -signal.SIGKILL
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
    claims = plans.load_config("randomization/fig1b")["claims"]
    assert [claim["id"] for claim in record["claims"]] == claims
    known = papers.claims("randomization")
    for claim in record["claims"]:
        assert claim["verdict"] in VERDICTS
        assert claim["statement"] == known[claim["id"]].statement
        assert claim["id"] in done.stdout

    again = python(*command, "--draw_only")
    assert again.returncode == 0, again.stderr
    for suffix, before in pictures.items():  # the same runs give the same bytes
        assert Path(f"{stem}.{suffix}").read_bytes() == before
