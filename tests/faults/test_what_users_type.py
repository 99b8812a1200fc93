"""Random command lines and TOMLs: each is a run with a name, or one line on what is wrong.

Thousands are parsed and settled alone; some, of tiny sizes, are made.
"""

import json
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from repro import command_line, papers
from repro.fields import base_type, fields, flag_name
from repro.settings import Place, from_dict, name, settle
from repro.tools import reproduce
from repro.training import checksums

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


# --- lines that are made --------------------------------------------------------------------------

SMALLEST = {  # flag -> values that let a run end in seconds
    **dict.fromkeys(("epochs", "pretrain_epochs", "curve_epochs"), (1, 2)),
    **dict.fromkeys(("vanilla_epochs", "fine_tune_epochs", "sota_epochs"), (1, 7)),
    **dict.fromkeys(("iterations", "start_iterations"), (1, 5, 20)),
    **dict.fromkeys(("max_iterations", "newton_iterations", "gradient_steps"), (5, 20)),
    **dict.fromkeys(("train_examples", "eval_examples"), (10, 33, 50)),
    **dict.fromkeys(("sharpness_examples", "curvature_examples", "hessian_examples"), (1, 10)),
    **dict.fromkeys(("curvature_every", "measure_every"), (1, 4)),
    **dict.fromkeys(("batch_size", "large_batch_size"), (1, 8, 50)),
    **dict.fromkeys(("hidden", "num_students", "bends"), (1, 2)),
    **dict.fromkeys(("slsqp_students", "max_perturbations"), (1, 2)),
    **dict.fromkeys(("dimension", "filters", "layers"), (1, 3)),
    **dict.fromkeys(("points", "grid"), (3, 5)),
    **{"adam_steps": (1, 100), "epoch_scale": (0.05,), "per_class": (5, 10), "patch": (3, 5)},
    **{"cycle_epochs": (2,), "replicas": (1, 2), "bits": (64, 128), "width": (0.0625, 0.25)},
}
NETWORKS = {"bad_minima": "resnet18", "stability": "fnn_tenth"}
UNTOUCHED = ("output_dir", "run_dir", "profile_dir", "wandb_project", "wandb_group")


@st.composite
def likely_value_of(draw, field, kind):
    """A value that a flag takes for itself, three times out of four."""
    choices, kind, said = field.metadata["choices"], base_type(kind), field.metadata
    if not draw(st.integers(0, 3)):
        return draw(value_of(field, kind))
    if choices:
        return str(draw(st.sampled_from(choices)))
    low = said["low"] or said["above"] or 0
    if kind is int:
        return str(draw(st.integers(int(low), int(low) + 5)))
    if kind is float:
        return str(draw(st.sampled_from([low, low + 0.001, low + 0.1, low + 0.5, 1, 3, 1e30])))
    return draw(st.sampled_from(["true", "false"] if kind is bool else ["train[:20]", "1,2", "A"]))


@st.composite
def tiny_lines(draw, paper):
    """The flags of a run that ends in seconds, if it is one."""
    stages = papers.stages(paper)
    stage = draw(st.sampled_from(list(stages)))
    own = {flag_name(f): (f, kind) for f, kind in [*fields(stages[stage]), *fields(Place)]}
    sizes = [name for name in SMALLEST if name in own]
    free = [name for name in own if name not in (*sizes, *UNTOUCHED, "dataset", "model")]
    chosen = draw(st.lists(st.sampled_from(free), max_size=4, unique=True))
    given = [f"--{name}={draw(likely_value_of(*own[name]))}" for name in chosen]
    always = {"dataset": "digits", "model": NETWORKS.get(paper, "mlp_1x512"), "download": "false"}
    for size in sizes:
        needed = size == "train_examples" or own[size][0].default is not None
        if needed or draw(st.booleans()):
            always[size] = draw(st.sampled_from(SMALLEST[size]))
    return [f"--stage={stage}", *given, *(f"--{k}={v}" for k, v in always.items() if k in own)]


@pytest.mark.parametrize(
    ("paper", "examples"),
    [("randomization", 3), *(pytest.param(p, 12, marks=pytest.mark.slow) for p in papers.PAPERS)],
)
def test_a_line_makes_a_whole_run_or_says_one_line(paper, examples, tried, command, tmp_path):
    """And where it ends with an error, nothing says that the run is complete."""
    made, refused = [], []

    @tried(examples)
    @hypothesis.given(tiny_lines(paper))
    def check(arguments):
        path = tmp_path / str(len(made) + len(refused)) / "run"
        ended = command(paper, *arguments, f"--run_dir={path}", below=path)
        print(f"{ended.status} {ended.seconds:.1f} s", paper, *arguments, flush=True)
        if ended.status:
            assert ended.error and not (path / "result.json").exists()
            refused.append(arguments)
            return
        made.append(arguments)
        assert "Traceback" not in ended.said, ended.said
        result = json.loads((path / "result.json").read_text())
        checksums.check(path)
        rows = [json.loads(line) for line in read_lines(path / "metrics.jsonl")]
        if result["status"] == "complete":
            assert all(map(math.isfinite, losses(rows)))
            asked = result["settings"]
            done = result.get("epochs") if rows and paper == "randomization" else None
            assert done is None or done == asked["epochs"] or stopped_early(asked), result

    check()
    print(f"{paper}: {len(made)} made, {len(refused)} refused", flush=True)
    assert made and (refused or examples < 10)


def read_lines(file):
    return file.read_text().splitlines() if file.exists() else []


def losses(rows):
    """All losses in rows of metrics."""
    return [value for row in rows for name, value in row.items() if name.endswith("/loss")]


def stopped_early(asked):
    """Whether a run was asked to end before its epochs are over."""
    return asked["stop_train_loss"] is not None or asked["stop_train_accuracy"] is not None


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
