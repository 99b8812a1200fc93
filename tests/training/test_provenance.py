"""Fingerprints of code: what changes a number changes them, what a reader sees does not."""

import importlib.metadata
import sys
import types

import pytest

from repro.training import provenance

CODE = '''
"""A module."""

import math


class Circle:
    """Round."""

    radius = 2.0

    def area(self):
        """Return its area."""
        # pi r^2
        return math.pi * self.radius**2
'''


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Return the fingerprint of a module whose text is given."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    (tmp_path / "repro").mkdir()

    def of(text):
        (tmp_path / "repro" / "shapes.py").write_text(text)
        return provenance.code(["repro.shapes"])["repro.shapes"]

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module.", "Another text,\nof two lines."),
        ("Return its area.", "Say how large it is."),
        ('    """Round."""\n\n', ""),
        ("# pi r^2", "# a comment\n\n\n        # and one more"),
        ("math.pi * self.radius**2", "(math.pi *\n            self.radius ** 2)"),
    ],
)
def test_what_a_reader_sees_does_not_count(digits, old, new):
    assert old in CODE
    assert digits(CODE.replace(old, new)) == digits(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.0", "2.1"),
        ("**2", "**3"),
        ("import math", "import cmath as math"),
        ("self.r", "self.R"),
        ("return ", ""),
        ("math.pi *", "'pi' *"),
    ],
)
def test_what_is_computed_counts(digits, old, new):
    assert old in CODE
    assert digits(CODE.replace(old, new)) != digits(CODE)


def test_a_string_that_is_no_docstring_counts(digits):
    assert digits("x = 'a'") != digits("x = 'b'")
    assert digits("def f(x='a'): return x") != digits("def f(x='b'): return x")


def test_packages_and_modules_that_are_gone(tmp_path, monkeypatch):
    """A package is its __init__.py; what has no file of this project is left out."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    (tmp_path / "repro" / "rooms").mkdir(parents=True)
    (tmp_path / "repro" / "rooms" / "__init__.py").write_text("x = 1")
    assert set(provenance.code(["repro.rooms", "repro.gone"])) == {"repro.rooms"}


def test_what_only_draws_or_keeps_books_is_no_part_of_it(monkeypatch):
    """A drawing that is mended makes no run one of other code."""
    drawing = ["figures", "plane_figures", "tables", "claims", "claims.herds", "measures"]
    for name in ("experiment", "data", "settings", "mode_settings", *drawing):
        name = f"repro.zoo.{name}"
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(provenance, "_digits", lambda module: "0" * 8)
    seen = [name for name in provenance.code() if name.startswith("repro.zoo.")]
    assert seen == ["repro.zoo.data", "repro.zoo.experiment"]


def test_versions_are_those_of_all_packages(monkeypatch):
    """One that was removed by halves has no name, and is no reason to fail."""
    whole = types.SimpleNamespace(name="whole", version="1.2")
    broken = types.SimpleNamespace(name=None, version=None)
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [broken, whole])
    monkeypatch.setattr(provenance, "_versions", provenance._versions.__wrapped__)
    assert provenance.environment("default", ["CPU:0"], "zoo")["versions"] == {"whole": "1.2"}


def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    """As where the project was unpacked from an archive, or git is not installed."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.environment("default", [], "zoo")["commit"] is None
    monkeypatch.setenv("PATH", "")
    assert provenance.environment("default", [], "zoo")["commit"] is None
