"""What a process asks of the operating system: to end with its parent, to open many files, and
whether a port is free.
"""

import ctypes
import os
import resource
import signal
import socket
import sys

# linux/prctl.h
PR_SET_PDEATHSIG = 1
# What a process has open besides: libraries, connections, logs.
OPEN_ANYWAY = 256


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends; exit at once if it already has.

    On systems other than Linux there is no such thing, and a killed parent may leave children.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def allow_open_files(count: int) -> None:
    """Have the system let this process open so many files more, as far as its hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + OPEN_ANYWAY
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def is_free(port: int) -> bool:
    """Whether nobody listens on this port, on any of the machine's addresses."""
    with socket.socket() as probe:
        # Connections that have ended do not hold it up.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
