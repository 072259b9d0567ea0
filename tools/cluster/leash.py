"""Become another program, one that is killed with its parent: `leash.py PARENT_PID PROGRAM ARGUMENT…`.

A test that is killed runs no `finally`, and a server must not outlive it. Where the system has no such
signal (outside Linux) the program is just started.
"""

import ctypes
import os
import signal
import sys

SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h

if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended first")  # before it was agreed that this tells us
    os.execv(program[0], program)
