"""Who may import whom: the rooms stay apart, and what must be light never loads TensorFlow."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "repro"

# What a room may import beside the standard library and itself.
SCIENCE = {"numpy", "scipy", "tensorflow", "keras"}
ROOMS = {
    "data": {"numpy", "tensorflow", "tensorflow_datasets", "sklearn", "etils"},
    "models": {"keras", "tensorflow"},
    "curvature": SCIENCE,
    "norms": SCIENCE,
    "landscape": SCIENCE,
    "critical": SCIENCE | {"flint"},  # interval arithmetic of the certificates
    "training": {"tensorflow", "keras", "numpy", "etils"},
    "reporting": {"numpy", "matplotlib"},
}
# Rooms that are one binary's own: they import what binaries may.
PARTS = {"modes"}
# Slow to import: only inside the functions that need them, or in modules imported only there.
LATE = {"tensorflow_datasets", "sklearn", "keras_tuner", "wandb"}
LATE_MODULES = {"repro.data.builders"}
EXPERIMENTS = {
    "randomization", "bad_minima", "toy_minima", "stability", "teacher_student",
    "mode_connectivity",
}  # fmt: skip
WRITTEN = sorted(name for name in EXPERIMENTS if (PACKAGE / f"{name}.py").exists())


def modules(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py"))


def imported(nodes) -> set[str]:
    """Full names of what is imported, `from a import b` as a.b."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(file: Path) -> set[str]:
    """What a module imports anywhere, functions included."""
    return imported(ast.walk(ast.parse(file.read_text())))


def top_level_imports(file: Path) -> set[str]:
    return imported(ast.parse(file.read_text()).body)


def test_the_walk_sees_imports():
    """The parser above finds what it should, or all tests here would pass in vain."""
    assert "repro.common_flags" in imports(PACKAGE / "randomization.py")
    assert "keras" in imports(PACKAGE / "randomization.py")
    assert "keras" not in top_level_imports(PACKAGE / "randomization.py")
    assert "tensorflow" in top_level_imports(PACKAGE / "data" / "pipeline.py")


def test_rooms_import_what_they_may():
    for room, allowed in ROOMS.items():
        for file in modules(PACKAGE / room):
            for name in imports(file):
                first, *rest = name.split(".")
                if first == "repro":
                    assert rest[0] == room, f"{file.relative_to(ROOT)} imports {name}"
                elif first not in sys.stdlib_module_names:
                    assert first in allowed, f"{file.relative_to(ROOT)} imports {name}"


def test_every_room_has_its_rule():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms - {"tools"} <= set(ROOMS) | PARTS


def test_rooms_never_read_flags():
    for room in {*ROOMS, *PARTS}:
        for file in modules(PACKAGE / room):
            assert not any(name.startswith("absl") for name in imports(file)), file


def test_parts_of_a_binary_never_draw():
    for room in PARTS:
        for file in modules(PACKAGE / room):
            assert not any(name.startswith("repro.reporting") for name in imports(file)), file


def test_experiments_never_import_each_other():
    assert WRITTEN
    for file in (PACKAGE / f"{name}.py" for name in WRITTEN):
        others = {f"repro.{name}" for name in EXPERIMENTS - {file.stem}}
        seen = {".".join(name.split(".")[:2]) for name in imports(file)}
        assert not seen & others, file
        assert "repro.reporting" not in seen, file


def test_no_room_imports_an_experiment():
    for file in modules(PACKAGE):
        if file.parent == PACKAGE or file.parent.name == "tools":
            continue
        seen = {".".join(name.split(".")[:2]) for name in imports(file)}
        assert not seen & {f"repro.{name}" for name in (*EXPERIMENTS, "common_flags", "tuning")}


def test_tuning_receives_what_it_runs():
    for name in imports(PACKAGE / "tuning.py"):
        first = name.split(".")[0]
        assert first in {"keras_tuner", *sys.stdlib_module_names}, name


def test_slow_modules_are_imported_late():
    for file in modules(PACKAGE):
        names = top_level_imports(file)
        assert not any(name.startswith(tuple(LATE_MODULES)) for name in names), file
        if ".".join(file.relative_to(ROOT).with_suffix("").parts) not in LATE_MODULES:
            assert not {name.split(".")[0] for name in names} & LATE, file
    for name in ("common_flags", *WRITTEN):
        firsts = {name.split(".")[0] for name in top_level_imports(PACKAGE / f"{name}.py")}
        assert not firsts & {"tensorflow", "keras"}, name


def test_reports_build_without_tensorflow(python):
    """Directly and through everything imported: figures, claims, tables and the tools that draw."""
    reporting = [f"repro.reporting.{file.stem}" for file in modules(PACKAGE / "reporting")]
    names = [name for name in reporting if not name.endswith("__init__")]
    names += [
        f"repro.tools.{file.stem}" for file in modules(PACKAGE / "tools")
        if any(name.startswith("repro.reporting") for name in imports(file))
    ]  # fmt: skip
    assert {"repro.reporting.figures", "repro.tools.reproduce"} <= set(names)
    done = python(
        "-c", f"import sys, {', '.join(names)}\n"
        "print([m for m in ('tensorflow', 'keras', 'tensorflow_datasets') if m in sys.modules])",
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("binary", WRITTEN)
def test_help_is_quick(environment, binary):
    """The best of three, as other processes may be in the way: under a second."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", f"repro.{binary}", "--help"],
            cwd=ROOT, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        seconds.append(time.perf_counter() - start)
    assert "--seed" in done.stdout
    assert min(seconds) < 1


def test_help_imports_no_tensorflow(python):
    done = python("-X", "importtime", "-m", "repro.randomization", "--help")
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "repro.common_flags" in loaded
    assert not loaded & {"tensorflow", "keras", "tensorflow_datasets", "sklearn", "matplotlib"}
