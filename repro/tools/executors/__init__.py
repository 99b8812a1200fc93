"""Where runs are made: on this machine, on a Ray cluster, by Slurm.

An executor is a context manager with three members, and `repro.tools.execute` is its one user:

    slots: int | None                   so many runs at a time; None: it keeps a queue of its own
    start(runs) -> None                 take these runs, all that they need being complete
    ended(seconds) -> [(run, outcome)]  those that ended since, waiting so long for the first one

An outcome is the exit status of the run's process, or an exception that says why there is none.
"""
