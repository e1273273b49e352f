"""The last thing that went wrong outside of an operator, for the panel: a timer has nobody to report to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..client import ClientError
from ..densepose.errors import DensePoseError


@dataclass(frozen=True)
class Message:
    """text: what is wrong; fix: the way out; code: a stable name on which buttons hang, or ""."""

    text: str
    fix: str
    code: str = ""


log = logging.getLogger(__name__)

_current: Message | None = None
_told: set[str] = set()
"""Mistakes of ours that the artist knows of: they come with every beat."""


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


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """A mistake of ours inside is logged, told once, and what comes after goes on. doing: like "listing results"."""
    try:
        yield
    except Exception as error:
        log.exception("while %s", doing)
        said = f"The add-on made a mistake while {doing}: {error!r}"
        if said not in _told:
            _told.add(said)
            tell(Message(said, "Please report it with what the system console says."))
