"""Runs as jobs of Slurm, through submitit: an array of all that can start, queued again in time.

This checkout, its environment and the folder of the runs are on a file system that all nodes share.
"""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from repro.tools.executors import process
from repro.tools.plans import Planned

TIMES = 1000  # a job may reach its time limit so often
LOSSES = 3  # a run may lose its job without a word so often


class Job:
    """What a job does: makes a run, and before its time is over saves its state and queues again.

    submitit pickles it, and calls `checkpoint` on the signal that Slurm sends ahead of the limit.
    """

    def __init__(self, command: Sequence[str], folder: Path, cpus: int, gpus: int):
        """Say which run, and what it gets; see process.run."""
        self.arguments = (list(command), str(folder), cpus)
        self.gpus, self.cwd = gpus, os.getcwd()
        self._process = None

    def __call__(self) -> int:
        return process.run(*self.arguments, gpus=self.gpus, cwd=self.cwd, began=self._began)

    def checkpoint(self):
        """Let the run save its state and end, and return what is queued in this job's place."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None and self._process.returncode is None:
            # Not by Popen's methods: the frame that this signal interrupted waits in one of them.
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has just ended
                os.kill(self._process.pid, signal.SIGTERM)
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._process = None
        return DelayedSubmission(self)

    def _began(self, started) -> None:
        self._process = started


class OnSlurm:
    """Hands runs to Slurm, those that can start at once as one array."""

    slots = None

    def __init__(
        self,
        folder: str | os.PathLike,
        cpus: int = 1,
        gpus: int = 0,
        *,
        partition: str | None = None,
        minutes: int = 240,
        cluster: str = "slurm",
    ):
        """Prepare to submit.

        Args:
          folder: for what submitit writes about its jobs.
          cpus, gpus: what each run gets.
          partition: where jobs are queued; None: Slurm's default.
          minutes: the time limit of a job; a run that takes longer is queued again.
          cluster: `slurm`, or `local` for processes of this machine that behave like its jobs.

        Raises:
          RuntimeError: submitit is not installed, or there is no Slurm.
        """
        try:
            import submitit
        except ImportError as error:
            raise RuntimeError("--executor=slurm needs submitit: pip install .[slurm]") from error
        try:
            executor = submitit.AutoExecutor(
                folder, cluster, **{f"{cluster}_max_num_timeout": TIMES}
            )
        except RuntimeError as error:
            raise RuntimeError("--executor=slurm finds no Slurm: srun is not here") from error
        executor.update_parameters(name="repro", timeout_min=minutes, cpus_per_task=cpus)
        executor.update_parameters(slurm_srun_args=[f"--cpus-per-task={cpus}"])  # not inherited
        if gpus:
            executor.update_parameters(gpus_per_node=gpus)
        if partition is not None:
            executor.update_parameters(slurm_partition=partition)
        self._errors, self._executor = submitit.core.utils, executor
        self._cpus, self._gpus = cpus, gpus
        self._at_work: list = []
        self._lost: Counter = Counter()

    def __enter__(self) -> "OnSlurm":
        return self

    def __exit__(self, *error) -> None:
        """Leave jobs that are queued or running alone, and say which they are."""
        if self._at_work:
            ids = " ".join(job.job_id for job, _ in self._at_work)
            print(f"jobs go on, and the same command waits for them; `scancel {ids}` ends them")

    def start(self, runs: Sequence[Planned]) -> None:
        """Submit runs, as one array."""
        with self._executor.batch():
            jobs = [
                self._executor.submit(Job(run.command, run.path, self._cpus, self._gpus))
                for run in runs
            ]
        self._at_work += zip(jobs, runs)

    def ended(self, seconds: float) -> list[tuple[Planned, int | Exception]]:
        """Return the runs whose jobs ended, with their exit statuses."""
        done = [(job, run) for job, run in self._at_work if job.done()]
        if not done:
            time.sleep(seconds)
        self._at_work = [pair for pair in self._at_work if pair not in done]
        return [(run, self._outcome(job, run)) for job, run in done]

    def _outcome(self, job, run: Planned) -> int | Exception:
        try:
            return job.result()
        except self._errors.FailedJobError:
            return RuntimeError(f"its job failed, see {job.paths.stderr}")
        except self._errors.UncompletedJobError:
            self._lost[run.path] += 1
            if self._lost[run.path] < LOSSES:
                return process.HELD
            return RuntimeError(f"it lost its job {LOSSES} times, see {job.paths.stderr}")
