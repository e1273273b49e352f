"""How much a file may ask this process to decode."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on what is read; generous for artists, tight against files made to exhaust memory.

    upload_bytes: one uploaded file. pixels: one picture or frame (width x height). frames: one clip.
    clip_pixels: frames x pixels of a whole clip, because it is held in memory.
    """

    upload_bytes: int = 64 * 2**20
    pixels: int = 8192 * 8192
    frames: int = 4096
    clip_pixels: int = 2**30


DEFAULT_LIMITS = Limits()
SERVER_LIMITS = Limits(pixels=2048 * 2048)
"""Jobs come at the size of the output, and the model was made for 512 x 512."""
