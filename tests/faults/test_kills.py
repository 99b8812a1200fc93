"""Runs and tools killed at any change of a file end as if they had not been, bit for bit.

A command is made whole once; then it is killed in the midst of a write, around a rename or before a
removal, and started again, until it is done. REPRO_FAULTS=many kills a thousand times, which takes
two hours on one core: most often the quick random walk, whose files are those of every run.
"""

import random
import shutil
import signal

import pytest
from runs_made import FEW, MANY, MORE, RUNS, slow

TOOLS = {
    "reproduce": ("tools.reproduce", "stability/toy", "--scale=smoke"),
    "tune": (
        *("tools.tune", "randomization", "--model=mlp_1x512", "--dataset=digits", "--trials=2"),
        *("--epochs=1", "--train_examples=100"),
    ),
}


def kills(name):
    """Return how often a command is killed: 1,003 times over all with REPRO_FAULTS=many."""
    return (375 if name in FEW else 23) if MANY else 1


def kill_until_done(command, arguments, below, draw, changes):
    """Kill a command at random changes of files until it ends by itself; return all its lives."""
    lives = []
    while not lives or lives[-1].status:
        faults = [("kill_at", draw.randint(1, changes))]
        lives.append(command(*arguments, below=below, faults=faults))
        of_a_run = "ended by signal 9" in lives[-1].said or "ended by SIGKILL" in lives[-1].said
        assert of_a_run or lives[-1].status in (0, -signal.SIGKILL), lives[-1].said
    return lives


def check(command, folder, arguments, place, equal, times, beside=0):
    """Kill a command so many times; `equal` compares what becomes of it with the whole one.

    `beside` is how many changes of files there may be in the processes that it starts.
    """
    whole, draw, lives, runs = folder / "whole", random.Random(0), [], 0
    ended = command(*arguments, *place(whole), below=whole)
    assert ended.status == 0, ended.said
    most = ended.changes + beside
    while len(lives) - runs < times:
        run = folder / f"run{runs}"
        lives += kill_until_done(command, [*arguments, *place(run)], run, draw, most)
        equal(whole, run)
        shutil.rmtree(run)
        runs += 1
        slowest = max(life.seconds for life in lives)
        counts = f"{len(lives) - runs} kills, {runs} runs, 0 lost, {slowest:.1f} s at most"
        print(f"{' '.join(arguments[:2])}: {counts}", flush=True)


@pytest.mark.parametrize("name", [*FEW, *map(slow, MORE)])
def test_a_run_killed_anywhere(name, command, tmp_path, assert_same):
    def place(run):
        return [f"--run_dir={run}"]

    check(command, tmp_path, RUNS[name], place, assert_same, kills(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_killed_anywhere(name, command, tmp_path, assert_same):
    def place(folder):
        tuned = [f"--tuned_file={folder / 'tuned.json'}"] if name == "tune" else []
        return ["--download=false", f"--output_dir={folder}", *tuned]

    def equal(whole, folder):
        for result in whole.glob("*/*/result.json"):
            assert_same(result.parent, folder / result.parent.relative_to(whole))
        drawn = [*whole.glob("figures/*"), *whole.glob("tuned.json")]
        assert drawn
        for file in drawn:
            assert file.read_bytes() == (folder / file.relative_to(whole)).read_bytes(), file

    check(command, tmp_path, TOOLS[name], place, equal, kills(name), beside=150)
