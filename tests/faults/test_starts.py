"""Runs that start from another run's directory, named by --start, --from or --to, and damaged.

Whatever was done to its files, with its sums or without them, the run that was to start there ends
in one line that names the directory, and has no result. Stability has no such flag.
"""

import itertools
import shutil

import numpy as np
import pytest
from runs_made import MODES, SMALL

from repro.training import checksums

MADE = {
    "start": ("bad_minima", "--stage=pretrain", *SMALL, "--model=mlp_1x512", "--epochs=1"),
    "end": ("mode_connectivity", "--stage=endpoint", "--mode=G", *MODES),
    "other end": ("mode_connectivity", "--stage=endpoint", "--mode=D", *MODES),
    "last end": ("mode_connectivity", "--stage=endpoint", "--mode=E", *MODES),
}
TRAINED = ("bad_minima", *SMALL, "--model=mlp_1x512", "--epochs=1", "--sharpness_examples=0")
BETWEEN = {
    "curve": ("mode_connectivity", "--stage=curve", *MODES),
    "slice": ("mode_connectivity", "--stage=slice", *MODES, "--points=3"),
}
PLANE = ("mode_connectivity", "--stage=plane", *MODES, "--grid=2")
FINAL, DATA = "checkpoints/final.index", "checkpoints/final.data-00000-of-00001"
POINT = "checkpoints/epoch_200.npz"


@pytest.fixture(scope="module")
def made(command, tmp_path_factory):
    """Return the directory of a whole run by name."""
    folder, known = tmp_path_factory.mktemp("starts"), {}

    def make(name):
        if name not in known:
            path = folder / name.replace(" ", "_")
            assert command(*MADE[name], f"--run_dir={path}", below=path).status == 0
            known[name] = path
        return known[name]

    return make


@pytest.fixture
def copied(made, tmp_path):
    """Return a copy of a whole run's directory."""

    def copy(name):
        return shutil.copytree(made(name), tmp_path / name.replace(" ", "_"))

    return copy


# --- damages --------------------------------------------------------------------------------------


def truncated(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file):
    file.write_bytes(b"")


def flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 4] ^= 1
    file.write_bytes(content)


def missing(file):
    file.unlink()


BYTES = (truncated, emptied, flipped, missing)


def rewritten(change):
    """Return a damage of an .npz file that is whole, but holds other arrays than a run wrote."""

    def damage(file):
        with np.load(file, allow_pickle=False) as arrays:
            changed = change([arrays[f"arr_{place}"] for place in range(len(arrays))])
        np.savez(file, **changed) if isinstance(changed, dict) else np.savez(file, *changed)

    damage.__name__ = change.__name__
    return damage


@rewritten
def of_one_more_axis(arrays):
    """Which NumPy would stretch to the right shape without a word."""
    return [array[None] for array in arrays]


@rewritten
def of_one_entry_each(arrays):
    """Likewise."""
    return [array.ravel()[:1] for array in arrays]


@rewritten
def transposed(arrays):
    return [array.T for array in arrays]


@rewritten
def one_too_few(arrays):
    return arrays[:-1]


@rewritten
def none_at_all(arrays):
    return []


@rewritten
def of_other_names(arrays):
    return {f"weight_{place}": array for place, array in enumerate(arrays)}


@rewritten
def of_whole_numbers(arrays):
    """To which points between would be rounded."""
    return [array.astype(int) for array in arrays]


@rewritten
def of_text(arrays):
    return [array.astype(str) for array in arrays[1:]]


FOREIGN = (of_one_more_axis, of_one_entry_each, transposed, one_too_few, none_at_all)
FOREIGN += (of_other_names, of_whole_numbers, of_text)


def without_sums(path):
    """As a directory from elsewhere may be, or one from before there were any."""
    for file in (path / checksums.NAME, path / "checkpoints" / checksums.NAME):
        file.unlink()


def refused(ended, path, run_dir):
    assert ended.status == 1
    assert str(path) in ended.error
    assert not (run_dir / "result.json").exists()


# --- tests ----------------------------------------------------------------------------------------


def cases(*files):
    """Every file with every damage, with sums and without, where flags.cfg is not looked at."""
    for file, damage, sums in itertools.product(files, BYTES, (True, False)):
        if sums or file != "flags.cfg":
            label = f"{file}-{damage.__name__}{'' if sums else '-without_sums'}"
            yield pytest.param(file, damage, sums, id=label)


@pytest.mark.slow
@pytest.mark.parametrize(("file", "damage", "sums"), cases(FINAL, DATA, "result.json", "flags.cfg"))
def test_a_pretrained_start(file, damage, sums, command, copied, tmp_path):
    start = copied("start")
    damage(start / file)
    if not sums:
        without_sums(start)
    run_dir = tmp_path / "run"
    ended = command(*TRAINED, f"--start={start}", f"--run_dir={run_dir}", below=run_dir)
    refused(ended, start, run_dir)


@pytest.mark.slow
def test_a_start_of_another_shape(command, copied, tmp_path):
    """What its result says fits, but its network is another one."""
    start, other = copied("start"), tmp_path / "other"
    flags = (*MADE["start"], "--model=mlp_3x512", f"--run_dir={other}")
    assert command(*flags, below=other).status == 0
    for file in (FINAL, DATA):
        shutil.copyfile(other / file, start / file)
    for sums in (True, False):
        if not sums:
            without_sums(start)
        run_dir = tmp_path / f"run-{sums}"
        ended = command(*TRAINED, f"--start={start}", f"--run_dir={run_dir}", below=run_dir)
        refused(ended, start, run_dir)


def ends(flag, damaged, other, stage):
    """The flags of a run of a stage between two ends, or around one."""
    if stage == "slice":
        return [f"--from={damaged}"]
    second = "to" if flag == "from" else "from"
    return [f"--{flag}={damaged}", f"--{second}={other}"]


PLACES = [("curve", "from"), ("curve", "to"), ("slice", "from")]


@pytest.mark.slow
@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("damage", [*BYTES, *FOREIGN])
@pytest.mark.parametrize(("stage", "flag"), PLACES)
def test_an_end_of_a_curve(stage, flag, damage, sums, command, made, copied, tmp_path):
    end, other = copied("end"), made("other end")
    damage(end / POINT)
    if not sums:
        without_sums(end)
    run_dir = tmp_path / "run"
    flags = ends(flag, end, other, stage)
    ended = command(*BETWEEN[stage], *flags, f"--run_dir={run_dir}", below=run_dir)
    refused(ended, end, run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("damage", FOREIGN)
def test_a_corner_of_a_plane(damage, command, made, copied, tmp_path):
    corner, run_dir = copied("end"), tmp_path / "run"
    damage(corner / POINT)
    without_sums(corner)
    flags = [f"--from={made('other end')}", f"--to={made('last end')}", f"--third={corner}"]
    ended = command(*PLANE, *flags, f"--run_dir={run_dir}", below=run_dir)
    refused(ended, corner, run_dir)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "damage"), [("result.json", missing), *(("flags.cfg", damage) for damage in BYTES)]
)
def test_what_an_end_says_of_itself(file, damage, command, made, copied, tmp_path):
    end, run_dir = copied("end"), tmp_path / "run"
    damage(end / file)
    flags = ends("from", end, made("other end"), "curve")
    ended = command(*BETWEEN["curve"], *flags, f"--run_dir={run_dir}", below=run_dir)
    refused(ended, end, run_dir)


@pytest.mark.slow
def test_whole_directories_are_started_from(command, made, tmp_path):
    """Or all tests here would pass in vain."""
    ended = command(*TRAINED, f"--start={made('start')}", f"--run_dir={tmp_path}", below=tmp_path)
    assert ended.status == 0, ended.said
    for stage, flag in PLACES:
        run_dir = tmp_path / f"{stage}-{flag}"
        flags = ends(flag, made("end"), made("other end"), stage)
        ended = command(*BETWEEN[stage], *flags, f"--run_dir={run_dir}", below=run_dir)
        assert ended.status == 0, ended.said
    corners = zip(("from", "to", "third"), ("other end", "last end", "end"))
    flags = [f"--{flag}={made(name)}" for flag, name in corners]
    ended = command(*PLANE, *flags, f"--run_dir={tmp_path / 'plane'}", below=tmp_path)
    assert ended.status == 0, ended.said
