"""Random command lines and TOMLs: each is a run with a name, or one line on what is wrong."""

import json

import hypothesis
import pytest
from hypothesis import strategies as st

from repro import command_line, papers
from repro.fields import base_type, fields, flag_name
from repro.settings import Place, from_dict, name, settle
from repro.tools import reproduce

TEXTS = [
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "9" * 400,
    "true",
    "../../etc",
    "a\nb",
    "é\0",
    "[]",
]
VALUES = st.one_of(
    st.sampled_from(TEXTS),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
)


@st.composite
def value_of(draw, field, kind):
    """A value that a flag may take, or one that it may not."""
    choices, kind = field.metadata["choices"], base_type(kind)
    if choices and draw(st.booleans()):
        return str(draw(st.sampled_from(choices)))
    if kind is int and draw(st.booleans()):
        return str(draw(st.integers(0, 300)))
    if kind is float and draw(st.booleans()):
        return str(draw(st.floats(0, 1)))
    if kind is bool and draw(st.booleans()):
        return draw(st.sampled_from(["true", "false"]))
    return draw(VALUES)


@st.composite
def command_lines(draw, stages):
    """Flags of one stage for the most part, at times of another, of none, or no flags at all."""
    stage = draw(st.sampled_from(list(stages)))
    own = [*fields(stages[stage]), *fields(Place)]
    arguments = [f"--stage={stage}"] if draw(st.integers(0, 9)) else []
    for _ in range(draw(st.integers(0, 5))):
        field, kind = draw(st.sampled_from(own))
        flag, value = flag_name(field), draw(value_of(field, kind))
        forms = [[f"--{flag}={value}"]] * 6 + [[f"--{flag}", value], [f"--{flag}"]]
        forms += [[f"--no{flag}"], [f"-{flag}={value}"], [value], [f"--{value}"]]
        arguments += draw(st.sampled_from(forms))
    return arguments


def outcome(make):
    """Return what `make` returns, or the one line of the ValueError that it raises."""
    try:
        return make()
    except ValueError as error:
        assert str(error).strip(), "an error without a word"
        return str(error)


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_a_command_line_is_a_run_or_one_line(paper, tried):
    stages = papers.stages(paper)
    runs = set()

    @tried(60)
    @hypothesis.given(command_lines(stages))
    def check(arguments):
        def make():
            settings, _ = command_line.parse(stages, arguments)
            settings, _ = settle(settings)
            settings.needs()
            return settings

        found = outcome(make)
        if not isinstance(found, str):
            label = name(found)
            assert "/" not in label and "\0" not in label and len(label.encode()) < 200
            assert label == name(settle(found)[0])  # settled once for all
            runs.add(label)

    check()
    assert len(runs) > 1  # not all are refused, or nothing would be tried


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_numbers_at_the_edge_are_a_run_or_one_line(paper):
    """What arithmetic on settings, such as epochs times a scale, could stumble over."""
    stages = papers.stages(paper)

    def make(values):
        settings, _ = settle(from_dict(stages, values))
        settings.needs()
        return name(settings)

    for stage, kind in stages.items():
        for field, type_ in fields(kind):
            if base_type(type_) in (int, float):
                for number in ("inf", "1e308", "1e-320", str(2**63 - 1)):
                    outcome(lambda: make({"stage": stage, flag_name(field): number}))  # noqa: B023


# --- TOMLs ----------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.integers(-5, 500),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(max_size=8),
    st.sampled_from(["mlp_1x512", "digits", "resnet18", "random", "train", "escape", "[:10]"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def tables(draw, stages):
    """A table of flags: names that there are, for the most part, with values of any kind."""
    known = [flag_name(f) for kind in stages.values() for f, _ in fields(kind)]
    names = st.sampled_from([*known, "stage", "epochz", "", "output_dir"])
    values = st.one_of(SCALARS, SCALARS, st.lists(SCALARS, max_size=3), ANYTHING)
    return draw(st.dictionaries(names, values, max_size=4))


@st.composite
def tomls(draw, paper):
    """A figure's TOML, of which at times a part is missing or something else."""
    table = tables(papers.stages(paper))
    drawn = list(papers.module(paper, "figures").FIGURES)
    config = {
        "title": draw(st.text(max_size=5)),
        "figure": draw(st.sampled_from([*drawn, "", "nothing"])),
        "claims": draw(st.sampled_from([[], list(papers.claims(paper)), ["nothing"], 3])),
        "flags": draw(table),
        "scale": {"smoke": {**draw(table), "runs": draw(st.lists(table, max_size=2))}},
    }
    for part in draw(st.lists(st.sampled_from([*config, "grid", "runs", "runs_of"]), max_size=2)):
        config[part] = draw(ANYTHING)
    if draw(st.booleans()):
        config.pop(draw(st.sampled_from(list(config))))
    return config


def as_toml(value, top=False) -> str:
    """Write a value as TOML, tables in a line."""
    if isinstance(value, dict):
        pairs = [f"{json.dumps(str(key))} = {as_toml(each)}" for key, each in value.items()]
        return "\n".join(pairs) if top else "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, float) and value in (float("inf"), -float("inf")):
        return "inf" if value > 0 else "-inf"
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("\x7f", "\\u007f")


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_a_toml_is_runs_or_one_line(paper, tried, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "CONFIGS", tmp_path)
    (tmp_path / paper).mkdir()
    file, planned = tmp_path / paper / "made.toml", []

    @tried(60)
    @hypothesis.given(tomls(paper))
    def check(config):
        file.write_text(as_toml(config, top=True))
        found = outcome(
            lambda: reproduce.read_figures([f"{paper}/made"], "smoke", tmp_path / "out", {})
        )
        if not isinstance(found, str):
            planned.extend(run for figure in found for run in figure.runs)

    check()
    assert planned
    assert all(run.path.parent == tmp_path / "out" / paper for run in planned)
