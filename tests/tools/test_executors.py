"""Runs on many machines: on a Ray cluster whose machines die, as jobs that run out of time."""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from repro.tools.execute import execute

ROOT = Path(__file__).parents[2]


def rows(run) -> int:
    """How many rows a run has logged."""
    file = run.path / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


# --- Ray ------------------------------------------------------------------------------------------

# What tools/reproduce --executor=ray does: whoever hands out the runs needs no TensorFlow.
DRIVER = """
import json, sys
from pathlib import Path
from repro.tools import plans
from repro.tools.execute import execute
from repro.tools.executors.on_ray import OnRay

address, output_dir, runs = sys.argv[1:]
planned = [
    run
    for paper, flags in json.loads(runs)
    for run in plans.plan(paper, [flags], Path(output_dir), {"download": "false"})
]
planned = plans.with_needed(planned, Path(output_dir), {"download": "false"})
failed = execute(planned, OnRay(address, cpus=1), between_tries=2)
print([(one.run.path.name, one.reason) for one in failed], "tensorflow" in sys.modules)
"""


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster on this machine: a head that makes no runs, two nodes that make one each."""
    pytest.importorskip("ray", reason="pip install .[cluster]")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default: slow on a busy machine
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    for _ in range(2):
        cluster.add_node(num_cpus=1, **small)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def drive(cluster, environment):
    """Start a process that has runs made on the cluster: drive(output_dir, runs) -> Popen."""
    started = []

    def start(output_dir, runs):
        arguments = [cluster.address, str(output_dir), json.dumps(runs)]
        command = [sys.executable, "-c", DRIVER, *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


@pytest.fixture
def node_of(cluster, children):
    """Return the node on which a command with this word runs, and its process: node_of(word)."""

    def look(word):
        for node in cluster.worker_nodes:
            for child in children(node.all_processes["raylet"][0].process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if word in child.cmdline():
                        return node, child
        return None

    return look


def said(driver) -> str:
    out, _ = driver.communicate(timeout=400)
    assert driver.returncode == 0
    return out.decode().strip().splitlines()[-1]


@pytest.mark.slow
def test_runs_outlive_the_machine_that_they_are_made_on(
    cluster, drive, node_of, three_runs, wait_for, assert_made_once, tmp_path
):
    """The start is lost with its node, made again on the other, and what needs it waits."""
    driver = drive(tmp_path, three_runs.asked)
    start, _, _ = runs = three_runs(tmp_path)
    wait_for(lambda: rows(start) >= 3)
    node, doomed = node_of("--stage=endpoint")
    cluster.remove_node(node, allow_graceful=False)
    doomed.wait(120)
    assert not start.complete
    assert said(driver) == "[] False"
    assert_made_once(runs, interrupted=start)


@pytest.mark.slow
def test_two_drivers_and_a_machine_that_loses_only_its_raylet(
    cluster, drive, node_of, three_runs, wait_for, assert_made_once, tmp_path
):
    """Both want the same runs, which are made once; a run ends with the raylet it hangs on."""
    drivers = [drive(tmp_path, three_runs.asked) for _ in range(2)]
    start, _, _ = runs = three_runs(tmp_path)
    wait_for(lambda: rows(start) >= 3)
    node, doomed = node_of("--stage=endpoint")
    raylet = node.all_processes["raylet"][0].process
    raylet.kill()
    raylet.wait()  # workers look for their parent, and a zombie is one
    doomed.wait(120)
    assert not start.complete
    assert [said(driver) for driver in drivers] == ["[] False"] * 2
    assert_made_once(runs, interrupted=start)


def test_no_cluster_is_one_line(python, tmp_path):
    """Before anything is made, and how to start one."""
    pytest.importorskip("ray", reason="pip install .[cluster]")
    done = python(
        *("-m", "repro.tools.reproduce", "randomization/quickstart", "--scale=smoke"),
        *("--executor=ray", "--address=127.0.0.1:1", f"--output_dir={tmp_path}"),
    )
    assert done.returncode == 1
    assert done.everything.startswith("error: no Ray cluster at --address=127.0.0.1:1 (")
    assert "start one by `ray start --head`" in done.everything


# --- Slurm ----------------------------------------------------------------------------------------


@pytest.fixture
def on_slurm(monkeypatch):
    pytest.importorskip("submitit", reason="pip install .[slurm]")
    from repro.tools.executors.on_slurm import OnSlurm

    monkeypatch.chdir(ROOT)
    return OnSlurm


@pytest.mark.slow
def test_a_job_that_runs_out_of_time_is_queued_again(
    on_slurm, three_runs, children, wait_for, assert_made_once, tmp_path
):
    """By the signal that Slurm sends ahead of the limit: the run saves, ends, and goes on."""
    alone = three_runs(tmp_path)[-1]
    executor = on_slurm(tmp_path / "slurm", cluster="local")
    failed = []
    thread = threading.Thread(target=lambda: failed.extend(execute([alone], executor)))
    thread.start()
    wait_for(lambda: rows(alone) >= 2)
    (job,) = [p for p in children(os.getpid()) if "submitit.core._submit" in p.cmdline()]
    job.send_signal(signal.SIGUSR2)
    thread.join(400)
    assert failed == [] and alone.complete
    said = "".join(file.read_text() for file in (tmp_path / "slurm").glob("*_log.*"))
    assert said.count("Requeued job") == 1
    assert_made_once([alone], interrupted=alone)


def test_what_slurm_is_asked_for(on_slurm, three_runs, tmp_path, monkeypatch):
    """One array of the runs that can start, with their needs; sbatch is a stand-in here."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sbatch", "srun"):
        text = f"#!/bin/sh\ncp $1 {tmp_path}/submitted.sh\necho Submitted batch job 17\n"
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    start, _, alone = three_runs(tmp_path)
    executor = on_slurm(tmp_path / "slurm", cpus=3, gpus=1, partition="long", minutes=90)
    executor.start([start, alone])
    asked = (tmp_path / "submitted.sh").read_text()
    for line in ("array=0-1%2", "partition=long", "time=90", "gpus-per-node=1", "signal=USR2@90"):
        assert f"#SBATCH --{line}\n" in asked
    assert "#SBATCH --cpus-per-task=3\n" in asked and "--cpus-per-task=3 " in asked  # of srun
    for number, run in enumerate([start, alone]):
        with (tmp_path / "slurm" / f"17_{number}_submitted.pkl").open("rb") as file:
            submission = pickle.load(file)
        command, folder, cpus = submission.function.arguments
        assert (command, folder, cpus) == (run.command, str(run.path), 3)


def test_no_slurm_is_one_line(on_slurm, tmp_path):
    with pytest.raises(RuntimeError, match="--executor=slurm finds no Slurm: srun is not here"):
        on_slurm(tmp_path)
