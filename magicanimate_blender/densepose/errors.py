"""The one error of the map code: a sentence for the person in front of it, and the way out."""

__all__ = ["DensePoseError"]


class DensePoseError(ValueError):
    """What is wrong (`message`, one sentence), the way out (`fix`, one sentence), and a stable name (`code`) or ""."""

    def __init__(self, message: str, fix: str, code: str = "") -> None:
        super().__init__(f"{message} {fix}")
        self.message = message
        self.fix = fix
        self.code = code
