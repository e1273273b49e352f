"""The folder of a result: `frames/`, `video.mp4` and `recipe.json`. Frames that were computed are never deleted."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from inference_server.errors import UserError
from inference_server.media.files import write_bytes
from inference_server.media.images import png_bytes, read_image
from inference_server.media.video import write_mp4

FRAME = re.compile(r"\d{6,}\.png")


class OutputFolder:
    """`frames.part` becomes `frames` once all frames are there, so that no half result looks whole."""

    def __init__(self, folder: Path, sign: Callable[[bytes], bytes] = lambda png: png) -> None:
        """sign: puts content credentials into a PNG."""
        self.folder = folder
        self.sign = sign
        self.frames = folder / "frames"
        self.part = folder / "frames.part"

    def check(self, *, overwrite: bool) -> None:
        """Everything that could fail after hours, before them. Leaves nothing behind.

        Raises UserError `out-exists`, `out-foreign` for files in the way that are no result's, `out-unwritable`.
        """
        if os.path.exists(self.folder) and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file", fix="Name a folder.", code="out-exists")
        self._check_earlier(overwrite)
        made = [folder for folder in (self.folder, *self.folder.parents) if not os.path.exists(folder)]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        finally:
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()

    def _check_earlier(self, overwrite: bool) -> None:
        for place, what in ((self.frames, "a result"), (self.part, "frames of a run that was cut short")):
            if not os.path.exists(place):
                continue
            if not overwrite:
                raise UserError(
                    f"{self.folder} holds {what} already ({place.name})",
                    fix="Add --overwrite, or name another folder.",
                    code="out-exists",
                )
            foreign = [place] if not place.is_dir() else [path for path in place.iterdir() if not is_frame(path)]
            if foreign:
                raise UserError(
                    f"{foreign[0]} is in the way and no frame of a result",
                    fix="Move it, or name another folder.",
                    code="out-foreign",
                )

    def write_frames(self, images: Iterable[tuple[int, NDArray[np.uint8]]]) -> list[Path]:
        """Write (number, RGB) as they come; an earlier result goes when all are there. Returns the frames in order.

        If that ends early, what is there stays, and a line on stderr says where. Raises UserError `out-unwritable`,
        and what `images` raises.
        """
        with self._writing():
            self.part.mkdir(parents=True, exist_ok=True)
            delete_frames(self.part)
            try:
                for number, image in images:
                    write_bytes(self.part / f"{number:06}.png", self.sign(png_bytes(image)))
            except BaseException:
                self._keep_part()
                raise
            if self.frames.exists():
                delete_frames(self.frames)
                self.frames.rmdir()
            self.part.rename(self.frames)
        return sorted(self.frames.iterdir())

    def write_video(self, frames: Iterable[Path], fps: float) -> Path:
        """Raises UserError `out-unwritable`; the frames stay."""
        path = self.folder / "video.mp4"
        with self._writing(f"The frames are whole in {self.frames}."):
            write_mp4(path, map(read_image, frames), fps)
        return path

    def _keep_part(self) -> None:
        count = sum(map(is_frame, self.part.iterdir()))
        if count:
            print(f"{count} frames are computed, in {self.part}", file=sys.stderr)
            return
        with suppress(OSError):  # the folder goes only if there was nothing in it before
            self.part.rmdir()
            self.folder.rmdir()

    @contextmanager
    def _writing(self, hint: str = "Free some space, or name another folder.") -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise _unwritable(self.folder, error, hint) from error


def is_frame(path: Path) -> bool:
    return bool(FRAME.fullmatch(path.name))


def delete_frames(folder: Path) -> None:
    for path in filter(is_frame, list(folder.iterdir())):
        path.unlink()


def _unwritable(folder: Path, error: OSError, hint: str = "Name another folder, or free this one.") -> UserError:
    reason = (error.strerror or str(error)).lower()
    return UserError(f"{folder} cannot be written to: {reason}", fix=hint, code="out-unwritable")
