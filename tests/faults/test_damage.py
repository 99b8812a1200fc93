"""Files of runs that are damaged, or another run's, another tool's, a folder, a link, a pipe.

Each is refused, or fallen back from, in one line that names it; whoever reads a directory of
somebody else survives it, and what a run goes on to make has the bits of a run that met no damage.
"""

import json
import os
import shutil
import time

import numpy as np
import pytest
from runs_made import RUNS, slow

OTHER = {name: ("--seed=1",) for name in ("checkpoints", "snapshots", "randomization", "students")}


@pytest.fixture(scope="module")
def made(command, tmp_path_factory):
    """Return the directory of a run: whole, half done (killed), or of another seed."""
    folder, known = tmp_path_factory.mktemp("made"), {}

    def make(name, state):
        if (name, state) not in known:
            paper = folder_of(name)
            path = folder / name.replace(" ", "_") / state / paper / "run"
            more = OTHER[name] if state == "other" else ()
            if state == "other":
                make(name, "whole")
                time.sleep(1.1)  # environment.json has whole seconds: that of two runs differs
            flags = (*RUNS[name], *more, f"--run_dir={path}")
            if state == "half":
                for at in range(40, 400, 20):  # until two states are saved
                    faults = [("kill_at", at)]
                    if command(*flags, below=path, faults=faults).status == 0:
                        pytest.fail("it was not killed half way")
                    if len(saved(path)) >= 2:
                        break
            else:
                assert command(*flags, below=path).status == 0
            known[name, state] = path
        return known[name, state]

    return make


def folder_of(name):
    """The paper that a run's directory belongs to."""
    return "teacher_student" if RUNS[name][0] == "walk" else RUNS[name][0]


def saved(path):
    """The saved states of a run, the newest last."""
    folder = path / "checkpoints"
    found = [*folder.glob("ckpt-*.index"), *folder.glob("state-*.npz")]
    return sorted(found, key=lambda file: int(file.stem.split("-")[1]))


@pytest.fixture
def copied(made, tmp_path):
    """Return a copy of a run's directory, in a folder named like its paper."""

    def copy(name, state):
        path = tmp_path / folder_of(name) / "run"
        shutil.copytree(made(name, state), path, symlinks=True)
        return path

    return copy


# --- damages --------------------------------------------------------------------------------------


def truncated(file, other):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file, other):
    file.write_bytes(b"")


def flipped(file, other):
    """One bit of a digit, if there is one: what stays a number, and well-formed."""
    content = bytearray(file.read_bytes())
    places = [i for i, byte in enumerate(content) if chr(byte).isdigit()]
    content[places[len(places) // 2] if places else len(content) // 2] ^= 1
    file.write_bytes(content)


def flipped_in_weights(file, other):
    """One bit in the last quarter of a checkpoint's data, whose first half are momenta."""
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    file.write_bytes(content)


def of_another_run(file, other):
    shutil.copyfile(other, file)


def of_another_tool(file, other):
    content = {".json": b'{"loss": 1}\n', ".jsonl": b'{"loss": 1}\n', ".cfg": b"[section]\na = 1\n"}
    file.write_bytes(content.get(file.suffix, b"PK\3\4 no archive of ours"))


def nested(file, other):
    file.write_bytes(b"[" * 100_000)


def a_folder(file, other):
    file.unlink()
    file.mkdir()


def a_link(file, other):
    file.unlink()
    file.symlink_to(other)


def a_pipe(file, other):
    file.unlink()
    os.mkfifo(file)


def giant(file, other):
    """It says that it has a tebibyte, of which nothing takes any place on the disk."""
    os.truncate(file, 2**40)


DATA = ".data-00000-of-00001"
DAMAGES = (
    *(truncated, emptied, flipped, of_another_run, of_another_tool, nested),
    *(a_folder, a_link, a_pipe, giant),
)
SUBTLE = (flipped, of_another_run, a_link)
WHOLE = ("result.json", "flags.cfg")  # what a complete run's command looks at
HALF = ("metrics.jsonl", "flags.cfg", "environment.json", "newest", "data", "initial", "checkpoint")
SUMS = ("checksums.txt", "checkpoints/checksums.txt")


def target(path, file):
    if file == "newest":
        return saved(path)[-1]
    if file == "data":  # of the newest: its weights, of which its index has sums
        return saved(path)[-1].with_suffix(DATA)
    if file == "initial":
        (found,) = (f for f in (path / "checkpoints").glob("initial.*") if "data" not in f.name)
        return found
    return path / "checkpoints" / file if file == "checkpoint" else path / file


def cases(files):
    """Every file with every damage; those that are the hardest to tell always, others slow."""
    for name in OTHER:
        for file in files:
            for damage in DAMAGES:
                if file in ("checkpoint", "data") and name in ("students", "snapshots"):
                    continue
                quick = name == "snapshots" or (
                    name == "checkpoints" and file in ("newest", "data")
                )
                marks = [] if quick and damage in SUBTLE else pytest.mark.slow
                label = f"{name}-{file}-{damage.__name__}"
                yield pytest.param(name, file, damage, marks=marks, id=label)


@pytest.mark.parametrize(("name", "file", "damage"), cases(WHOLE))
def test_a_complete_run(name, file, damage, command, made, copied):
    path = copied(name, "whole")
    damage(path / file, made(name, "other") / file)
    ended = command(*RUNS[name], f"--run_dir={path}", below=path)
    assert ended.status == 1
    assert str(path if file == "flags.cfg" else path / file) in ended.error


@pytest.mark.parametrize(("name", "file", "damage"), cases([*HALF, *SUMS]))
def test_a_run_that_goes_on(name, file, damage, command, made, copied, assert_same):
    """It is refused, naming the file, or ends as if nothing had been."""
    path, other = copied(name, "half"), made(name, "other")
    at = target(path, file)
    theirs = target(other, file)
    damage(at, theirs)
    ended = command(*RUNS[name], f"--run_dir={path}", below=path)
    assert "Traceback" not in ended.said, ended.said
    if ended.status:
        assert str(path) in ended.error and not (path / "result.json").exists()
        assert ended.error.count("\n") == 0
        return
    assert_same(made(name, "whole"), path, but="initial" if file == "initial" else None)
    if file == "newest" or (file == "data" and damage is not giant):  # what is behind is not read
        assert at.name.split(".")[0] in ended.said and "unreadable" in ended.said


@pytest.mark.parametrize("damage", [slow(d, d not in (*SUBTLE, emptied)) for d in DAMAGES])
def test_a_complete_run_whose_sums_are_damaged(damage, command, made, copied):
    """Its result is refused, or is the one that was written, of which the sum was not hit."""
    path = copied("snapshots", "whole")
    result = (path / "result.json").read_bytes()
    damage(path / "checksums.txt", made("snapshots", "other") / "checksums.txt")
    ended = command(*RUNS["snapshots"], f"--run_dir={path}", below=path)
    assert (path / "result.json").read_bytes() == result
    if damage is flipped and not ended.status:
        assert "complete already" in ended.said
    else:
        assert str(path) in ended.error


# --- readers --------------------------------------------------------------------------------------

FILES = ("result.json", "metrics.jsonl", "flags.cfg", "environment.json", "arrays.npz")
FILES += ("checksums.txt",)


@pytest.mark.parametrize("damage", [slow(d, d not in SUBTLE) for d in DAMAGES])
def test_readers_of_somebody_elses_runs(damage, command, made, copied, tmp_path):
    """tools/runs and tools/report name each damaged file, and show all other runs."""
    source = copied("snapshots", "whole")
    for file in FILES:
        path = source.parent / f"damaged-{file}"
        shutil.copytree(source, path)
        damage(path / file, made("snapshots", "other") / file)
    listed = command("tools.runs", f"--output_dir={tmp_path}", below=tmp_path)
    assert listed.status == 0 and "Traceback" not in listed.said, listed.said
    lines = {line.split()[0].split("/")[-1]: line for line in listed.said.splitlines()}
    assert "complete" in lines["run"]
    for file in FILES:
        path = source.parent / f"damaged-{file}"
        assert "unreadable" in lines[path.name], (file, lines[path.name])
        assert file in lines[path.name] or file in ("flags.cfg", "checksums.txt")
    reported = command("tools.report", f"--output_dir={tmp_path}", below=tmp_path)
    assert "Traceback" not in reported.said, reported.said


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("name", "file"),
    [
        *(("students", f) for f in ("flags.cfg", "environment.json", "arrays.npz", "result.json")),
        *(("randomization", f"checkpoints/final{end}") for end in (".index", DATA)),
    ],
)
def test_measuring_somebody_elses_run(name, file, damage, command, made, copied):
    path = copied(name, "whole")
    if damage is flipped and file.endswith(DATA):  # momenta are not read
        damage = flipped_in_weights
    damage(path / file, made(name, "other") / file)
    ended = command("tools.measure", path, "--examples=20", "--eigenvalues=1", below=path)
    assert "Traceback" not in ended.said, ended.said
    if ended.status == 0:
        behind = damage is giant and file.endswith(DATA)  # what is behind weights is not read
        assert damage is a_link or file == "environment.json" or behind
    else:
        assert str(path) in ended.error


# --- arrays ---------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path):
    """Return an .npz file whose one array's header says so: hostile(shape, dtype)."""
    import io
    import zipfile

    def make(shape, descr="<f8", content=b"\0" * 80):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"shape": shape, "fortran_order": False, "descr": descr}
        )
        file = tmp_path / "arrays.npz"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("theta.npy", header.getvalue() + content)
        return file

    return make


@pytest.mark.parametrize(
    ("shape", "descr"),
    [
        *(((10**12, 10**6), "<f8"), ((2**62,), "<f8"), ((2**30,), "<f8"), ((-1,), "<f8")),
        *(((3,), "|O"), ((2**62,), "<U0")),
    ],
)
def test_giant_shapes_and_objects_are_refused(hostile, shape, descr):
    from etils import epath

    from repro.reporting import results
    from repro.training import snapshots

    file = hostile(shape, descr)
    with pytest.raises(ValueError, match=r"arrays\.npz is damaged"):
        snapshots.read_arrays(epath.Path(file))
    with pytest.raises(results.DamagedError, match=r"arrays\.npz cannot be read"):
        results.Run(file.parent, {}, {}, []).arrays()


# --- files of sweeps ------------------------------------------------------------------------------

SWEEP = {
    "values": {"batch_size": 64},
    "applies_to": {"dataset": "digits"},
    "says": "the batch",
    "judged_by": "accuracy",
    "trials": [
        {"values": {"batch_size": 128}, "epochs": 3, "objective": 0.5},
        {"values": {"batch_size": 64}, "epochs": 3, "objective": 0.75},
    ],
}


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d not in (a_link, flipped)])
def test_a_damaged_tuned_json_is_named(damage, tmp_path):
    from repro import tuning

    file, other = tmp_path / "tuned.json", tmp_path / "other.json"
    file.write_text(json.dumps({"mlp_1x512": SWEEP}))
    other.write_text(json.dumps({"mlp_1x512": {**SWEEP, "applies_to": {"dataset": "cifar10"}}}))
    asked = {"model": "mlp_1x512", "dataset": "digits"}
    assert tuning.values(file, asked) == {"batch_size": 64}
    damage(file, other)
    if damage is of_another_run:  # it says nothing of such runs
        assert tuning.values(file, asked) == {}
        return
    with pytest.raises(ValueError, match=str(file)):
        tuning.values(file, asked)


def test_tuned_values_that_no_trial_had_are_named(tmp_path):
    """As after a flipped bit: 64 has become 65."""
    from repro import tuning

    file = tmp_path / "tuned.json"
    file.write_text(json.dumps({"mlp_1x512": {**SWEEP, "values": {"batch_size": 65}}}))
    with pytest.raises(ValueError, match=r"tuned.json is damaged.* not its best trial's"):
        tuning.values(file, {"model": "mlp_1x512", "dataset": "digits"})


@pytest.mark.parametrize(
    "text", ["[]", "3", '{"mlp": 3}', '{"mlp": {"values": [1]}}', '{"mlp": {"trials": 3}}']
)
def test_a_tuned_json_of_another_shape_is_named(text, tmp_path):
    from repro import tuning

    (tmp_path / "tuned.json").write_text(text)
    with pytest.raises(ValueError, match=r"tuned\.json"):
        tuning.values(tmp_path / "tuned.json", {"model": "mlp"})


@pytest.mark.parametrize("damage", [flipped, of_another_run])
def test_certificates_of_another_run_are_named(damage, tmp_path):
    """Those of another run may hold: what tells is the sum that this one wrote."""
    from repro.teacher_student import verify
    from repro.training import runs

    file, other = tmp_path / "run" / "certificates.json", tmp_path / "other.json"
    directory = runs.RunDirectory(file.parent, {"seed": 0})
    directory.write(file.name, json.dumps({"student 0": {"kind": "minimum", "n": 1}}).encode())
    directory.close()
    other.write_text(json.dumps({"student 1": {"kind": "minimum", "teacher": "ones"}}))
    damage(file, other)
    with pytest.raises(ValueError, match=r"certificates\.json is damaged, or of another run"):
        verify.verify(file)


@pytest.mark.parametrize(
    "damage", [truncated, emptied, of_another_tool, nested, a_folder, a_pipe, giant]
)
def test_damaged_certificates_are_named(damage, tmp_path):
    from repro.teacher_student import verify

    file = tmp_path / "certificates.json"
    file.write_text(json.dumps({"student 0": {"kind": "minimum", "teacher": "ones"}}))
    damage(file, None)
    with pytest.raises(ValueError, match=r"certificates\.json"):
        verify.verify(file)
