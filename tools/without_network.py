"""`python3 tools/without_network.py COMMAND ...`: run it where nothing but this machine's own loopback can be reached.

A network namespace of its own; Linux, as root. Standard library, Python 3.9 and newer.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000  # linux/sched.h
SIOCSIFFLAGS = 0x8914  # linux/sockios.h
IFF_UP = 0x1  # linux/if.h


def leave() -> None:
    """Take this process, and all that it starts, off the network. Raises OSError where that is not allowed."""
    import fcntl

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def main(command: list[str]) -> None:
    try:
        if sys.platform != "linux":
            raise OSError("that takes Linux")
        leave()
    except OSError as problem:
        sys.exit(f"error: the network can't be cut off: {problem}. Run this as root on Linux, outside of a container.")
    os.execvp(command[0], command)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: without_network.py COMMAND ...")
    main(sys.argv[1:])
