"""The door of every binary: flags, errors in one line, where runs land, what is recorded."""

import dataclasses
import json
import os
import resource
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import ClassVar

import pytest

from repro import command_line, launch, papers
from repro import settings as settings_
from repro.fields import fields, flag, flag_name
from repro.settings import Place, Training, as_dict, name, settle
from repro.training import runs
from repro.training.locks import HeldError
from repro.training.runs import RunDirectory, RunDirectoryError

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dive(Training):
    """Dive once, says the made-up paper on swimming."""

    paper: ClassVar[str] = "swimming"
    stage: ClassVar[str] = "dive"
    moved: ClassVar = {"metres": "say --depth"}

    depth: float = flag(2.0, "How deep.", unit="metres", above=0, high=10)
    dives: int = flag(3, "How often.", low=1)
    salt: float = flag(None, "Of the water.", unsaid=0.035, low=0)
    signs: tuple[str, ...] = flag((), "Signs to give.", choices=("up", "down"), bare="up,down")
    stops: tuple[int, ...] = flag((4, 2), "Depths to rest at.")
    fins: bool = flag(False, "Wear fins.")
    who: str | None = flag(None, "Name of the diver.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Race(Training):
    """Swim along lanes."""

    paper: ClassVar[str] = "swimming"
    stage: ClassVar[str] = "race"

    lanes: int = flag(8, "How many.", low=1)


STAGES = {"dive": Dive, "race": Race}


# --- from a command line to settings --------------------------------------------------------------


def parse(*arguments):
    return command_line.parse(STAGES, arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), Dive()),
        (("--depth=3", "--dives=4", "--salt=0"), Dive(depth=3.0, dives=4, salt=0.0)),
        (("--depth", "3", "-dives=4"), Dive(depth=3.0, dives=4)),
        (("--depth=3", "--depth=4"), Dive(depth=4.0)),
        (("--fins",), Dive(fins=True)),
        (("--fins=true", "--xla=True"), Dive(fins=True, xla=True)),
        (("--nofins",), Dive()),
        (("--signs=down,up",), Dive(signs=("down", "up"))),
        (("--signs=down", "--dives=4"), Dive(signs=("down",), dives=4)),
        (("--signs", "--dives=4"), Dive(signs=("up", "down"), dives=4)),
        (("--signs=",), Dive()),
        (("--stops=1",), Dive(stops=(1,))),
        (("--stops=",), Dive(stops=())),
        (("--who=Ama, with = and spaces",), Dive(who="Ama, with = and spaces")),
        (("--stage=dive",), Dive()),
        (("--stage=race",), Race()),
        (("--stage", "race", "--lanes", "4"), Race(lanes=4)),
        (("--stage=dive", "--stage=race"), Race()),
    ],
    ids=str,
)
def test_flags_become_settings(arguments, expected):
    assert parse(*arguments) == (expected, Place())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--deth=3",), "--deth is unknown: is --depth meant?"),
        (("--zzz",), "--zzz is unknown"),
        (("--lanes=3",), "--lanes is not for --stage=dive, but for --stage=race"),
        (("--stage", "race", "--depth=3"), "--depth is not for --stage=race, but for --stage=dive"),
        (("--metres=3",), "--metres is gone: say --depth"),
        (("--stage=swim",), "--stage=swim is unknown: choose from dive, race"),
        (("--depth=-1",), "--depth=-1.0 must be above 0"),
        (("--depth=11",), "--depth=11.0 must be 10 or less"),
        (("--depth=nan",), "--depth=nan is no number"),
        (("--signs=up,left",), "--signs=left is none of up, down"),
        (("--strategy=many",), "--strategy=many is none of default, mirrored, multi_worker, tpu"),
        (("--checkpoint_every=0",), "--checkpoint_every=0 must be 1 or more"),
        (("dive", "deep"), "unexpected arguments: dive deep; flags are --name=value"),
        (("--fins", "true"), "unexpected arguments: true; flags are --name=value"),
    ],
    ids=str,
)
def test_what_is_refused_is_said_in_one_line(arguments, line):
    with pytest.raises(ValueError) as caught:
        parse(*arguments)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("--dives=many",), "--dives=many"),
        (("--depth=",), "--depth"),
        (("--fins=maybe",), "fins"),
        (("--dives",), "dives"),
        (("--nodives",), "dives"),
        (("--stops=a",), "--stops=a"),
        (("--flagfile=/no/such/file",), "/no/such/file"),
        (("--flagfile",), "flagfile"),
    ],
    ids=str,
)
def test_whatever_absl_refuses_is_one_line_that_names_the_flag(arguments, flag):
    with pytest.raises(ValueError) as caught:
        parse(*arguments)
    assert flag in str(caught.value)
    assert "\n" not in str(caught.value)


def test_augment_alone_is_crop_and_flip_in_bad_minima():
    """As it was where the flag was a switch; no other paper takes it without a value."""
    stages = papers.stages("bad_minima")
    assert command_line.parse(stages, ["--augment"]) == command_line.parse(
        stages, ["--augment=crop,flip"]
    )
    assert command_line.parse(stages, ["--augment"])[0].augment == ("crop", "flip")
    with pytest.raises(ValueError, match="augment"):
        command_line.parse(papers.stages("randomization"), ["--augment"])


def test_where_and_how_are_no_part_of_the_settings():
    settings, place = parse(
        "--data_dir=/data",
        "--output_dir=/out",
        "--run_dir=/run",
        "--checkpoint_every=7",
        "--nodownload",
        "--wandb_project=w",
        "--wandb_group=g",
        "--profile_dir=/p",
    )
    assert settings == Dive()
    assert place == Place(
        data_dir="/data",
        output_dir="/out",
        run_dir="/run",
        checkpoint_every=7,
        download=False,
        wandb_project="w",
        wandb_group="g",
        profile_dir="/p",
    )


def test_flag_files_stand_where_they_are_said(tmp_path):
    """With comments and empty lines; what is said later wins; files may name files."""
    (tmp_path / "inner.cfg").write_text("--dives=5\n")
    (tmp_path / "outer.cfg").write_text(
        f"# a comment\n\n--depth=3\n--flagfile={tmp_path / 'inner.cfg'}\n--signs\n"
    )
    said = f"--flagfile={tmp_path / 'outer.cfg'}"
    everything = Dive(depth=3.0, dives=5, signs=("up", "down"))
    assert parse(said)[0] == everything
    assert parse("--flagfile", tmp_path / "outer.cfg")[0] == everything
    assert parse("--dives=6", said)[0].dives == 5
    assert parse(said, "--dives=6")[0].dives == 6
    (tmp_path / "outer.cfg").write_text("--stage=race\n--lanes=4\n")
    assert parse(said)[0] == Race(lanes=4)
    with pytest.raises(ValueError, match="--lanes is not for --stage=dive"):
        parse(said, "--stage=dive")


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_flags_cfg_replays_every_stage(paper, tmp_path):
    """What a run directory says of itself, read as a flag file, is its settings and places."""
    stages = papers.stages(paper)
    for stage, kind in stages.items():
        settled, _ = settle(kind(), tmp_path / "none.json")
        places = {"data_dir": "/some where", "download": False}
        RunDirectory(tmp_path / stage, as_dict(settled), places=places).close()
        asked, place = command_line.parse(stages, [f"--flagfile={tmp_path / stage / 'flags.cfg'}"])
        assert settle(asked, tmp_path / "none.json") == (settled, {})
        assert place == Place(data_dir="/some where", download=False)


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_usage_explains_every_flag_of_a_stage(paper):
    stages = papers.stages(paper)
    for stage, kind in stages.items():
        text = command_line.usage(stages, [f"--stage={stage}"])
        assert f"python -m repro.{paper}" in text
        assert all(other in text for other in stages)
        for field, _ in [*fields(kind), *fields(Place)]:
            assert f"  --{flag_name(field)}" in text
            assert field.metadata["help"] in text
            for choice in field.metadata["choices"] or ():
                assert str(choice) in text


def test_usage_says_units_ranges_and_defaults():
    text = command_line.usage(STAGES, [])
    assert "--depth  (default 2.0, metres, above 0, up to 10)" in text
    assert "--salt  (default 0.035, unsaid by the paper, from 0)" in text
    assert "--stops  (default 4,2)" in text
    assert "--who\n" in text
    assert "--lanes" not in text
    assert "--lanes" in command_line.usage(STAGES, ["--stage", "race"])


# --- processes ------------------------------------------------------------------------------------

RUN = ("-m", "repro.randomization")
QUICK = ("--model=mlp_1x512", "--dataset=digits", "--epochs=1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model=lenet"], ["--model=lenet", "inception", "alexnet", "mlp_1x512"]),
        (["--dataset=svhn"], ["--dataset=svhn", "cifar10", "fashion_mnist", "digits"]),
        (["--corrupt_prob=1.5"], ["--corrupt_prob=1.5 must be 1 or less"]),
        (["--corrupt_prob=-0.1"], ["--corrupt_prob=-0.1 must be 0 or more"]),
        (["--modle=alexnet"], ["--modle is unknown: is --model meant?"]),
        (["alexnet", "cifar10"], ["unexpected arguments: alexnet cifar10"]),
        (["--flagfile=/no/such/file"], ["/no/such/file"]),
    ],
    ids=str,
)
def test_a_bad_flag_is_one_line_and_status_2(python, tmp_path, arguments, words):
    done = python(*RUN, *arguments, f"--output_dir={tmp_path / 'out'}")
    assert done.returncode == 2
    (line,) = done.everything.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words)
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--xla", "--deterministic"],
            "error: --xla and --deterministic exclude each other: choose one",
        ),
        (
            ["--corruption=gaussian", "--corrupt_prob=0.5"],
            "error: --corrupt_prob is for partial_labels, not gaussian",
        ),
        (
            ["--strategy=mirrored"],
            "error: --strategy=mirrored found no GPU; use --strategy=default",
        ),
        (
            ["--precision=mixed_float16"],
            "error: --precision=mixed_float16 is for GPUs, and takes hundreds of times as long on "
            "a processor: use mixed_bfloat16 or float32",
        ),
    ],
    ids=str,
)
def test_a_run_that_cannot_be_is_one_line_and_status_1(python, tmp_path, arguments, line):
    done = python(*RUN, *QUICK, *arguments, f"--output_dir={tmp_path / 'out'}")
    assert (done.returncode, done.everything) == (1, line + "\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_help_is_quick(environment, paper):
    """Under a second of the processor's time, however busy it is: TensorFlow takes several."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", f"repro.{paper}", "--help"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and "--seed" in done.stdout and done.stderr == ""
    assert after.ru_utime - before.ru_utime < 1


@pytest.mark.parametrize("paper", papers.PAPERS)
@pytest.mark.parametrize("flag", ["--help", "--no_such_flag=1"])
def test_help_and_refusals_need_no_tensorflow(python, paper, flag):
    done = python("-X", "importtime", "-m", f"repro.{paper}", flag)
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "repro.launch" in loaded
    slow = {"tensorflow", "keras", "tensorflow_datasets", "sklearn", "matplotlib", "scipy"}
    assert not loaded & slow


STUB = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written\\n")
os.write(2, b"I0000 00:00:1.5 1 port.cc:153] oneDNN custom operations are on. You may see\\n")
os.write(2, b"E0000 00:00:1.5 1 cuda.cc:98] failed call to cuInit: no device\\n")
os.write(2, b"E0000 00:00:1.5 1 disk.cc:1] the library is damaged\\n")
if FAILS:
    raise ImportError("no such library")

class config:
    def list_physical_devices():
        os.write(2, b"WARNING: your GPU is too hot\\n")
"""


@pytest.mark.parametrize("fails", [False, True])
def test_known_chatter_of_tensorflow_is_silenced_and_nothing_else(environment, tmp_path, fails):
    """Written to the file descriptor by C++; what it says later, and Python's errors, stay."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(f"FAILS = {fails}\n{STUB}")
    code = (
        "import os; from repro import devices; devices.import_tensorflow(); "
        "os.write(2, b'oneDNN custom operations are on, again\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    said = done.stderr.splitlines()
    assert said[0] == "E0000 00:00:1.5 1 disk.cc:1] the library is damaged"
    if fails:
        assert said[-1] == "ImportError: no such library"
        assert not any("oneDNN" in line or "cuInit" in line for line in said)
    else:
        assert said[1:] == [
            "WARNING: your GPU is too hot",
            "oneDNN custom operations are on, again",
        ]


def test_scikit_learn_and_matplotlib_are_imported_by_those_alone_who_need_them(python):
    """Not by Keras for its wrappers, which takes a second; afterwards they are there as ever."""
    done = python(
        "-c",
        "import sys; from repro import devices; devices.import_tensorflow(); "
        "print('keras' in sys.modules, 'sklearn' in sys.modules, 'matplotlib' in sys.modules); "
        "from sklearn.datasets import load_digits; print(len(load_digits().data)); "
        "from matplotlib import pyplot; print(pyplot.get_backend() != '')",
    )
    assert done.stdout.split() == ["True", "False", "False", "1797", "True"], done.stderr


# --- from settings to a run: an experiment that is over at once ---------------------------------


@pytest.fixture
def swim(monkeypatch):
    """Stand in for the paper's experiment; return the (settings, job) that it was called with.

    What it returns, or the exception that it raises, can be set as `answer`.
    """

    class Calls(list):
        answer = None

    calls = Calls()
    calls.answer = {"laps": 7}

    def run(settings, job):
        calls.append((settings, job))
        answer = calls.answer(settings, job) if callable(calls.answer) else calls.answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    experiment = types.SimpleNamespace(run=run)
    monkeypatch.setattr(papers, "module", lambda paper, name: experiment)
    return calls


@pytest.fixture
def place(tmp_path):
    return Place(output_dir=str(tmp_path), download=False)


def test_runs_land_by_their_settings_and_say_them(swim, place, tmp_path):
    directory = launch.make(Dive(depth=3), place)
    settled, _ = settle(Dive(depth=3))
    assert os.fspath(directory.path) == str(tmp_path / "swimming" / name(settled))
    assert directory.result() == {
        "status": "complete",
        "laps": 7,
        "settings": as_dict(settled),
        "unsaid": {"salt": "default"},
    }
    ((settings, job),) = swim
    assert settings == settled
    assert (job.data_dir, job.download, job.checkpoint_every) == (None, False, 1)


def test_a_status_of_the_experiments_own_stays(swim, place):
    swim.answer = {"status": "diverged", "step": 3}
    assert launch.make(Dive(), place).result()["status"] == "diverged"


def test_what_the_paper_leaves_unsaid_is_said(swim, place, capsys):
    launch.make(Dive(), place)
    assert "unsaid by the paper: salt=0.035 (default)" in capsys.readouterr().out


def test_a_sweep_of_other_runs_is_said_too(swim, place, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(settings_, "CONFIGS", tmp_path)
    (tmp_path / "swimming").mkdir()
    trial = {"values": {"salt": 0.02}, "epochs": 1, "objective": 0.5}
    sweep = {"says": "salt", "judged_by": "taste", "objective": 0.5, "trials": [trial]}
    sweep |= {"values": {"salt": 0.02}, "applies_to": {"model": "seal"}}
    (tmp_path / "swimming" / "tuned.json").write_text(json.dumps({"unsaid-seal": sweep}))
    launch.make(Dive(), place)
    assert "sweeps, of other runs than this one: unsaid-seal" in capsys.readouterr().out
    launch.make(Dive(salt=0.5), place)
    assert "sweeps" not in capsys.readouterr().out


def test_a_complete_run_is_not_made_again(swim, place, capsys):
    first = launch.make(Dive(), place)
    before = {path: path.read_bytes() for path in first.path.iterdir() if path.name != "lock"}
    again = launch.make(Dive(salt=0.035), place)  # other words for the same run
    assert len(swim) == 1
    assert "complete already" in capsys.readouterr().out
    assert again.result() == first.result()
    assert {path: path.read_bytes() for path in before} == before


def test_other_settings_are_refused_in_the_same_directory(swim, tmp_path):
    place = Place(run_dir=str(tmp_path / "run"))
    launch.make(Dive(), place)
    with pytest.raises(RunDirectoryError, match="--dives=3 --dives=4"):
        launch.make(Dive(dives=4), place)
    assert len(swim) == 1


def test_a_failed_run_lets_go_and_can_be_made_again(swim, place):
    swim.answer = ValueError("too cold")
    with pytest.raises(ValueError, match="too cold"):
        launch.make(Dive(), place)
    swim.answer = {"laps": 1}
    assert launch.make(Dive(), place).result()["laps"] == 1


def test_a_run_that_another_process_makes_is_an_error(swim, tmp_path):
    settled, _ = settle(Dive())
    held = RunDirectory(tmp_path / "run", as_dict(settled))
    with pytest.raises(HeldError, match="another process is writing to"):
        launch.make(Dive(), Place(run_dir=str(tmp_path / "run")))
    held.close()
    launch.make(Dive(), Place(run_dir=str(tmp_path / "run")))


def test_a_remote_output_dir_keeps_its_scheme(swim, monkeypatch):
    """pathlib would make gs:/ of gs://, a folder of this machine."""

    class SeenError(Exception):
        pass

    def directory(path, *_, **__):
        raise SeenError(os.fspath(path))

    monkeypatch.setattr(runs, "RunDirectory", directory)
    with pytest.raises(SeenError, match=r"^gs://bucket/out/swimming/seed0-"):
        launch.make(Dive(), Place(output_dir="gs://bucket/out"))


def test_environment_says_where_numbers_come_from(swim, place):
    """All package versions, the machine, and digits for each module that may have computed."""
    directory = launch.make(Dive(), place)
    recorded = json.loads((directory.path / "environment.json").read_text())
    assert recorded["command"].startswith("python -m repro.swimming")
    for package in ("tensorflow", "keras", "numpy", "filelock", "tensorboard"):
        assert recorded["versions"][package]
    machine = recorded["machine"]
    assert machine["processor"] and machine["system"] and machine["gpus"] == []
    assert machine["memory_gib"] > 0
    assert {"onednn", "tensor_float_32", "intra_op_threads", "inter_op_threads"} <= set(machine)
    assert recorded["strategy"] == "default" and recorded["devices"]
    code = recorded["code"]
    assert "repro.training.strategy" in code
    assert all(len(digits) == 8 and int(digits, 16) >= 0 for digits in code.values())
    assert not any(name.startswith(("repro.reporting", "repro.tools", "tests")) for name in code)
    assert recorded["end"]


# --- runs that need other runs --------------------------------------------------------------------


def test_a_run_makes_the_run_it_needs_beside_itself_once(swim, tmp_path):
    """Named by its settings as if it had been asked for alone, and made with the same places."""

    def answer(settings, job):
        if settings.dives == 1:
            return {"laps": 1}
        return {"laps": 1 + job.need(Dive(dives=1)).result()["laps"]}

    swim.answer = answer
    place = Place(output_dir=str(tmp_path), data_dir="/d", download=False, checkpoint_every=5)
    assert launch.make(Dive(dives=2), place).result()["laps"] == 2
    assert launch.make(Dive(dives=3), place).result()["laps"] == 2
    assert [settings.dives for settings, _ in swim] == [2, 1, 3]
    needed = swim[1][1]
    assert (needed.data_dir, needed.download, needed.checkpoint_every) == ("/d", False, 5)
    assert launch.make(Dive(dives=1), place).path == needed.directory.path
    assert len(swim) == 3


def test_a_run_in_a_directory_of_its_own_makes_others_beside_it(swim, tmp_path):
    swim.answer = lambda settings, job: (
        {} if settings.dives == 1 else {"needed": os.fspath(job.need(Dive(dives=1)).path)}
    )
    place = Place(run_dir=str(tmp_path / "here" / "run"), output_dir=str(tmp_path / "there"))
    needed = launch.make(Dive(dives=2), place).result()["needed"]
    assert Path(needed) == tmp_path / "here" / name(settle(Dive(dives=1))[0])
    assert not (tmp_path / "there").exists()


def test_the_precision_of_a_run_survives_the_run_it_needs(swim, place):
    """The other way round too: the needed run has its own, whatever asks for it."""
    import keras

    seen = []

    def answer(settings, job):
        seen.append(keras.config.dtype_policy().name)
        if settings.precision == "mixed_bfloat16":
            job.need(Dive(dives=1))
            seen.append(keras.config.dtype_policy().name)
        return {}

    swim.answer = answer
    try:
        launch.make(Dive(precision="mixed_bfloat16"), place)
    finally:
        keras.config.set_dtype_policy("float32")
    assert seen == ["mixed_bfloat16", "float32", "mixed_bfloat16"]


@pytest.fixture
def not_the_chief(monkeypatch):
    """This process is one of several workers, of which another one writes."""
    monkeypatch.setattr("repro.training.strategy.is_chief", lambda strategy: False)
    monkeypatch.setattr(launch, "SECONDS_BETWEEN_LOOKS", 0.01)


def test_other_workers_write_nothing_and_do_not_wait_for_the_chief(swim, place, not_the_chief):
    """Each may have a disk of its own, on which no result will ever be."""
    directory = launch.make(Dive(), place)
    assert len(swim) == 1
    assert not directory.path.exists()


def test_other_workers_wait_for_the_run_that_theirs_needs(swim, place, not_the_chief):
    """The chief writes its result last; it is what they go on from."""

    def answer(settings, job):
        if settings.dives == 1:
            job.directory.path.mkdir(parents=True)
            file = job.directory.path / "result.json"
            threading.Timer(0.1, file.write_text, ['{"laps": 4}']).start()
            return {"laps": 4}
        seen.append(job.need(Dive(dives=1)).result())
        return {}

    seen = []
    swim.answer = answer
    launch.make(Dive(dives=2), place)
    assert seen == [{"laps": 4}]


def test_the_needed_settings_are_checked_too(swim, place):
    swim.answer = lambda settings, job: job.need(Dive(xla=True, deterministic=True))
    with pytest.raises(ValueError, match="exclude each other"):
        launch.make(Dive(), place)
