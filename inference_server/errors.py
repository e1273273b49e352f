"""The one kind of error that is shown to a person: what is wrong with what, and the way out."""


class UserError(Exception):
    """Bad input or a missing part, with its mend.

    `str(error)` is one line: what is wrong, then what to do. `code` is stable and machine-readable
    (kebab-case), for API problems and tests.
    """

    def __init__(self, message: str, *, fix: str, code: str) -> None:
        super().__init__(f"{message.rstrip('.')}. {fix}")
        self.message = message
        self.fix = fix
        self.code = code


class Cancelled(Exception):
    """Raised by a progress callback to end a run; whatever was finished before it is kept."""
