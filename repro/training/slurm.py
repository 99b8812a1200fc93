"""Who the workers of a multi-worker training are, from the environment of Slurm's srun."""

import json
from collections.abc import Mapping

# Ports by job and step, so that those which share a node do not meet; 16 tasks a node at most.
FIRST_PORT, PORTS, TASKS = 20000, 12000, 16


def tf_config(environ: Mapping[str, str]) -> str | None:
    """Return what TF_CONFIG must say of the tasks of a job step; None outside of one.

    TensorFlow's own SlurmClusterResolver needs a GPU, sorts hosts by their names, so that n10 comes
    before n9 and ranks are on other hosts than it says, and has one port for all jobs.

    Args:
      environ: the environment of this process, with the variables that srun sets.

    Raises:
      RuntimeError: tasks are not on nodes in the order of their ranks, or there are too many.
    """
    if "SLURM_STEP_NODELIST" not in environ or "SLURM_PROCID" not in environ:
        return None
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
        expand_hostlist,
        expand_tasks_per_node,
    )

    hosts = expand_hostlist(environ["SLURM_STEP_NODELIST"])
    tasks = expand_tasks_per_node(environ["SLURM_STEP_TASKS_PER_NODE"])
    job, step = int(environ["SLURM_JOB_ID"]), int(environ.get("SLURM_STEP_ID", 0))
    port = FIRST_PORT + TASKS * (job + step) % PORTS
    places = [(host, number) for host, count in enumerate(tasks) for number in range(count)]
    rank = int(environ["SLURM_PROCID"])
    if places[rank][0] != int(environ.get("SLURM_NODEID", places[rank][0])) or max(tasks) > TASKS:
        raise RuntimeError(
            "--strategy=multi_worker needs Slurm's tasks in blocks, at most "
            f"{TASKS} a node: start them by `srun --distribution=block`, or set TF_CONFIG"
        )
    workers = [f"{hosts[host]}:{port + number}" for host, number in places]
    task = {"type": "worker", "index": rank}
    return json.dumps({"cluster": {"worker": workers}, "task": task})
