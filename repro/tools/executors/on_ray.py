"""Runs on a Ray cluster: a task per run, started again elsewhere where its machine is lost.

All machines need this checkout and the folder of the runs at the same paths, on a file system that
they share, and the same Python environment.
"""

import os
import socket
from collections.abc import Sequence

from repro.tools.executors import process
from repro.tools.plans import Planned


class OnRay:
    """Hands runs to a Ray cluster, which starts each where its processors and GPUs are free."""

    slots = None

    def __init__(self, address: str = "auto", cpus: int = 1, gpus: int = 0):
        """Connect to a cluster.

        Args:
          address: of its head, host:port; `auto` is the cluster that this machine belongs to.
          cpus, gpus: what each run gets.

        Raises:
          RuntimeError: Ray is not installed, or there is no cluster.
        """
        try:
            import ray
        except ImportError as error:
            raise RuntimeError("--executor=ray needs Ray: pip install .[cluster]") from error
        try:
            if address != "auto":  # Ray itself would look for minutes
                host, _, port = address.rpartition(":")
                socket.create_connection((host, port), timeout=10).close()
            ray.init(address, log_to_driver=False, logging_level="error")
        except OSError as error:
            raise RuntimeError(
                f"no Ray cluster at --address={address} ({error}): start one by `ray start "
                "--head`, and `ray start --address=HEAD:6379` on its other machines"
            ) from error
        self._ray, self._cpus, self._gpus = ray, cpus, gpus
        # Without end: a lost machine is no fault of the run, which goes on where it was. One that
        # needs more memory than there is comes again and again too, as Ray tells no difference.
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=-1)(process.run)
        self._at_work: dict = {}

    def __enter__(self) -> "OnRay":
        return self

    def __exit__(self, *error) -> None:
        self._ray.shutdown()

    def start(self, runs: Sequence[Planned]) -> None:
        """Queue runs as tasks of the cluster."""
        for run in runs:
            task = self._task.remote(
                run.command, str(run.path), self._cpus, gpus=self._gpus, cwd=os.getcwd()
            )
            self._at_work[task] = run

    def ended(self, seconds: float) -> list[tuple[Planned, int | Exception]]:
        """Return the runs that ended, with their exit statuses."""
        done, _ = self._ray.wait(list(self._at_work), num_returns=1, timeout=seconds)
        return [(self._at_work.pop(task), self._outcome(task)) for task in done]

    def _outcome(self, task) -> int | Exception:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:  # such as a folder that is not there
            return error.cause
        except self._ray.exceptions.RayError as error:
            return error
