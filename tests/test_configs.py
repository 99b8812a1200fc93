"""Every figure's TOML is whole: its runs can be asked for, its figure and its claims exist."""

import functools
import tomllib
from pathlib import Path

import pytest

from repro import command_line, papers
from repro.settings import CONFIGS, Place, as_dict, from_dict, name, settle
from repro.tools.plans import SCALES, expand, load_config, plan

NAMES = sorted(str(f.relative_to(CONFIGS).with_suffix("")) for f in CONFIGS.rglob("*.toml"))
KEYS = {"title", "figure", "claims", "flags", "grid", "runs", "scale", "runs_of"}


def paper_of(figure):
    return figure.split("/")[0]


@functools.cache
def planned(figure, scale):
    """The runs of a figure, as tools/reproduce would make them."""
    return plan(paper_of(figure), expand(load_config(figure), scale), Path("out"), {})


def paths(figure, scale):
    return {run.path for run in planned(figure, scale)}


def test_the_papers_figures_are_there():
    assert {
        f"randomization/{figure}"
        for figure in (
            "fig1a",
            "fig1b",
            "fig1c",
            "fig2a",
            "fig2b",
            "table1",
            "table4",
            "quickstart",
        )
    } <= set(NAMES)
    assert {paper_of(figure) for figure in NAMES} == set(papers.PAPERS)


@pytest.mark.parametrize("figure", NAMES)
def test_a_config_says_everything_and_nothing_else(figure):
    config = tomllib.loads((CONFIGS / f"{figure}.toml").read_text())
    assert set(config) <= KEYS
    for key in ("title", "figure", "claims"):
        assert config[key], key
    if "runs_of" in config:
        assert config["runs_of"] in NAMES
        assert paper_of(config["runs_of"]) == paper_of(figure)
        assert not {"flags", "grid", "runs", "scale"} & set(config)
    else:
        assert set(config["scale"]) == set(SCALES)


@pytest.mark.parametrize("figure", NAMES)
def test_the_header_says_the_command(figure):
    """By the file's own name; --data_dir where there is data to be had from there."""
    header = (CONFIGS / f"{figure}.toml").read_text().split("title =")[0]
    assert f"tools/reproduce {figure} --scale=" in header
    settings = [as_dict(run.settings) for run in planned(figure, "cpu")]
    if all(values.get("dataset") in (None, "digits") for values in settings):
        assert "--data_dir" not in header
    else:
        assert "--data_dir" in header


@pytest.mark.parametrize("figure", NAMES)
def test_claims_and_figures_exist(figure):
    config = load_config(figure)
    assert set(config["claims"]) <= set(papers.claims(paper_of(figure)))
    assert callable(papers.figure(paper_of(figure), config["figure"]))


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_every_claim_figure_and_table_is_in_some_config(paper):
    configs = [load_config(figure) for figure in NAMES if paper_of(figure) == paper]
    assert {id_ for config in configs for id_ in config["claims"]} == set(papers.claims(paper))
    known = {**papers.module(paper, "figures").FIGURES, **papers.module(paper, "tables").TABLES}
    assert {config["figure"] for config in configs} == set(known)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("figure", NAMES)
def test_runs_can_be_asked_for(figure, scale):
    """Settled, checked, each named once, and the same run where its command is typed by hand."""
    runs, paper = planned(figure, scale), paper_of(figure)
    assert runs
    stages = papers.stages(paper)
    for run in runs:
        assert settle(run.settings)[0] == run.settings
        assert from_dict(stages, as_dict(run.settings)) == run.settings
        assert run.path == Path("out") / paper / name(run.settings)
        assert run.command[1:3] == ["-m", f"repro.{paper}"]
        asked, place = command_line.parse(stages, run.command[3:])
        assert settle(asked)[0] == run.settings
        assert (place.output_dir, place.run_dir) == ("out", None)
        assert isinstance(place, Place)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("figure", NAMES)
def test_no_run_is_listed_twice(figure, scale):
    assert len(planned(figure, scale)) == len(expand(load_config(figure), scale))


@pytest.mark.parametrize("figure", NAMES)
def test_smoke_needs_no_data_of_its_own(figure):
    used = {as_dict(run.settings).get("dataset") for run in planned(figure, "smoke")}
    assert used <= {None, "digits", "gaussian"}  # the last is drawn


def test_bad_flags_are_noticed():
    """The checks above can fail."""
    for flags in ({"model": "lenet"}, {"nosuch": 1}, {"corruption": "none", "corrupt_prob": 2}):
        with pytest.raises(ValueError, match=r"^--"):
            plan("randomization", [flags], Path("out"), {})


# --- runs that figures share ----------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_figures_share_the_runs_of_the_four_settings(scale):
    """The same settings, so the same directory: what one figure ran the next one finds."""
    four = paths("bad_minima/four_settings", scale)
    assert four & paths("bad_minima/departures", scale)
    if scale != "smoke":  # where eight combinations of a network without convolutions must do
        assert four <= paths("bad_minima/combinations", scale)
        assert four & paths("bad_minima/adversary", scale)


def test_different_words_for_the_same_settings_share_runs():
    """Figure 1b says partial_labels with p = 0 and 1 where others say none and random_labels."""
    assert len(paths("randomization/fig1a", "smoke") & paths("randomization/fig1b", "smoke")) == 2
    assert len(paths("randomization/table1", "cpu") & paths("randomization/fig1b", "cpu")) == 6
    assert paths("randomization/fig1c", "cpu") == paths("randomization/fig1b", "cpu")
    fig2b, fig1a = paths("randomization/fig2b", "cpu"), paths("randomization/fig1a", "cpu")
    assert len(fig2b & fig1a) == 1
