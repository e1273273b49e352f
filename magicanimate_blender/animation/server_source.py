"""What a job needs to know of where servers come from."""

import threading
from collections.abc import Callable
from typing import Protocol

from ..client import Client


class ServerSource(Protocol):
    """Where the server comes from: started on this computer, attached to, or far away."""

    def connect(self, say: Callable[[str], None], stop: threading.Event) -> Client:
        """A client of a running server. May take long: says what it does by `say(sentence)`, ends when `stop` is set.

        Called again whenever the server was lost. Raises ServerUnreachable if trying again may help, else another
        ClientError.
        """
        ...
