"""The list of papers: every package of one is whole, and names are looked up within a paper."""

import itertools
from pathlib import Path

import pytest

from repro import command_line, papers
from repro.fields import fields
from repro.reporting.claims import Claim
from repro.settings import Settings, as_dict, name, settle
from repro.training.runs import RunDirectory

PACKAGE = Path(papers.__file__).parent


def test_the_list_is_of_all_packages_with_settings():
    folders = {path.parent.name for path in PACKAGE.glob("*/settings.py")}
    assert set(papers.PAPERS) == folders
    assert len(papers.PAPERS) == len(folders)


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_a_package_is_whole(paper):
    for file in ("__init__.py", "__main__.py", "settings.py", "experiment.py", "README.md"):
        assert (PACKAGE / paper / file).exists(), file
    figures, tables = papers.module(paper, "figures"), papers.module(paper, "tables")
    assert isinstance(figures.WITHOUT_DIVERGED, bool)
    assert not set(figures.FIGURES) & set(tables.TABLES)
    stages = papers.stages(paper)
    assert all(issubclass(kind, Settings) for kind in stages.values())
    experiment = papers.module(paper, "experiment")
    assert callable(experiment.run)
    assert callable(experiment.open_run)


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_claims_are_found_by_their_ids(paper):
    """And those of every file of the package are among them: none is forgotten on the way."""
    claims = papers.claims(paper)
    assert all(isinstance(claim, Claim) and id_ == claim.id for id_, claim in claims.items())
    gathered = set()
    for file in sorted((PACKAGE / paper / "claims").glob("[!_]*.py")):
        part = getattr(papers.module(paper, f"claims.{file.stem}"), "CLAIMS", ())
        ids = [claim.id for claim in (part.values() if isinstance(part, dict) else part)]
        assert not gathered & set(ids), "one id for two claims"
        gathered |= set(ids)
    assert gathered == set(claims)


def test_figures_are_looked_up_within_a_paper():
    """Several papers have a first figure; none replaces another's."""
    first = papers.figure("randomization", "fig1a")
    assert first.__module__ == "repro.randomization.figures"
    assert papers.figure("randomization", "table1").__module__ == "repro.randomization.tables"
    for one, other in itertools.combinations(papers.PAPERS, 2):
        both = [
            {**papers.module(p, "figures").FIGURES, **papers.module(p, "tables").TABLES}
            for p in (one, other)
        ]
        for shared in set(both[0]) & set(both[1]):
            assert papers.figure(one, shared) is not papers.figure(other, shared)


def test_names_carry_no_paper():
    for paper in papers.PAPERS:
        known = [*papers.module(paper, "figures").FIGURES, *papers.module(paper, "tables").TABLES]
        for figure in known:
            assert not figure.startswith(("zhang", "liu_", "wu_", "stoican", "gotmare")), figure


def test_what_is_unknown_lists_the_choices():
    with pytest.raises(ValueError, match="unknown paper 'zoo'; choose from randomization, "):
        papers.stages("zoo")
    with pytest.raises(ValueError, match="randomization has no figure 'fig9'; choose from fig1a, "):
        papers.figure("randomization", "fig9")


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_settings_are_read_from_a_runs_directory(paper, tmp_path):
    for kind in papers.stages(paper).values():
        settled, _ = settle(kind())
        path = tmp_path / paper / name(settled)
        RunDirectory(path, as_dict(settled), places={"data_dir": "/d"}).close()
        assert settle(papers.read_settings(path))[0] == settled


def test_settings_of_a_run_of_no_paper_are_an_error(tmp_path):
    RunDirectory(tmp_path / "zoo" / "run", {"seed": 0}).close()
    with pytest.raises(ValueError, match="unknown paper 'zoo'"):
        papers.read_settings(tmp_path / "zoo" / "run")


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_stages_that_cannot_be_distributed_say_why(paper):
    """In their help and where the flag is given all the same."""
    stages = papers.stages(paper)
    for stage, kind in stages.items():
        asked = [f"--stage={stage}", "--strategy=mirrored"]
        if "strategy" in {field.name for field, _ in fields(kind)}:
            assert command_line.parse(stages, asked)[0].strategy == "mirrored"
            continue
        why = kind.absent["strategy"]
        with pytest.raises(ValueError, match=f"--strategy is not for --stage={stage}: ") as caught:
            command_line.parse(stages, asked)
        assert str(caught.value).endswith(why)
        assert f"Not for this stage: {why}." in command_line.usage(stages, asked)
