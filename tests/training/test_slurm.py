"""TF_CONFIG from what srun sets, against clusters written out by hand."""

import json
import os

import pytest
import tensorflow as tf

from repro.training.slurm import tf_config


def environ(nodes, tasks, rank, node, job=100, step=0):
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_ID": str(step),
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": tasks,
        "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(node),
    }


@pytest.mark.parametrize(
    ("nodes", "tasks", "rank", "node", "workers"),
    [
        ("n[9-10]", "1(x2)", 1, 1, ["n9:21600", "n10:21600"]),  # in Slurm's order, not by name
        ("a,b", "2,1", 2, 1, ["a:21600", "a:21601", "b:21600"]),
        ("gpu07", "1", 0, 0, ["gpu07:21600"]),
        ("rack[01,03-04]", "1(x3)", 0, 0, ["rack01:21600", "rack03:21600", "rack04:21600"]),
    ],
)
def test_workers_are_the_tasks_in_the_order_of_their_ranks(nodes, tasks, rank, node, workers):
    said = tf_config(environ(nodes, tasks, rank, node))
    assert json.loads(said) == {
        "cluster": {"worker": workers},
        "task": {"type": "worker", "index": rank},
    }


def test_tensorflow_reads_it(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(environ("n[1-2]", "1(x2)", 1, 1)))
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    assert resolver.cluster_spec().as_dict() == {"worker": ["n1:21600", "n2:21600"]}
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)


def test_jobs_and_steps_have_ports_of_their_own():
    """Those of 16 tasks; and never one that the system gives to others (32768 and above)."""
    said = [
        tf_config(environ("n1", "1", 0, 0, job, step)) for job, step in ((7, 0), (7, 1), (8, 1))
    ]
    ports = [int(json.loads(one)["cluster"]["worker"][0].split(":")[1]) for one in said]
    assert [port - ports[0] for port in ports] == [0, 16, 32]
    last = json.loads(tf_config(environ("n1", "16", 15, 0, job=749)))["cluster"]["worker"][-1]
    assert int(last.split(":")[1]) == 31999


def test_outside_of_srun_there_is_none():
    assert tf_config({}) is None
    assert tf_config({"SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n1"}) is None  # sbatch's script


@pytest.mark.parametrize(("tasks", "rank", "node"), [("2(x2)", 1, 1), ("17", 0, 0)])
def test_other_orders_and_too_many_tasks_are_refused(tasks, rank, node):
    with pytest.raises(RuntimeError, match=r"srun --distribution=block.* or set TF_CONFIG"):
        tf_config(environ("n[1-2]", tasks, rank, node))


@pytest.mark.parametrize("said", [None, '{"cluster": {"worker": ["mine:1"]}}'])
def test_the_strategy_reads_it_unless_tf_config_says_otherwise(monkeypatch, said):
    from repro.training import strategy

    for name, value in environ("n[1-2]", "1(x2)", 0, 0).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TF_CONFIG", said or "")
    if said is None:
        monkeypatch.delenv("TF_CONFIG")
    seen = []
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", lambda: seen.append(os.environ["TF_CONFIG"])
    )
    strategy.get_strategy.__wrapped__("multi_worker")
    workers = json.loads(seen[0])["cluster"]["worker"]
    assert workers == (["n1:21600", "n2:21600"] if said is None else ["mine:1"])
