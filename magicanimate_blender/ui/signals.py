"""Keep a broken connection from ending Blender.

Python ignores SIGPIPE, so that writing to a socket which the other side has closed is an error like any other. Blender
4 starts its Python without that (seen on 4.3; 5.2 has it): there, such a write would end the whole program.
"""

from __future__ import annotations

import signal
from typing import Any

_before: Any = None


def register() -> None:
    global _before
    if hasattr(signal, "SIGPIPE") and signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL:
        _before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def unregister() -> None:
    global _before
    if _before is not None:
        signal.signal(signal.SIGPIPE, _before)
        _before = None
