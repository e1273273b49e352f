"""A server on another computer, or one on this computer that the user started."""

import threading
from collections.abc import Callable

from ..client import Client, Pins


class RemoteServer:
    """A ServerSource. Whether going online is allowed is for the caller to check, see `client.is_loopback`."""

    def __init__(self, url: str, token: str, pins: Pins | None = None) -> None:
        self.url = url
        self._token = token
        self._pins = pins

    def connect(self, say: Callable[[str], None], stop: threading.Event) -> Client:
        """Raises ClientError if nobody, or somebody else, answers there."""
        say(f"Connecting to {self.url}")
        client = Client(self.url, self._token, pins=self._pins)
        client.server()
        return client

    def attach(self) -> Client | None:
        return Client(self.url, self._token, timeout=5.0, pins=self._pins)
