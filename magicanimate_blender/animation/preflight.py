"""Whether the server will take a job, found out while its part maps are still drawn."""

import contextlib
import logging
import threading

from ..client import ClientError
from .server_source import ServerSource
from .spec import JobSpec

log = logging.getLogger(__name__)


class Preflight:
    """Connects in a thread of its own, which starts a server of this computer, and asks for the job's weights.

    Drawing takes minutes: a wrong address or missing weights must not show only after it.
    """

    def __init__(self, server: ServerSource, spec: JobSpec, stop: threading.Event) -> None:
        self._server, self._spec, self._stop = server, spec, stop
        self._error: ClientError | None = None
        self._thread = threading.Thread(target=self._run, name="magicanimate preflight", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises the ClientError that the job would end with; nothing while none is known."""
        if self._error is not None:
            raise self._error

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            with contextlib.closing(self._server.connect(lambda sentence: None, self._stop)) as client:
                client.server()
                engines = client.engines()
        except ClientError as error:
            if not self._stop.is_set():
                self._error = error
            return
        except Exception:  # a mistake of ours is told by the job itself, which connects in the same way
            log.exception("looking for the server")
            return
        for engine in engines:
            for weights in engine.weight_sets:
                if (engine.id, weights.id) == (self._spec.engine, self._spec.weights) and weights.state != "ready":
                    self._error = ClientError(
                        f"{weights.title}: the weights are {'missing' if weights.state == 'missing' else 'damaged'}",
                        fix="Download them in the add-on's preferences, or choose others under Quality.",
                        code=f"weights-{weights.state}",
                    )
