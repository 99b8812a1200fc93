"""Reruns of five works on minima, memorisation and generalisation of neural networks."""

import sys

INTERRUPTED = "interrupted; the same command does what is left"


def _in_one_line(kind, error, trace) -> None:
    """Say what ended this process: a Ctrl+C while a command still imports, without a traceback."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[:1] == ["-m"]:  # what Python says there until it has found a command's module
    sys.excepthook = _in_one_line
