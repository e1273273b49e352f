"""What can go wrong between the add-on and the server, always with the way out."""


class ClientError(Exception):
    """One sentence that names the thing, then the way out. `code` is stable (kebab-case); buttons hang on it."""

    def __init__(self, detail: str, *, fix: str, code: str) -> None:
        super().__init__(f"{detail.rstrip('.')}. {fix}".strip())
        self.detail = detail
        self.fix = fix
        self.code = code


class ServerProblem(ClientError):
    """The server answered with a problem (RFC 9457); `status` is the HTTP status."""

    def __init__(self, detail: str, *, fix: str, code: str, status: int) -> None:
        super().__init__(detail, fix=fix, code=code)
        self.status = status


class ServerUnreachable(ClientError):
    """Nobody answers there, or the connection broke. Trying again may help."""

    def __init__(
        self,
        detail: str,
        *,
        fix: str = "Start the server, or check its address in the add-on's preferences.",
        code: str = "server-unreachable",
    ) -> None:
        super().__init__(detail, fix=fix, code=code)


class BadAnswer(ClientError):
    """Something answers, but not as this add-on's server does. Trying again will not help."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            detail,
            fix="Check the server's address, or update the server so that it fits this add-on.",
            code="bad-answer",
        )


class FileProblem(ClientError):
    """A file on this computer can't be read or written."""
