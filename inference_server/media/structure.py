"""Is a picture's file whole, and built as pictures are? Decided without decoding, in time bounded by its bytes.

Pillow reads every chunk and marker of a file by itself, in Python and with the GIL held: 60 MB of chunks of no bytes
took it 25 s and 1.2 GB. Files of cameras and editors stay far below these limits.
"""

import struct
from collections.abc import Callable

MAX_DATA_CHUNKS = 20_000
"""IDAT chunks of a PNG; 64 MiB in pieces of libpng's 8 KiB are 8,192."""
MAX_OTHER_CHUNKS = 1_000
MAX_SCANS = 32
"""Scans of a JPEG: each goes over the whole picture, however few bytes it has. libjpeg's own script has 10."""


def structure_problem(data: bytes) -> str | None:
    """What is wrong with the file of a PNG, JPEG or WebP; None if nothing is, or if it is none of these."""
    for begin, check in CHECKS.items():
        if data.startswith(begin):
            return check(data)
    return None


def _png(data: bytes) -> str | None:
    place, counts = 8, [0, 0]
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if place > len(data):
            break
        if kind == b"IEND":
            return None
        counts[kind == b"IDAT"] += 1
        if counts[0] > MAX_OTHER_CHUNKS or counts[1] > MAX_DATA_CHUNKS:
            return "it is cut into too many chunks"
    return "it is cut off"


def _jpeg(data: bytes) -> str | None:
    place = 2
    for _ in range(MAX_OTHER_CHUNKS):
        if place + 4 > len(data) or data[place] != 0xFF:
            return "it is cut off or damaged"
        marker, length = struct.unpack_from(">BH", data, place + 1)
        if marker == 0xDA:
            break
        place += 2 + length
    else:
        return "it has too many markers"
    if data.find(b"\xff\xd9", place) < 0:
        return "it is cut off"
    # In the coded data every 0xFF is followed by 0 or a restart marker.
    return "it has too many scans" if data.count(b"\xff\xda", place) > MAX_SCANS else None


def _webp(data: bytes) -> str | None:
    if len(data) < 12 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        return "it is cut off"
    place = 12
    for _ in range(MAX_OTHER_CHUNKS):
        if place + 8 > len(data):
            return None
        length = struct.unpack_from("<I", data, place + 4)[0]
        place += 8 + length + length % 2
    return "it is cut into too many chunks"


CHECKS: dict[bytes, Callable[[bytes], str | None]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"RIFF": _webp,
}
