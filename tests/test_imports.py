"""Who may import whom, derived from the folders: a new paper or room is under the rules at once.

A paper is a package with settings.py. All other packages are instruments, but for `reporting`,
which draws, and `tools`, which may use everything.
"""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "repro"

FOLDERS = sorted(path.name for path in PACKAGE.iterdir() if any(path.glob("*.py")))
PAPERS = [name for name in FOLDERS if (PACKAGE / name / "settings.py").exists()]
INSTRUMENTS = [name for name in FOLDERS if name not in (*PAPERS, "reporting", "tools")]
SHARED = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")

SCIENCE = {"numpy", "scipy", "tensorflow", "keras", "etils"}
DRAWING = {"numpy", "scipy", "matplotlib", "jinja2", "markupsafe"}
OPTIONAL = {"repro.reporting.rows": {"pandas"}}  # module -> what `pip install .[...]` adds to it
# Slow to import: only inside functions, or in modules that are themselves imported only there.
SLOW = {"tensorflow_datasets", "sklearn", "keras_tuner", "wandb", "ray", "submitit"}
HEAVY = ("tensorflow", "keras", *sorted(SLOW))


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def names_in(nodes) -> set[str]:
    """Full names of what is imported, `from a import b` as a.b."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


TREES = {name: ast.parse(file.read_text()) for name, file in FILES.items()}
ANYWHERE = {name: names_in(ast.walk(tree)) for name, tree in TREES.items()}
AT_ONCE = {name: names_in(tree.body) for name, tree in TREES.items()}  # outside functions


def first(name: str) -> str:
    return name.split(".")[0]


def foreign(names: set[str]) -> set[str]:
    """What is imported from beyond this project and the standard library, by first names."""
    return {first(name) for name in names} - {"repro", *sys.stdlib_module_names}


def rooms(names: set[str]) -> set[str]:
    """The rooms of this project that are imported, such as `training` or `settings`."""
    return {name.split(".")[1] for name in names if name.startswith("repro.")}


def own_modules(names: set[str]) -> set[str]:
    """The modules of this project among imported names, with the packages that hold them."""
    found = set()
    for name in names:
        parts = name.split(".")
        found |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & set(FILES)
    return found


def reached(start: str, imports: dict[str, set[str]]) -> set[str]:
    """All modules of this project that a module imports, directly and through others."""
    seen, waiting = set(), {start}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= own_modules(imports[module]) - seen
    return seen


def modules(room: str) -> list[str]:
    return [name for name in FILES if name.split(".")[1:2] == [room]]


def test_the_walk_sees_what_it_should():
    """Or all tests here would pass in vain."""
    assert {"randomization", "stability"} <= set(PAPERS)
    assert {"data", "models", "training", "curvature", "norms"} <= set(INSTRUMENTS)
    assert {"settings", "launch", "papers", "tuning"} <= set(SHARED)
    assert "repro.training.loop" in ANYWHERE["repro.randomization.experiment"]
    assert "tensorflow" in ANYWHERE["repro.devices"] - AT_ONCE["repro.devices"]
    assert "tensorflow" in AT_ONCE["repro.data.pipeline"]
    assert "repro.training.runs" in reached("repro.randomization.experiment", AT_ONCE)
    assert "repro.data" in reached("repro.randomization.settings", AT_ONCE)


def test_no_relative_imports():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ImportFrom) and node.level), name


# --- instruments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("room", INSTRUMENTS)
def test_an_instrument_stands_alone(room):
    """A stranger can lift the folder out, with `models`, which says what a network is made of.

    `training` alone names runs by their settings, writes their flags and reads their arrays;
    `models` and `data` are the ground floor. `training` and `data` read what others made.
    """
    allowed = {room} if room in ("models", "data") else {room, "models"}
    allowed |= {"settings", "fields", "arrays"} if room == "training" else set()
    allowed |= {"files"} if room in ("training", "data") else set()
    for name in modules(room):
        assert rooms(ANYWHERE[name]) <= allowed, name


@pytest.mark.parametrize("room", INSTRUMENTS)
def test_an_instrument_needs_little(room):
    """What only some of its work needs is imported inside functions, or in a module for it."""
    for name in modules(room):
        special = foreign(AT_ONCE[name]) - SCIENCE
        if special:
            others = {other for other in FILES if name in own_modules(AT_ONCE[other])} - {name}
            package = f"repro.{room}"
            assert package not in others, f"{package} imports {name}, and so {special}"
        assert "absl" not in foreign(ANYWHERE[name]), name


# --- papers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_imports_no_other_paper(paper):
    others = {*PAPERS, "tools"} - {paper}
    for name in modules(paper):
        assert not rooms(ANYWHERE[name]) & others, name


@pytest.mark.parametrize("paper", PAPERS)
def test_what_computes_never_draws(paper):
    """Neither the experiment nor anything that it uses knows of reports."""
    seen = reached(f"repro.{paper}.experiment", ANYWHERE)
    assert not {name for name in seen if name.startswith("repro.reporting")}
    assert not {name for name in seen if "matplotlib" in foreign(ANYWHERE[name])}


@pytest.mark.parametrize("paper", PAPERS)
def test_what_draws_is_reached_from_three_doors(paper):
    """Whatever module of a paper uses reports is a part of its figures, tables or claims."""
    doors = [f"repro.{paper}.{door}" for door in ("figures", "tables", "claims")]
    drawn = set().union(*(reached(door, AT_ONCE) for door in doors))
    for name in modules(paper):
        if "reporting" in rooms(ANYWHERE[name]):
            assert name in drawn


def test_only_tools_know_a_paper_by_name():
    for name in FILES:
        room = name.split(".")[1] if "." in name else ""
        if room not in (*PAPERS, "tools"):
            assert not rooms(ANYWHERE[name]) & set(PAPERS), name


def test_only_the_door_reads_flags():
    for name in set(FILES) - {"repro.command_line"}:
        assert not any(seen.startswith("absl.flags") for seen in ANYWHERE[name]), name
        assert "launch" not in rooms(ANYWHERE[name]) or not name.startswith("repro.reporting")


# --- reports, tuning, slow modules ----------------------------------------------------------------


def test_reporting_knows_no_other_room():
    """But for `files` and `arrays`, the places that read what may be a bomb."""
    for name in modules("reporting"):
        assert rooms(ANYWHERE[name]) <= {"reporting", "files", "arrays"}, name
        assert foreign(ANYWHERE[name]) <= DRAWING | OPTIONAL.get(name, set()), name


def test_tuning_receives_what_it_runs():
    assert rooms(ANYWHERE["repro.tuning"]) == {"files"}
    assert foreign(AT_ONCE["repro.tuning"]) == set()


def test_slow_modules_are_imported_late():
    slow = {name for name in FILES if foreign(AT_ONCE[name]) & SLOW}
    for name in set(FILES) - slow:
        assert not own_modules(AT_ONCE[name]) & slow, name
    assert "repro.data.builders" in slow  # its classes are derived from tensorflow-datasets'


def loaded(python, *names: str) -> set[str]:
    """Which heavy modules a process has loaded once it has imported these."""
    code = f"import sys, {', '.join(names)}\nprint([m for m in {HEAVY} if m in sys.modules])"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    return set(ast.literal_eval(done.stdout.strip().splitlines()[-1]))


@pytest.mark.parametrize("paper", PAPERS)
def test_figures_and_verdicts_need_no_tensorflow(python, paper):
    """Directly and through everything imported, so that a report builds on any laptop."""
    doors = [f"repro.{paper}.{door}" for door in ("figures", "tables", "claims", "settings")]
    assert loaded(python, f"repro.{paper}", *doors) == set()


def test_reports_and_tools_that_draw_need_no_tensorflow(python):
    drawing = [name for name in modules("tools") if "reporting" in rooms(ANYWHERE[name])]
    assert {"repro.tools.reproduce", "repro.tools.report"} <= set(drawing)
    names = [*modules("reporting"), *drawing, *(f"repro.{name}" for name in SHARED)]
    assert loaded(python, *names) == set()
    assert "tensorflow" in loaded(python, "repro.training.loop")  # the check can fail
