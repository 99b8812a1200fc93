"""Become another command that ends when its parent does: bound.py SIGNAL PARENT COMMAND...

Linux sends SIGNAL to the command once the thread that started it is gone, however that ended. What
a terminal sends to all that was started from it, SIGINT and SIGHUP, is for the parent alone, who
ends the command in order. A script of its own, as code between fork and exec can hang in a process
that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    number, parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != int(parent):  # it was gone before
            sys.exit(1)
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # and so it is for the command
    os.execv(command[0], command)
