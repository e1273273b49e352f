"""Trust on first use, as ssh does it: the certificate that a server shows first is the only one accepted from then on.

Studios sign their servers' certificates themselves, and Blender's Python knows no certificate authority of theirs.
"""

import hashlib
import json
import threading
from pathlib import Path

from .errors import ClientError
from .files import file_problem, write_atomic

_LOCK = threading.Lock()


class Pins:
    """A JSON file: "host:port" -> SHA-256 of the certificate in DER, as hex. Instances and threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, server: str, certificate: bytes | None) -> None:
        """Keep the certificate of a new server. Raises ClientError `certificate-changed` for another one of a known
        server, `certificate-refused` where there is none, or FileProblem."""
        if not certificate:
            raise ClientError(
                f"{server} shows no certificate", fix="Check the server's address.", code="certificate-refused"
            )
        shown = hashlib.sha256(certificate).hexdigest()
        with _LOCK:
            known = self._read()
            if server not in known:
                self._write({**known, server: shown})
            elif known[server] != shown:
                raise ClientError(
                    f"{server} shows another certificate than before: its fingerprint is {spaced(shown)}, "
                    f"and was {spaced(known[server])}. Somebody may be listening in, so nothing was sent",
                    fix="Ask who runs the server for the fingerprint; if it is the new one, choose Trust the New "
                    "Certificate.",
                    code="certificate-changed",
                )

    def forget(self, server: str) -> None:
        """Accept whatever certificate the server shows next. Raises FileProblem."""
        with _LOCK:
            known = self._read()
            if known.pop(server, None) is not None:
                self._write(known)

    def _read(self) -> dict[str, str]:
        """A file that cannot be read is told, not taken for an empty one: that would trust everybody again."""
        try:
            found = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise file_problem(self._path, error) from error
        except ValueError:
            found = None
        if isinstance(found, dict) and all(isinstance(pin, str) for pin in found.values()):
            return found
        raise ClientError(
            f"The list of trusted certificates, {self._path}, is damaged",
            fix="Delete it; the certificates that servers show next are then trusted.",
            code="pins-damaged",
        )

    def _write(self, known: dict[str, str]) -> None:
        write_atomic(self._path, json.dumps(known, indent=1, sort_keys=True).encode())


def spaced(fingerprint: str) -> str:
    """The first 16 of 64 digits in groups, enough to compare by eye."""
    return ":".join(fingerprint[n : n + 4].upper() for n in range(0, 16, 4))
