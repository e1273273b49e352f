"""Server-Sent Events as bytes come in, after https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSentEvent:
    """`id` is the last id seen up to here, what `Last-Event-ID` wants after a reconnect."""

    id: str
    name: str
    data: str


class EventParser:
    """Feed it chunks as they arrive, cut anywhere; it returns the events that became whole."""

    def __init__(self) -> None:
        self.last_id = ""
        self._rest = b""
        self._start = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        text = self._rest + chunk
        if self._start and len(text) >= 3:
            text = text.removeprefix(b"\xef\xbb\xbf")
            self._start = False
        # A CR at the end may be half of a CR LF: it waits for the next chunk.
        held = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + held
        events = []
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        return events

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            name, data = self._name or "message", self._data
            self._name, self._data = "", []
            return ServerSentEvent(self.last_id, name, "\n".join(data)) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self.last_id = value
        return None
