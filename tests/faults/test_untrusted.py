"""What comes from elsewhere runs no code and leads nowhere: TOMLs, run directories, datasets."""

import ast
import io
import json
import os
import shutil
import signal
import stat
import struct
import sys
import threading
import tracemalloc
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import hypothesis
import keras
import numpy as np
import pytest
from etils import epath
from hypothesis import strategies as st
from test_what_users_type import ANYTHING, SCALARS

from repro import files, tuning
from repro.bad_minima import starts
from repro.data import datasets
from repro.fields import read_flag_file
from repro.mode_connectivity import kept
from repro.reporting import evidence, ledger, results, rows
from repro.teacher_student import verify
from repro.tools import measure, plans, report, report_server, reproduce, runs
from repro.tools.executors import process, warm
from repro.training import checkpoints, provenance, snapshots
from repro.training import runs as training_runs

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference"
SOURCES = [*(ROOT / "repro").rglob("*.py"), *(f for f in (ROOT / "clouds").rglob("*.py"))]


def calls():
    """All calls in the sources: (file, name as written, call)."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                yield file, ast.unparse(node.func), node


def test_nothing_read_is_ever_run():
    """No pickles, which may hold code, and no text that is made into code."""
    forbidden = {"eval", "exec", "compile", "__import__", "yaml.load", "os.system", "os.popen"}
    reading = []
    for file, name, call in calls():
        assert name not in forbidden, f"{file}: {name}"
        assert name.split(".")[0] not in ("pickle", "marshal", "shelve", "dill"), file
        assert not any(keyword.arg == "shell" for keyword in call.keywords), file
        if name == "np.load":
            reading.append(file.relative_to(ROOT / "repro").as_posix())
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert said.get("allow_pickle") == "False", file
        if name.endswith(("load_model", "Lambda")):
            pytest.fail(f"{file}: {name} may run what a file says")
    assert reading == ["arrays.py"]  # which refuses bombs


def test_one_place_reads_files():
    """It refuses what never ends; others read the project's own files, or what they just wrote."""
    own = {
        *("repro/files.py", "repro/reporting/pages.py", "repro/training/provenance.py"),
        *("repro/training/locks.py", "repro/training/runs.py", "repro/data/builders.py"),
        *("repro/curvature/krylov.py", "repro/tools/measure.py", "repro/tools/report.py"),
        *("repro/tools/benchmark.py", "repro/tools/benchmark_processes.py"),
    }
    reading = (".read_bytes", ".read_text", "json.load", "tomllib.load", "np.loadtxt")
    found = {
        file.relative_to(ROOT).as_posix() for file, name, _ in calls() if name.endswith(reading)
    }
    assert {file for file in found if file.startswith("repro/")} == own


def test_no_yaml_is_read():
    """Its aliases can be bombs."""
    for file in SOURCES:
        nodes = list(ast.walk(ast.parse(file.read_text())))
        names = {
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in names} & {"yaml", "ruamel"}, file


# --- TOMLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["output_dir", "run_dir", "profile_dir", "wandb_project"])
def test_a_toml_cannot_send_a_run_elsewhere(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name} is for the command line alone"):
        plans.plan("randomization", [{name: str(tmp_path)}], tmp_path, {})


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "randomization/../../x", ""])
def test_no_figure_lies_outside_of_the_configs(name):
    with pytest.raises(ValueError, match="unknown figure"):
        plans.load_config(name)


def test_a_bomb_of_brackets_in_a_toml_is_one_line(tmp_path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "bomb.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(ValueError, match="is no TOML"):
        plans.load_config("zoo/bomb", tmp_path)


# --- run directories ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/etc/passwd", "repro./etc/passwd", "repro.../x", "os", "repro"])
def test_only_modules_of_this_project_are_looked_at(name):
    assert provenance.code([name]) == {}
    assert set(provenance.code(["repro.fields"])) == {"repro.fields"}


KEYS = st.sampled_from([*evidence.KINDS, "machine", "status", "seconds", "settings", "epoch", "x"])
OBJECTS = st.dictionaries(KEYS, ANYTHING, max_size=5)
MACHINES = st.dictionaries(
    st.sampled_from(["gpus", "processor", "memory_gib"]), st.one_of(SCALARS, ANYTHING), max_size=3
)


def test_any_json_in_a_run_directory_is_listed_or_named(tried, tmp_path):
    """Whatever a run of somebody else says of itself, the ledger and the table hold it."""
    path = tmp_path / "randomization" / "run"
    path.mkdir(parents=True)
    (path / "flags.cfg").write_text("--stage=train\n--seed=0\n")
    statuses = set()

    @tried(150)
    @hypothesis.given(OBJECTS, OBJECTS, MACHINES, st.lists(OBJECTS, max_size=3))
    def check(result, environment, machine, metrics):
        (path / "result.json").write_text(json.dumps(result))
        (path / "environment.json").write_text(json.dumps({"machine": machine} | environment))
        lines = (json.dumps({"epoch": 1, "step": 1} | row) + "\n" for row in metrics)
        (path / "metrics.jsonl").write_text("".join(lines))
        (found,) = runs.read(tmp_path)
        statuses.add(found["status"])
        text = ledger.as_json({"runs": [found]})
        text.encode()
        json.loads(text)
        rows.as_csv([found]).encode()
        runs.listing([found]).encode()

    check()
    assert {"unreadable", "complete"} <= statuses


def test_text_that_no_page_can_hold_is_named(tmp_path):
    """Half of a surrogate pair is JSON, and no Unicode."""
    path = tmp_path / "randomization" / "run"
    path.mkdir(parents=True)
    (path / "flags.cfg").write_text("--stage=train\n--seed=0\n")
    (path / "result.json").write_text('{"summary": "\\ud800"}')
    (found,) = runs.read(tmp_path)
    assert found["status"] == "unreadable" and "result.json is damaged" in found["problem"]


# --- arrays ---------------------------------------------------------------------------------------


def archive(file, compression, *members, mebibytes=0):
    """Write an .npz file whose members, arrays of zeros, are each so large, but take little."""
    header = io.BytesIO()
    size = max(mebibytes * 2**20, 80)
    said = {"shape": (size // 8,), "fortran_order": False, "descr": "<f8"}
    np.lib.format.write_array_header_1_0(header, said)
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as written:
        for name in members:
            with written.open(f"{name}.npy", "w") as member:
                member.write(header.getvalue())
                for part in [2**20] * mebibytes or [size]:
                    member.write(b"\0" * part)


def says_too_little(file):
    """Write a bomb whose directory says that its one member were small."""
    archive(file, zipfile.ZIP_DEFLATED, "theta", mebibytes=300)
    content = bytearray(file.read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\1\2") + 24, 1000)
    file.write_bytes(content)


BOMBS = {
    "one array": lambda file: archive(file, zipfile.ZIP_DEFLATED, "theta", mebibytes=300),
    "many": lambda file: archive(file, zipfile.ZIP_DEFLATED, *"abcdefghij", mebibytes=30),
    "bzip2": lambda file: archive(file, zipfile.ZIP_BZIP2, "theta"),  # these are unpacked without
    "lzma": lambda file: archive(file, zipfile.ZIP_LZMA, "theta"),  # any limit of memory
    "a directory that lies": says_too_little,
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_before_they_take_memory(make, tmp_path):
    file = tmp_path / "arrays.npz"
    make(file)
    assert file.stat().st_size < 2**21
    shutil.copy(file, tmp_path / "state-2.npz")
    np.savez(tmp_path / "state-1.npz", theta=np.ones(3), _position=1)
    store = snapshots.Snapshots(tmp_path, {})
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^\S*arrays\.npz is damaged: .*$"):
            snapshots.read_arrays(epath.Path(file))
        with pytest.raises(results.DamagedError, match=r"^\S*arrays\.npz cannot be read: .*$"):
            results.Run(tmp_path, {}, {}, []).arrays()
        assert store.restore() == 1 and store.state["theta"].tolist() == [1, 1, 1]
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_what_runs_write_is_no_bomb(tmp_path):
    """However well it is compressed, as what is constant is."""
    directory = training_runs.RunDirectory(tmp_path, {"seed": 0})
    directory.save_arrays(loss=np.zeros(2**24), epoch=np.arange(9), names=np.array(["", "a"]))
    directory.close()
    assert (tmp_path / "arrays.npz").stat().st_size < 2**18
    found = results.Run(tmp_path, {}, {}, []).arrays()
    assert found["loss"].shape == (2**24,) and not found["loss"].any()
    assert found["epoch"].tolist() == list(range(9)) and found["names"].tolist() == ["", "a"]


@pytest.mark.parametrize(
    "arrays",
    [{}, {"theta": np.ones(3)}, {"arr_1": np.ones(3)}, {"arr_0": np.ones(3, int)}],
    ids=["none", "another name", "a gap", "whole numbers"],
)
def test_weights_that_no_run_wrote_are_named(arrays, tmp_path):
    file = tmp_path / "epoch_200.npz"
    np.savez(file, **arrays)
    with pytest.raises(ValueError, match=r"epoch_200\.npz holds something else than weights"):
        snapshots.read_unnamed(epath.Path(file))


# --- symbolic links -------------------------------------------------------------------------------

SECRET = "precious"
RUN = {  # its files; `%s` is what is shown of them
    "flags.cfg": "--stage=train\n--seed=0\n",
    "result.json": '{"status": "complete", "summary": "%s"}\n',
    "metrics.jsonl": '{"epoch": 1, "step": 1, "%s": 1}\n',
    "environment.json": '{"command": "%s"}\n',
    "arrays.npz": "%s",
}


@pytest.fixture
def outside(tmp_path):
    """Return a folder of this user, whose run and pictures hold a secret."""
    folder = tmp_path / "outside"
    (folder / "randomization" / "run").mkdir(parents=True)
    for name, text in RUN.items():
        (folder / "randomization" / "run" / name).write_text(text.replace("%s", SECRET))
    (folder / "figures").mkdir()
    for file in (REFERENCE / "figures").glob("randomization-quickstart-smoke.*"):
        (folder / "figures" / file.name).write_bytes(file.read_bytes() + SECRET.encode())
    return folder


@pytest.fixture
def theirs(tmp_path):
    """Return an output folder of somebody else, with a run and a figure."""
    path = tmp_path / "theirs" / "randomization" / "run"
    path.mkdir(parents=True)
    for name, text in RUN.items():
        (path / name).write_text(text.replace("%s", "x"))
    (tmp_path / "theirs" / "figures").mkdir()
    for file in (REFERENCE / "figures").glob("randomization-quickstart-smoke.*"):
        shutil.copy(file, tmp_path / "theirs" / "figures")
    return tmp_path / "theirs"


def replace_by_link(file, target):
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)
    file.symlink_to(target)


def content_of(folder):
    return {f: f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("where", ["randomization", "randomization/run", *RUN])
def test_runs_outside_are_not_shown(where, outside, theirs):
    place = where if where not in RUN else f"randomization/run/{where}"
    replace_by_link(theirs / place, outside / place)
    (found,) = runs.read(theirs)
    assert found["status"] == "unreadable"
    assert str(theirs / place) in found["problem"] and "symbolic link" in found["problem"]
    shown = [ledger.as_json({"runs": [found]}), rows.as_csv([found]), runs.listing([found])]
    assert SECRET not in "".join(shown)
    assert runs.complete(theirs, "randomization") == []
    if where in RUN:
        with pytest.raises(results.DamagedError, match="symbolic link"):
            results.load(theirs / "randomization" / "run", {})


@pytest.mark.parametrize("name", RUN)
def test_a_link_to_itself_is_survived(name, theirs):
    """It leads nowhere, and is no file."""
    file = theirs / "randomization" / "run" / name
    replace_by_link(file, file)
    statuses = [found["status"] for found in runs.read(theirs)]
    assert statuses == {"flags.cfg": [], "result.json": ["not complete"]}.get(name, ["complete"])


FIGURES = [f"figures/randomization-quickstart-smoke{suffix}" for suffix in (".json", ".png", ".md")]


@pytest.mark.parametrize("place", ["figures", *FIGURES])
def test_figures_outside_are_not_shown(place, outside, theirs):
    """Neither in the report's files nor by its server."""
    replace_by_link(theirs / place, outside / place)
    with pytest.raises(ValueError, match=f"{theirs / place} leads out of .* symbolic link"):
        report.write(theirs)
    assert not (theirs / "report").exists()
    server = report_server.Server(theirs, 0)
    threading.Thread(target=server.handle_request, daemon=True).start()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/randomization.html")
    server.server_close()
    assert caught.value.code == 500
    said = caught.value.read().decode()
    assert said.startswith(f"error: {theirs / place} leads out of") and SECRET not in said


@pytest.mark.parametrize(
    "place",
    [
        *("report", "report/index.html.partial", "report/runs.csv.partial", "report.md.partial"),
        "report/index.html",
    ],
)
def test_reports_overwrite_nothing_outside(place, outside, theirs):
    """A link that a whole file takes the place of does no harm."""
    target = outside if place == "report" else outside / "figures" / Path(FIGURES[0]).name
    if place != "report":
        (theirs / "report").mkdir()
    (theirs / place).symlink_to(target)
    before = content_of(outside)
    if place == "report/index.html":
        report.write(theirs)
        assert not (theirs / place).is_symlink()
    else:
        with pytest.raises(ValueError, match=f"{theirs / place}.* leads out of"):
            report.write(theirs)
    assert content_of(outside) == before


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".json.partial"])
def test_figures_overwrite_nothing_outside(suffix, outside, theirs):
    (figure,) = reproduce.read_figures(["randomization/quickstart"], "smoke", theirs, {})
    for run in figure.runs:
        shutil.copytree(REFERENCE / "randomization" / run.path.name, run.path)
    link = theirs / "figures" / f"randomization-quickstart-smoke{suffix}"
    replace_by_link(link, outside / "figures" / "randomization-quickstart-smoke.json")
    before = content_of(outside)
    with pytest.raises(results.DamagedError, match=f"{link} leads out of"):
        reproduce.draw(figure, "smoke", theirs)
    assert content_of(outside) == before


def test_measuring_overwrites_nothing_outside(outside, theirs):
    path = theirs / "randomization" / "run"
    (path / "spectrum.png").symlink_to(outside / "mine")
    with pytest.raises(SystemExit, match=r"spectrum\.png is a symbolic link"):
        measure.main([str(path)])
    assert not (outside / "mine").exists()


def test_no_log_is_written_outside(outside, tmp_path):
    """Neither by processes of runs nor by trials of sweeps; nor is its last line shown."""
    (tmp_path / "log.txt").symlink_to(outside / "mine")
    command = [sys.executable, "-c", "print('said')"]
    for make in (process.run, lambda *a: warm.Maker.make(None, *a[:2])):
        with pytest.raises(RuntimeError, match=r"log\.txt is a symbolic link"):
            make(command, tmp_path, 1)
    assert not (outside / "mine").exists()


# --- pipes, sockets, and files without an end ----------------------------------------------------


def giant(file):
    """It says that it has a tebibyte, of which nothing takes any place on the disk."""
    file.touch()
    os.truncate(file, 2**40)


ENDLESS = {  # a reader of the first would wait for ever, and that of the last take all memory
    "pipe": os.mkfifo,
    "socket": lambda file: os.mknod(file, stat.S_IFSOCK | 0o600),
    "giant": giant,
}
WAITED_FOR = [kind for kind in ENDLESS if kind != "giant"]


@pytest.fixture(autouse=True)
def in_time():
    """Fail a test that waits for ever."""

    def end(number, frame):
        pytest.fail("it waits for ever")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 100)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def make_endless(file, kind):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    ENDLESS[kind](file)


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("name", [*RUN, "checksums.txt"])
def test_runs_with_endless_files_are_named(name, kind, theirs):
    path = theirs / "randomization" / "run"
    make_endless(path / name, kind)
    (found,) = runs.read(theirs)
    if name == "arrays.npz":  # which only what draws it reads, and of which this run has no sum
        with pytest.raises(results.DamagedError, match=rf"{path}/arrays\.npz cannot be read"):
            results.Run(path, {}, {}, []).arrays()
    else:
        assert found["status"] == "unreadable" and str(path / name) in found["problem"]
    if name in ("result.json", "metrics.jsonl"):
        with pytest.raises(results.DamagedError, match=f"{path / name} "):
            results.load(path, {})


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("suffix", [".json", ".png", ".md"])
def test_figures_with_endless_files_are_named(suffix, kind, theirs):
    file = theirs / "figures" / f"randomization-quickstart-smoke{suffix}"
    if suffix == ".md":
        file.with_suffix(".png").unlink()
    make_endless(file, kind)
    with pytest.raises(ValueError, match=f"{file} "):
        report.write(theirs)
    assert not (theirs / "report").exists()


@pytest.mark.parametrize("kind", WAITED_FOR)
@pytest.mark.parametrize(
    "name",
    [
        *(*RUN, "lock", "checksums.txt", "metrics.jsonl.partial", "checkpoints/ckpt-1.index"),
        *("checkpoints/checkpoint", "checkpoints/epoch_1/node_0.npz.partial"),
    ],
)
def test_no_run_waits_for_what_it_would_write_to(name, kind, tmp_path):
    settings = {"stage": "train", "seed": 0}
    training_runs.RunDirectory(tmp_path / "run", settings).close()
    make_endless(tmp_path / "run" / name, kind)
    with pytest.raises(training_runs.RunDirectoryError, match=f"run/{name} is a pipe, a socket"):
        training_runs.RunDirectory(tmp_path / "run", settings)
    with pytest.raises(SystemExit, match=f"error: .*run/{name} is a pipe, a socket"):
        measure.main([str(tmp_path / "run")])


def test_nor_writes_through_a_link_in_a_folder_of_checkpoints(outside, tmp_path):
    link = tmp_path / "run" / "checkpoints" / "epoch_1" / "node_0.npz.partial"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "mine")
    with pytest.raises(training_runs.RunDirectoryError, match=f"{link} is a symbolic link"):
        training_runs.RunDirectory(tmp_path / "run", {"seed": 0})


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_one_run_takes_from_another_is_no_endless_file(kind, theirs):
    """Its result, its weights, its checkpoint: index, data, and TensorFlow's list of them."""
    path = epath.Path(theirs / "randomization" / "run")
    folder = path / "checkpoints"
    make_endless(folder / "epoch_1.npz", kind)
    with pytest.raises(ValueError, match=r"epoch_1\.npz is damaged"):
        kept.load_point(folder / "epoch_1.npz")
    make_endless(folder / "final.index", kind)
    with pytest.raises(ValueError, match=r"final\.index (is a pipe|has 1,099,511,627,776 bytes)"):
        checkpoints.check(folder / "final")
    if kind != "giant":  # of which TensorFlow reads no more than the weights
        (folder / "final.index").unlink()
        (folder / "final.index").write_bytes(b"")
        make_endless(folder / "final.data-00000-of-00001", kind)
        with pytest.raises(ValueError, match=r"final\.data-00000-of-00001 is a pipe"):
            checkpoints.check(folder / "final")
    make_endless(folder / "checkpoint", kind)
    with pytest.raises(ValueError, match=r"checkpoints/checkpoint (is a pipe|has 1,099,511,627,7)"):
        checkpoints.Checkpoints(folder, keras.Sequential([keras.layers.Dense(1)]))
    make_endless(path / "result.json", kind)
    with pytest.raises(training_runs.RunDirectoryError, match=r"result\.json is damaged"):
        starts.read(path)
    make_endless(path / "flags.cfg", kind)
    with pytest.raises(ValueError, match=r"flags\.cfg is damaged"):
        read_flag_file(path / "flags.cfg")


@pytest.mark.parametrize("kind", ENDLESS)
def test_single_files_without_an_end_are_named(kind, tmp_path):
    for name in ("tuned.json", "certificates.json", "zoo/figure.toml", "log.txt"):
        make_endless(tmp_path / name, kind)
    with pytest.raises(ValueError, match=r"tuned\.json"):
        tuning.read(tmp_path / "tuned.json")
    with pytest.raises(ValueError, match=r"certificates\.json"):
        verify.verify(tmp_path / "certificates.json")
    with pytest.raises(ValueError, match=r"figure\.toml is no TOML"):
        plans.load_config("zoo/figure", tmp_path)
    if kind == "giant":  # only its end is read
        assert set(process.last_words(tmp_path / "log.txt")) == {"\0"}
    else:
        with pytest.raises(ValueError, match=r"log\.txt is a pipe"):
            process.run([sys.executable, "-c", "print('said')"], tmp_path, 1)


def test_what_is_no_file_is_told_from_what_is_missing(tmp_path):
    (tmp_path / "file").write_bytes(b"text")
    assert files.read(tmp_path / "file", most=4) == b"text"
    with pytest.raises(ValueError, match="file has 4 bytes, as no such file has"):
        files.read(tmp_path / "file", most=3)
    with pytest.raises(ValueError, match="is a folder, and no file"):
        files.read(tmp_path)
    with pytest.raises(ValueError, match="null is a pipe, a socket or a device"):
        files.read(Path(os.devnull))
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "missing")
    files.check(tmp_path / "missing")
    files.check(epath.Path("gs://bucket/file"))


# --- datasets -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "{", '{"name": 3}', "[" * 5000, "!!python/object:os.x"])
def test_a_prepared_dataset_of_somebody_else_runs_no_code(content, tmp_path, monkeypatch):
    """Its features.json may name any class; the suite's own builder is what reads it."""
    (tmp_path / "evil_module.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "data" / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    evil = {"pythonClassName": "evil_module.Features", "featuresDict": {"features": {}}}
    (folder / "features.json").write_text(json.dumps(evil))
    (folder / "dataset_info.json").write_text(content)
    with pytest.raises((ValueError, datasets.MissingDataError)) as caught:
        datasets.load("cifar10", str(tmp_path / "data"), download=False)
    assert "cifar10" in str(caught.value) and "\n" not in str(caught.value)
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("name", ["cifar10", "imagenet2012"])
def test_a_prepared_dataset_with_an_endless_file_is_named(name, kind, tmp_path):
    from repro.data import imagenet

    file = tmp_path / name / "3.0.2" / "dataset_info.json"
    make_endless(file, kind)
    with pytest.raises(ValueError, match=f"{file} "):
        if name == "cifar10":
            datasets.load(name, str(tmp_path), download=False)
        else:
            imagenet.open_builder(str(tmp_path))
