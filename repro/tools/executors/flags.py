"""The flags that say where runs are made, and the executor that they mean."""

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a tool's parser."""
    group = parser.add_argument_group("where runs are made")
    add = group.add_argument
    add(
        "--executor",
        choices=("local", "ray", "slurm"),
        default="local",
        help="this machine, a Ray cluster, or Slurm",
    )
    add(
        "--jobs",
        type=int,
        default=1,
        help="local: runs at a time, on equal shares of the processors",
    )
    add("--cpus_per_run", type=int, default=1, help="ray, slurm: processors that each run gets")
    add("--gpus_per_run", type=int, default=0, help="ray, slurm: GPUs that each run gets")
    add(
        "--address",
        default="auto",
        help="ray: the cluster's head as host:port; auto is the cluster of this machine",
    )
    add("--slurm_partition", help="slurm: where jobs are queued; if not said, Slurm's default")
    add(
        "--slurm_time",
        type=int,
        default=240,
        metavar="MINUTES",
        help="slurm: the time limit of a job; a run that takes longer is queued again and goes on",
    )
    add(
        "--slurm_cluster",
        choices=("slurm", "local"),
        default="slurm",
        help="slurm: local tries the same jobs as processes of this machine, all at once",
    )


def executor(arguments: argparse.Namespace, folder: Path):
    """Return the executor that the flags mean; its engine is imported only here.

    Args:
      arguments: as parsed by a parser with these flags.
      folder: where Slurm's jobs are described, on a file system that all machines share.

    Raises:
      RuntimeError: what it needs is not installed, or there is no such cluster.
    """
    cpus, gpus = arguments.cpus_per_run, arguments.gpus_per_run
    if arguments.executor == "ray":
        from repro.tools.executors.on_ray import OnRay

        return OnRay(arguments.address, cpus, gpus)
    if arguments.executor == "slurm":
        from repro.tools.executors.on_slurm import OnSlurm

        return OnSlurm(
            folder,
            cpus,
            gpus,
            partition=arguments.slurm_partition,
            minutes=arguments.slurm_time,
            cluster=arguments.slurm_cluster,
        )
    from repro.tools.executors.local import Local

    return Local(arguments.jobs)
