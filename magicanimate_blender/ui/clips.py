"""From a result on disk to a clip that Blender can show."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy

from ..animation import Record, ResultFolder
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
    """The result as a clip, copied beside the saved .blend if the preferences say so. Raises FileProblem."""
    folder = runtime.animations.history.folder(record.id)
    home = folder.path
    if preferences().beside_file and bpy.data.filepath:
        home = Path(bpy.data.filepath).parent / FOLDER / record.id
    spec = record.spec
    mattes = home / "mattes"
    try:
        if home != folder.path:
            _copy_frames(folder, home)
        if cut_out:
            maps = (folder.map(n) for n in range(spec.frames))
            write_mattes((decode_labels(path.read_bytes()) for path in maps), mattes, **_edge(spec.height))
    except OSError as error:
        raise file_problem(home, error) from error
    return Clip(
        id=record.id,
        name=title_of(record),
        frames=home / "frames",
        count=spec.frames,
        size=(spec.width, spec.height),
        fps=spec.fps,
        start=spec.frame_start,
        mattes=mattes if cut_out else None,
    )


def delete_copy(job: str) -> None:
    """Delete the frames that were copied beside the open file."""
    if bpy.data.filepath:
        shutil.rmtree(Path(bpy.data.filepath).parent / FOLDER / job, ignore_errors=True)


def _copy_frames(folder: ResultFolder, home: Path) -> None:
    (home / "frames").mkdir(parents=True, exist_ok=True)
    for path in folder.frames.glob("*.png"):
        shutil.copy2(path, home / "frames" / path.name)


def _edge(height: int) -> dict[str, int]:
    """The matte's growth and softness in pixels, alike for every size: about 1 % and 0.4 % of the height."""
    return {"grow": max(1, round(height * 0.01)), "soften": max(1, round(height * 0.004))}
