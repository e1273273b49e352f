"""The one error of the map code: a sentence for the person in front of it, and the way out."""

__all__ = ["DensePoseError"]


class DensePoseError(ValueError):
    """What is wrong (`message`, one sentence) and what mends it (`fix`, one sentence)."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message} {fix}")
        self.message = message
        self.fix = fix
