"""SIGINT (Ctrl+C), SIGTERM and SIGHUP (the terminal is gone), which all ask a process to end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """One of the signals came; the process ends with status 128 and its number."""

    def __init__(self, number: int):
        super().__init__(f"signal {number}")
        self.number = number


def interrupt(number: int, frame) -> None:
    """Raise Interrupted: a handler of signals."""
    raise Interrupted(number)


@contextlib.contextmanager
def heard(handler: Callable) -> Iterator[None]:
    """Let a handler hear the signals, and those before it again afterwards.

    One that is ignored stays so: `nohup` has SIGHUP ignored, and executors those that a terminal
    sends to their runs too. Python tells signals to the main thread alone; elsewhere nothing is
    done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
