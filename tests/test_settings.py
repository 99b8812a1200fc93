"""Settings: what is refused, what a run is named by, and that every form says the same."""

import ast
import dataclasses
import json
from pathlib import Path
from typing import ClassVar, Self

import pytest

from repro import papers
from repro import settings as settings_
from repro.data import AUGMENTATIONS
from repro.fields import PLACES, base_type, fields, flag, flag_lines, read_flag_file
from repro.randomization.settings import STAGES as RANDOMIZATION
from repro.randomization.settings import Train
from repro.settings import Place, Settings, as_dict, from_dict, name, settle


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dive(Settings):
    """A stage of a made-up paper with a flag of every kind."""

    paper: ClassVar[str] = "swimming"
    stage: ClassVar[str] = "dive"
    moved: ClassVar = {"metres": "say --depth"}

    model: str = flag("diver", "Who.", choices=("diver", "seal"))
    depth: float = flag(2.0, "How deep.", unit="metres", above=0, high=10)
    dives: int = flag(3, "How often.", low=1)
    breath: float | None = flag(None, "How long; by default half the depth.", low=0)
    salt: float = flag(None, "Of the water.", unsaid=0.035, low=0)
    fins: bool = flag(False, "Wear fins.")
    stops: tuple[int, ...] = flag((), "Depths to rest at.", low=1)
    signs: tuple[str, ...] = flag((), "Signs to give.", choices=("up", "down"))
    tail: str | None = flag("long", "Of a seal.")

    def settled(self) -> Self:
        breath = self.depth / 2 if self.breath is None else self.breath
        tail = self.tail if self.model == "seal" else None
        return super().settled().replace(breath=breath, tail=tail)

    def check(self) -> None:
        super().check()
        if self.stops and max(self.stops) > self.depth:
            raise ValueError("--stops are deeper than --depth")

    def label(self) -> str:
        return f"{self.model}-{self.depth:g}m-seed{self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Race(Settings):
    """The other stage."""

    paper: ClassVar[str] = "swimming"
    stage: ClassVar[str] = "race"

    lanes: int = flag(8, "How many.", low=1)


STAGES = {"dive": Dive, "race": Race}


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"model": "cat"}, "--model=cat is none of diver, seal"),
        ({"signs": ("up", "left")}, "--signs=left is none of up, down"),
        ({"depth": 0.0}, "--depth=0.0 must be above 0"),
        ({"depth": 10.5}, "--depth=10.5 must be 10 or less"),
        ({"depth": float("nan")}, "--depth=nan is no number"),
        ({"depth": float("inf")}, "--depth is no finite number"),
        ({"depth": -(10**400)}, "--depth is no finite number"),
        ({"depth": "deep"}, "--depth=deep is no number"),
        ({"depth": None}, "--depth=None is no number"),
        ({"depth": True}, "--depth=True is no number"),
        ({"dives": 0}, "--dives=0 must be 1 or more"),
        ({"dives": 2.0}, "--dives=2.0 is no whole number"),
        ({"dives": True}, "--dives=True is no whole number"),
        ({"breath": -1.0}, "--breath=-1.0 must be 0 or more"),
        ({"salt": -0.1}, "--salt=-0.1 must be 0 or more"),
        ({"fins": 1}, "--fins=1 is no true or false"),
        ({"stops": (2, 0)}, "--stops=0 must be 1 or more"),
        ({"stops": (2, "x")}, "--stops=x is no whole number"),
        ({"stops": [2]}, "--stops=[2] is no whole number"),
        ({"seed": -1}, "--seed=-1 must be 0 or more"),
    ],
    ids=str,
)
def test_values_out_of_choice_range_or_type(values, line):
    with pytest.raises(ValueError) as caught:
        Dive(**values)
    assert str(caught.value) == line


def test_the_ends_of_a_range_are_in_it():
    Dive(depth=10.0, dives=1, breath=0.0, salt=0.0, stops=(1,))
    Dive(depth=1e-300)


def test_places_are_checked_as_settings_are():
    with pytest.raises(ValueError, match=r"^--checkpoint_every=0 must be 1 or more$"):
        Place(checkpoint_every=0)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"deth": 3}, "--deth is unknown: is --depth meant?"),
        ({"zzz": 3}, "--zzz is unknown"),
        ({"lanes": 3}, "--lanes is not for --stage=dive, but for --stage=race"),
        ({"stage": "race", "depth": 3}, "--depth is not for --stage=race, but for --stage=dive"),
        ({"metres": 3}, "--metres is gone: say --depth"),
        ({"stage": "swim"}, "--stage=swim is unknown: choose from dive, race"),
        ({"dives": "many"}, "--dives=many is no whole number"),
        ({"dives": "2.5"}, "--dives=2.5 is no whole number"),
        ({"depth": "deep"}, "--depth=deep is no number"),
        ({"fins": "yes"}, "--fins=yes is no true or false"),
        ({"stops": "2,x"}, "--stops=x is no whole number"),
    ],
    ids=str,
)
def test_what_from_dict_refuses(values, line):
    with pytest.raises(ValueError) as caught:
        from_dict(STAGES, values)
    assert str(caught.value) == line


def test_combinations_are_checked_once_all_is_settled():
    asked = Dive(depth=2.0, stops=(3,))
    with pytest.raises(ValueError, match=r"^--stops are deeper than --depth$"):
        settle(asked)


# --- settling -------------------------------------------------------------------------------------


def test_what_follows_is_derived_and_what_does_not_matter_is_none(tmp_path):
    settled, _ = settle(Dive(depth=8), tmp_path / "none.json")
    assert (settled.breath, settled.tail) == (4.0, None)
    assert settle(Dive(model="seal"), tmp_path / "none.json")[0].tail == "long"
    assert settle(Dive(depth=8, breath=1), tmp_path / "none.json")[0].breath == 1.0


def found(salt, applies_to):
    """A sweep of one trial, as tuned.json has it."""
    trial = {"values": {"salt": salt}, "epochs": 1, "objective": 0.5}
    said = {"says": "salt", "judged_by": "taste", "objective": 0.5}
    return said | {"applies_to": applies_to, "values": {"salt": salt}, "trials": [trial]}


@pytest.fixture
def tuned(tmp_path):
    """A tuned.json for divers who wear fins."""
    file = tmp_path / "tuned.json"
    sweep = found(0.01, {"model": "diver", "fins": True, "stops": [1, 2]})
    file.write_text(json.dumps({"diver": sweep}))
    return file


@pytest.mark.parametrize(
    ("asked", "salt", "origin"),
    [
        (Dive(fins=True, stops=(1, 2)), 0.01, {"salt": "tuned"}),
        (Dive(fins=False, stops=(1, 2)), 0.035, {"salt": "default"}),
        (Dive(fins=True), 0.035, {"salt": "default"}),
        (Dive(model="seal", fins=True, stops=(1, 2)), 0.035, {"salt": "default"}),
        (Dive(fins=True, stops=(1, 2), salt=0.5), 0.5, {}),
        (Dive(fins=True, stops=(1, 2), salt=0.0), 0.0, {}),
    ],
    ids=str,
)
def test_a_sweep_speaks_only_for_what_it_was_run_on(tuned, asked, salt, origin):
    """It fills None alone, and where the settings agree with all of its applies_to."""
    settled, unsaid = settle(asked, tuned)
    assert (settled.salt, unsaid) == (salt, origin)


def test_a_bad_value_of_a_sweep_names_the_flag(tuned):
    tuned.write_text(tuned.read_text().replace("0.01", '"much"'))
    with pytest.raises(ValueError, match=r"^--salt=much is no number$"):
        settle(Dive(fins=True, stops=(1, 2)), tuned)


def test_tuned_values_are_looked_for_beside_the_papers_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(settings_, "CONFIGS", tmp_path)
    (tmp_path / "swimming").mkdir()
    sweep = found(0.02, {})
    (tmp_path / "swimming" / "tuned.json").write_text(json.dumps({"diver": sweep}))
    assert settle(Dive())[0].salt == 0.02


# --- names ----------------------------------------------------------------------------------------


def test_a_name_is_its_label_and_digits_of_all_settings():
    """Names of old runs must not change. By hand, from a shell:

    printf '{"breath": 1.0, "depth": 2.0, "dives": 3, "fins": false, "model": "diver",
    "salt": 0.035, "seed": 0, "signs": [], "stage": "dive", "stops": [1]}' | sha256sum
    (on one line).
    """
    settled, _ = settle(Dive(stops=(1,)))
    assert name(settled) == "diver-2m-seed0-44d40d1f"


def test_none_does_not_count():
    """So a new flag whose default is None leaves the names of old runs."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Newer(Dive):
        depth_of_sea: float | None = flag(None, "New.")

    old, new = settle(Dive())[0], settle(Newer())[0]
    assert name(new) == name(old)
    assert name(new.replace(depth_of_sea=9.0)) != name(old)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"depth": 3.0},
        {"fins": True},
        {"stops": (1, 2)},
        {"stops": (2, 1)},
        {"breath": 0.0},
        {"signs": ("up",)},
    ],
    ids=str,
)
def test_every_setting_changes_the_name(change):
    asked = Dive(stops=(1,), signs=("up", "down"))
    assert name(settle(asked.replace(**change))[0]) != name(settle(asked)[0])


def test_stages_do_not_share_names():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Drill(Race):
        stage: ClassVar[str] = "drill"

    assert name(settle(Drill())[0]) != name(settle(Race())[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"corruption": "partial_labels", "corrupt_prob": 0.0}, {"corruption": "none"}),
        ({"corruption": "partial_labels", "corrupt_prob": 1}, {"corruption": "random_labels"}),
        ({"corrupt_prob": 0.4}, {"corruption": "partial_labels", "corrupt_prob": 0.4}),
        ({"augment": "crop,flip"}, {"augment": ["crop", "flip"]}),
        ({"augment": "crop, flip"}, {"augment": ("crop", "flip")}),
        ({"augment": ""}, {"augment": []}),
        ({"momentum": 0}, {"momentum": 0.0}),
        ({"weight_decay": "5e-4"}, {"weight_decay": 0.0005}),
        ({"weight_decay": 0}, {}),
        ({"batch_size": 128}, {}),
        ({"model": "inception", "learning_rate": "0.1"}, {}),
        ({"model": "alexnet"}, {"model": "alexnet", "learning_rate": 0.01}),
        ({"redraw": "False"}, {"redraw": False}),
        ({"stage": "train"}, {}),
        ({"augment_ranges": "epfl"}, {}),  # there is no change of colour for it to be about
        ({"augment": "contrast"}, {"augment": "contrast", "augment_ranges": "tensorflow"}),
    ],
    ids=str,
)
def test_equal_settings_in_different_words_have_one_name(one, other):
    names = {name(settle(from_dict(RANDOMIZATION, values))[0]) for values in (one, other)}
    assert len(names) == 1


def test_whole_numbers_given_to_the_class_are_numbers():
    assert name(settle(Train(momentum=0))[0]) == name(settle(Train(momentum=0.0))[0])
    assert as_dict(Train(momentum=1))["momentum"].is_integer()


# --- every form says the same ---------------------------------------------------------------------


def another(field, kind):
    """A value of a field that differs from its default, and is allowed."""
    said, kind = field.metadata, base_type(kind)
    if said["choices"] is not None:
        others = [choice for choice in said["choices"] if choice != field.default]
        value = (others or said["choices"])[-1]
        return value if kind in (str, int, float) else tuple(said["choices"][:2])
    if kind is bool:
        return not field.default
    low = said["low"] if said["low"] is not None else said["above"] or 0
    high = low + 3 if said["high"] is None else said["high"]
    if kind is int:
        return next(n for n in (low + 1, low + 2) if n != field.default and n <= high)
    if kind is float:
        return low + (high - low) / 7  # not a round number
    if kind is str:
        return "some text, with=signs"
    member = kind.__args__[0]
    return {int: (low + 1, low + 2), float: (low + 0.1, low + 0.2), str: ("a", "b")}[member]


KINDS = {("swimming", stage): kind for stage, kind in STAGES.items()}
KINDS |= {(p, stage): kind for p in papers.PAPERS for stage, kind in papers.stages(p).items()}
ALL_STAGES = {p: papers.stages(p) for p in papers.PAPERS} | {"swimming": STAGES}
IDS = ["-".join(key) for key in KINDS]


@pytest.fixture(params=KINDS, ids=IDS)
def stage(request):
    """Every stage of every paper: its class, and the paper's stages."""
    return KINDS[request.param], ALL_STAGES[request.param[0]]


@pytest.fixture(params=["default", "another"])
def asked(request, stage):
    kind, _ = stage
    if request.param == "default":
        return kind()
    return kind(**{field.name: another(field, type_) for field, type_ in fields(kind)})


def test_dictionaries_and_back(stage, asked):
    _, stages = stage
    assert from_dict(stages, as_dict(asked)) == asked
    assert from_dict(stages, json.loads(json.dumps(as_dict(asked)))) == asked


def test_flag_files_and_back(stage, asked, tmp_path):
    """What flags.cfg says of settings and of places is read as the settings alone."""
    _, stages = stage
    lines = [*flag_lines(as_dict(asked)), PLACES, *flag_lines({"data_dir": "/d", "download": True})]
    (tmp_path / "flags.cfg").write_text("\n".join(lines) + "\n")
    assert from_dict(stages, read_flag_file(tmp_path / "flags.cfg")) == asked


def test_settled_settings_stay_as_they_are(stage, tmp_path):
    """Settling again changes nothing, so that a run's flags.cfg has the run's own name."""
    kind, stages = stage
    settled, _ = settle(kind(), tmp_path / "none.json")
    assert settle(settled, tmp_path / "none.json") == (settled, {})
    lines = flag_lines(as_dict(settled))
    (tmp_path / "flags.cfg").write_text("\n".join(lines))
    again = from_dict(stages, read_flag_file(tmp_path / "flags.cfg"))
    assert settle(again, tmp_path / "none.json") == (settled, {})


def test_flag_lines_as_they_are_written():
    lines = flag_lines(as_dict(Dive(depth=1e-5, stops=(1, 2), fins=True)))
    assert lines == [
        "--stage=dive",
        "--seed=0",
        "--model=diver",
        "--depth=1e-05",
        "--dives=3",
        "--fins=true",
        "--stops=1,2",
        "--signs=",
        "--tail=long",
    ]


# --- the papers' own ------------------------------------------------------------------------------


def test_every_flag_explains_itself(stage):
    """A whole sentence; a range where a number could be nonsense; no word with two meanings."""
    kind, _ = stage
    for field, _ in fields(kind):
        text = field.metadata["help"]
        assert text[0].isupper() or text[0] == "-", (field.name, text)
        assert text.endswith((".", ".)")), (field.name, text)
    assert kind.__doc__ and kind.__doc__[0].isupper()


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_no_flag_is_declared_and_then_forgotten(paper):
    """Every setting is read by its own name somewhere in its paper, or where all binaries start."""
    package = Path(papers.__file__).parent
    read = set()
    doors = [package / f"{name}.py" for name in ("launch", "devices", "curvature_on_request")]
    for file in [*(package / paper).rglob("*.py"), *doors]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
            elif isinstance(node, ast.Constant) and file in doors:
                read.add(node.value)  # getattr(settings, "precision", "float32")
    for kind in papers.stages(paper).values():
        assert {field.name for field, _ in fields(kind)} <= read


def test_stages_know_their_names():
    for paper in papers.PAPERS:
        for stage, kind in papers.stages(paper).items():
            assert (kind.paper, kind.stage) == (paper, stage)
            assert not set(kind.moved) & {field.name for field, _ in fields(kind)}


def test_no_flag_is_also_a_place(stage):
    kind, _ = stage
    assert not {f.name for f, _ in fields(kind)} & {f.name for f, _ in fields(Place)}


def test_one_word_one_type_in_all_papers():
    """A flag that several papers have takes one kind of value, and counts one thing, in all."""
    types, units = {}, {}
    for kind in KINDS.values():
        for field, type_ in fields(kind):
            types.setdefault(field.name, set()).add(base_type(type_))
            units.setdefault(field.name, set()).add(field.metadata["unit"])
    assert {flag: kinds for flag, kinds in types.items() if len(kinds) > 1} == {}
    assert {flag: said for flag, said in units.items() if len(said - {None}) > 1} == {}


def test_defaults_are_the_papers():
    """Zhang et al., section 2 and appendix A; Figure 1a's 391 steps an epoch are batches of 128."""
    settled, unsaid = settle(Train())
    expected = {
        "model": "inception",
        "dataset": "cifar10",
        "corruption": "none",
        "corrupt_prob": 0.0,
        "learning_rate": 0.1,
        "learning_rate_decay": 0.95,
        "momentum": 0.9,
        "batch_size": 128,
        "dropout_rate": 0.0,
        "weight_decay": 0.0,
        "augment": [],
        "permute": None,  # of pixels, of which nothing is random here
        "gaussian_moments": None,
        "redraw": False,
        "strategy": "default",
        "seed": 0,
        "precision": "float32",
        "xla": False,
        "deterministic": False,
        "train_examples": None,
    }
    values = as_dict(settled)
    assert {name: values[name] for name in expected} == expected
    assert set(unsaid) == {"batch_size", "dropout_rate", "weight_decay"}


@pytest.mark.parametrize(
    ("model", "rate"),
    [("inception", 0.1), ("wrn_28_1", 0.1), ("alexnet", 0.01), ("mlp_1x512", 0.01)],
)
def test_learning_rate_follows_the_network(model, rate):
    assert settle(Train(model=model))[0].learning_rate == rate
    assert settle(Train(model=model, learning_rate=0.3))[0].learning_rate == 0.3


def test_the_name_says_the_main_settings():
    settled, _ = settle(
        Train(
            model="alexnet",
            dataset="digits",
            corrupt_prob=0.4,
            train_examples=500,
            augment=("crop", "flip"),
            redraw=True,
            seed=3,
        )
    )
    label, digits = name(settled).rsplit("-", 1)
    assert label == "alexnet-digits-partial_labels-p0.4-n500-crop-flip-redraw-seed3"
    assert len(digits) == 8 and int(digits, 16) >= 0


def test_corrupt_prob_is_for_partial_labels():
    with pytest.raises(ValueError, match=r"^--corrupt_prob is for partial_labels, not gaussian$"):
        settle(Train(corruption="gaussian", corrupt_prob=0.5))


def test_augmentations_are_refused_by_name():
    with pytest.raises(ValueError) as caught:
        Train(augment=("crop", "blur"))
    assert str(caught.value) == f"--augment=blur is none of {', '.join(AUGMENTATIONS)}"
