"""The papers of the suite: the only list of them. A paper is a package of its own beside this."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from repro import settings as settings_
from repro.settings import Settings

PAPERS = ("randomization", "bad_minima", "stability", "teacher_student", "mode_connectivity")


def module(paper: str, name: str) -> ModuleType:
    """Return a module of a paper, such as its `figures`, imported when it is asked for.

    Raises:
      ValueError: there is no such paper.
    """
    if paper not in PAPERS:
        raise ValueError(f"unknown paper {paper!r}; choose from {', '.join(PAPERS)}")
    return importlib.import_module(f"repro.{paper}.{name}")


def stages(paper: str) -> dict[str, type[Settings]]:
    """Return the settings classes of a paper by stage, the default one first."""
    return module(paper, "settings").STAGES


def figure(paper: str, name: str) -> Callable:
    """Return the function of runs that draws a paper's figure, or makes its table.

    Raises:
      ValueError: the paper has none of this name.
    """
    known = {**module(paper, "figures").FIGURES, **module(paper, "tables").TABLES}
    if name not in known:
        raise ValueError(f"{paper} has no figure {name!r}; choose from {', '.join(known)}")
    return known[name]


def claims(paper: str) -> dict:
    """Return a paper's claims by id, in its order."""
    return module(paper, "claims").CLAIMS


def read_settings(path: Path) -> Settings:
    """Return the settings of a run from its flags.cfg; its paper is the name of the folder above.

    Raises:
      ValueError: there is no such paper, or the flags are none of its own.
    """
    return settings_.read(stages(path.parent.name), path)
