"""The last thing that went wrong outside of an operator, for the panel: a timer has nobody to report to."""

from __future__ import annotations

from dataclasses import dataclass

from ..client import ClientError
from ..densepose.errors import DensePoseError


@dataclass(frozen=True)
class Message:
    """text: what is wrong; fix: the way out; code: a stable name on which buttons hang, or ""."""

    text: str
    fix: str
    code: str = ""


_current: Message | None = None


def message_of(error: ClientError | DensePoseError) -> Message:
    if isinstance(error, ClientError):
        return Message(error.detail, error.fix, error.code)
    return Message(error.message, error.fix, error.code)


def tell(what: ClientError | DensePoseError | Message) -> None:
    global _current
    _current = what if isinstance(what, Message) else message_of(what)


def current() -> Message | None:
    return _current


def clear() -> None:
    global _current
    _current = None
