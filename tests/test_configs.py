"""Every figure's TOML is whole: its flags are accepted by its binary, its claims exist."""

import json
import tomllib

import pytest

from repro.reporting import figures
from repro.tools.reproduce import CONFIGS, SCALES, expand, load_config, run_name

NAMES = sorted(str(f.relative_to(CONFIGS).with_suffix("")) for f in CONFIGS.rglob("*.toml"))
WITHOUT_IMAGES = {n for n in NAMES if n.startswith("teacher_student")} | {"bad_minima/toy"}

# Reads lists of command lines; prints for each what is wrong with it, or null.
CHECK = """
import importlib, json, sys
from absl import flags
from repro import common_flags

module = sys.argv[1]
binary = importlib.import_module(module)
binary.define_flags()
started = []
common_flags.run_binary = lambda *arguments, **_: started.append(arguments)
sys.argv = [module]

def problem(arguments):
    try:
        flags.FLAGS.unparse_flags()
        for name in flags.FLAGS:
            flags.FLAGS[name].unparse()
        flags.FLAGS([module, *arguments])
        binary.main([module])
    except Exception as error:
        return f"{type(error).__name__}: {error}"

problems = [problem(arguments) for arguments in json.load(sys.stdin)]
print(json.dumps([problems, len(started)]))
"""


@pytest.fixture(scope="module")
def problems(python):
    """Check command lines against a binary's flags, in one process of it."""

    def check(binary, lines):
        done = python("-c", CHECK, binary, input=json.dumps(lines))
        assert done.returncode == 0, done.stderr
        found, started = json.loads(done.stdout)
        assert started == found.count(None)
        return found

    return check


def flag_lines(run):
    return [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in run.items()
    ]


def test_the_papers_figures_are_there():
    assert {f"randomization/{figure}" for figure in (
        "fig1a", "fig1b", "fig1c", "fig2a", "fig2b", "table1", "table4", "quickstart",
    )} <= set(NAMES)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_config_says_everything(name):
    config = tomllib.loads((CONFIGS / f"{name}.toml").read_text())
    for key in ("title", "paper", "binary", "figure", "claims"):
        assert config[key], key
    if "runs_of" in config:
        assert config["runs_of"] in NAMES
    else:
        assert set(config["scale"]) == set(SCALES)
    header = (CONFIGS / f"{name}.toml").read_text().split("title =")[0]
    assert "tools/" in header  # the command
    assert name not in WITHOUT_IMAGES or "--data_dir" not in header  # a flag they do not have


@pytest.mark.parametrize("name", NAMES)
def test_claims_and_figures_exist(name):
    config = load_config(name)
    assert set(config["claims"]) <= set(figures.CLAIMS[config["paper"]])
    assert config["figure"] in {*figures.FIGURES, *figures.TABLES}


def test_every_claim_is_judged_by_some_config():
    judged = {(load_config(n)["paper"], claim) for n in NAMES for claim in load_config(n)["claims"]}
    assert judged >= {(paper, id_) for paper, claims in figures.CLAIMS.items() for id_ in claims}


@pytest.mark.parametrize("binary", sorted({load_config(name)["binary"] for name in NAMES}))
def test_every_run_is_accepted_by_its_binary(problems, binary):
    lines, sources = [], []
    for name in NAMES:
        config = load_config(name)
        for scale in SCALES if config["binary"] == binary else ():
            runs = expand(config, scale)
            assert runs, (name, scale)
            lines += [flag_lines(run) for run in runs]
            sources += [f"{name} {scale}"] * len(runs)
    found = problems(binary, lines)
    assert not [(s, line, p) for s, line, p in zip(sources, lines, found) if p is not None]


def test_wrong_flags_are_noticed(problems):
    """The check above can fail, and a bad line leaves nothing behind for the next."""
    found = problems(
        "repro.randomization",
        [["--model=lenet"], [], ["--nosuch=1"], ["--corruption=gaussian", "--corrupt_prob=0.5"],
         ["--corruption=gaussian"]],
    )  # fmt: skip
    assert [problem is None for problem in found] == [False, True, False, False, True]


@pytest.mark.parametrize("name", NAMES)
def test_runs_of_a_scale_differ(name):
    """No run is listed twice, and smoke runs need no data of their own."""
    for scale in SCALES:
        runs = [json.dumps(run, sort_keys=True) for run in expand(load_config(name), scale)]
        assert len(set(runs)) == len(runs), scale
    smoke = {run.get("dataset") for run in expand(load_config(name), "smoke")}
    assert smoke <= ({None} if name in WITHOUT_IMAGES else {"digits"})


@pytest.mark.parametrize("scale", SCALES)
def test_figures_share_the_runs_of_the_four_settings(scale):
    """The same settings, so the same directory: what one figure ran the next one finds."""
    def names(figure):
        return {run_name(flags) for flags in expand(load_config(f"bad_minima/{figure}"), scale)}

    assert names("four_settings") <= names("combinations")
    for figure in ("adversary", "departures"):
        assert names("four_settings") & names(figure)
