"""Disks that are full, read-only or broken, file systems without flock, clocks, second writers.

Each ends in one line with a nonzero exit status, and nothing is marked complete; once the cause is
gone, the same command ends as a run that met none, bit for bit but for times.
"""

import errno
import shutil
from pathlib import Path

import filelock
import pytest
from runs_made import FEW, RUNS, slow

ALWAYS = 10**9
SHARES = (0.15, 0.5, 0.85)  # of a run's changes of files, after which the disk is full


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """Return the directory of a run that met no accident, and how many changes of files it made."""
    made = {}

    def make(name):
        if name not in made:
            path = tmp_path_factory.mktemp("whole") / "run"
            counted = [("fail_at", ALWAYS, 1, "ENOSPC")]
            ended = command(*RUNS[name], f"--run_dir={path}", below=path, faults=counted)
            assert ended.status == 0, ended.said
            made[name] = path, ended.changes
        return made[name]

    return make


@pytest.fixture
def run(command, tmp_path):
    """Make a run in tmp_path / "run": run(name, *faults) -> Ended."""

    def make(name, *faults, path=tmp_path / "run"):
        return command(*RUNS[name], f"--run_dir={path}", below=path, faults=faults)

    return make


def cases(few, more):
    """Every run with every value of `few`; those beyond the cheapest, and `more`, are slow."""
    return [
        pytest.param(name, value, marks=[] if name in FEW and value in few else pytest.mark.slow)
        for name in RUNS
        for value in (*few, *more)
    ]


# --- disks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "share"), cases(SHARES[1:2], SHARES[::2]))
def test_a_disk_that_is_full(name, share, run, whole, tmp_path, assert_same):
    path, changes = whole(name)
    ended = run(name, ("fail_at", int(share * changes) or 1, ALWAYS, "ENOSPC"))
    assert "the disk is full; free some space" in ended.error and ended.status == 1
    assert not (tmp_path / "run" / "result.json").exists()
    assert run(name).status == 0
    assert_same(path, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_disk_that_is_full_at_every_write(name, run, whole, tmp_path, assert_same):
    """The disk fills up a little later each time, and the run goes on from where it was."""
    path, changes = whole(name)
    for at in range(1, changes + 1):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        ended = run(name, ("fail_at", at, ALWAYS, "ENOSPC"))
        if ended.status:
            assert "the disk is full" in ended.error, at
            assert not (tmp_path / "run" / "result.json").exists()
            ended = run(name)
        assert ended.status == 0, (at, ended.said)
        assert_same(path, tmp_path / "run")


SAID = {"EROFS": "read-only file system", "EACCES": "permission denied", "EIO": "input/output"}


@pytest.mark.parametrize("error", ["EROFS", *map(slow, ("EACCES", "EIO", "EDQUOT"))])
@pytest.mark.parametrize("name", FEW)
def test_an_output_directory_that_takes_nothing(name, error, run, tmp_path):
    """Neither a new run nor one that is half done."""
    for at in (1, 30):
        ended = run(name, ("fail_at", at, ALWAYS, error))
        assert SAID.get(error, "quota") in ended.error.lower(), ended.said
        assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("name", [slow("checkpoints"), "snapshots"])
def test_a_write_that_fails_once(name, run, whole, tmp_path, assert_same):
    path, changes = whole(name)
    for at in (changes // 3, 2 * changes // 3):
        ended = run(name, ("fail_at", at, 1, "EIO"))
        assert ended.status == 0 or "error: " in ended.error
    assert run(name).status == 0
    assert_same(path, tmp_path / "run")


# --- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["ENOLCK", slow("ENOSYS"), slow("ENOTSUP")])
def test_a_file_system_without_flock(error, run, whole, tmp_path, assert_same):
    """A run is killed, and taken up again, there too."""
    path, changes = whole("snapshots")
    assert run("snapshots", ("no_flock", error), ("kill_at", changes // 2)).status == -9
    assert run("snapshots", ("no_flock", error)).status == 0
    assert_same(path, tmp_path / "run")


def test_a_second_writer_ends_at_once(run, tmp_path):
    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run" / "lock"):
        ended = run("snapshots")
    assert ended.status == 75 and "another process is writing to" in ended.error
    assert run("snapshots").status == 0


def test_a_writer_on_another_host_whose_file_system_has_no_flock(run, tmp_path):
    """Whether a process of another host is alive cannot be told from here; the line says so."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock.soft").write_text("4711\nanother-host\n")
    ended = run("snapshots", ("no_flock", "ENOLCK"))
    assert ended.status == 75
    assert "lock.soft" in ended.error and "another-host" in ended.error
    (tmp_path / "run" / "lock.soft").unlink()
    assert run("snapshots", ("no_flock", "ENOLCK")).status == 0


@pytest.mark.parametrize("faults", [slow([]), [("no_flock", "ENOLCK")]])
def test_several_writers_at_once_make_one_run(commands, whole, tmp_path, assert_same, faults):
    path, _ = whole("snapshots")
    name, *arguments = RUNS["snapshots"]
    asked = {
        "command": name,
        "arguments": [*arguments, f"--run_dir={tmp_path / 'run'}"],
        "below": str(tmp_path),
        "faults": faults,
    }
    ended = commands([asked] * 3)
    assert sorted(one.status for one in ended)[0] == 0
    for one in ended:
        assert one.status == 0 or (one.status == 75 and "another process" in one.error)
    assert_same(path, tmp_path / "run")


# --- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("clocks", [(10**8, 0), slow((0, -(10**8)))])
def test_a_clock_that_is_set_back(name, clocks, run, whole, tmp_path, assert_same):
    """Files of a run that goes on lie in its future."""
    path, changes = whole(name)
    before, after = clocks
    assert run(name, ("set_clock", before), ("kill_at", 2 * changes // 3)).status == -9
    assert run(name, ("set_clock", after)).status == 0
    assert_same(path, tmp_path / "run")


def test_errors_have_names():
    """Or the library would be told of none."""
    assert all(hasattr(errno, name) for name in (*SAID, "EDQUOT", "ENOLCK", "ENOSYS", "ENOTSUP"))


# --- tools ----------------------------------------------------------------------------------------


TOOLS = {
    "tools.report": (),
    "tools.reproduce": ("stability/toy", "--scale=smoke", "--download=false"),
    "tools.tune": ("randomization", "--model=mlp_1x512", "--dataset=digits", "--download=false"),
}
DRAWN = Path(__file__).parents[2] / "outputs" / "reference" / "figures"


@pytest.mark.parametrize("tool", [*map(slow, TOOLS)])
def test_a_tool_whose_disk_is_full(tool, command, tmp_path):
    """It ends in one line, and what was there before is there still, whole."""
    (tmp_path / "figures").mkdir()
    record = next(DRAWN.glob("stability-toy-*.json"))
    shutil.copy(record, tmp_path / "figures")
    faults = [("fail_at", 1, ALWAYS, "ENOSPC")]
    ended = command(tool, *TOOLS[tool], f"--output_dir={tmp_path}", below=tmp_path, faults=faults)
    assert ended.status == 1 and "the disk is full" in ended.said and "error: " in ended.said
    assert "Traceback" not in ended.said, ended.said
    assert (tmp_path / "figures" / record.name).read_bytes() == record.read_bytes()
