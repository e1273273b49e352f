"""From a result on disk to a clip that Blender can show."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy

from ..animation import OwnFiles, Record, ResultFolder
from ..client.files import file_problem
from ..raster.png import decode_labels
from ..results import Clip, write_mattes
from .beside import FOLDER
from .preferences import preferences
from .runtime import Runtime


def title_of(record: Record) -> str:
    """Name, seed and, where it has to be said, that these are demo weights."""
    seed = "" if record.seed is None else f", seed {record.seed}"
    return f"{record.spec.name or 'Animation'}{seed}" + (" (demo weights)" if record.demo_weights else "")


def clip_of(runtime: Runtime, record: Record, *, cut_out: bool) -> Clip:
    """The result as a clip, with its files where they belong. Raises FileProblem."""
    clip = planned_clip(runtime, record, cut_out=cut_out)
    write_files(runtime.animations.history.folder(record.id), clip)
    return clip


def planned_clip(runtime: Runtime, record: Record, *, cut_out: bool) -> Clip:
    """The result as a clip, beside the saved .blend if the preferences say so, before `write_files`."""
    home = runtime.animations.history.folder(record.id).path
    if preferences().beside_file and bpy.data.filepath:
        home = Path(bpy.data.filepath).parent / FOLDER / record.id
    spec = record.spec
    return Clip(
        id=record.id,
        name=title_of(record),
        frames=home / "frames",
        count=spec.frames,
        size=(spec.width, spec.height),
        fps=spec.fps,
        start=spec.frame_start,
        mattes=home / "mattes" if cut_out else None,
    )


def write_files(folder: ResultFolder, clip: Clip) -> None:
    """Copy the frames to where the clip wants them, and draw its mattes. In any thread. Raises FileProblem.

    Files that are there stay as they are: they may have been retouched.
    """
    try:
        own = OwnFiles(clip.frames.parent)
        if clip.frames != folder.frames:
            own.add({f"{clip.frames.name}/{path.name}": path for path in folder.frames.glob("*.png")})
        if clip.mattes is not None:
            _add_mattes(folder, clip, own)
    except OSError as error:
        raise file_problem(clip.frames.parent, error) from error


def _add_mattes(folder: ResultFolder, clip: Clip, own: OwnFiles) -> None:
    assert clip.mattes is not None
    if all((clip.mattes / clip.file(n)).is_file() for n in range(clip.count)):
        return
    with tempfile.TemporaryDirectory() as drawn:
        maps = (decode_labels(folder.map(n).read_bytes()) for n in range(clip.count))
        write_mattes(maps, Path(drawn), **_edge(clip.size[1]))
        own.add({f"{clip.mattes.name}/{path.name}": path for path in Path(drawn).iterdir()})


def _edge(height: int) -> dict[str, int]:
    """The matte's growth and softness in pixels, alike for every size: about 1 % and 0.4 % of the height."""
    return {"grow": max(1, round(height * 0.01)), "soften": max(1, round(height * 0.004))}
