"""What an artist does meanwhile: playback, Edit Mode, undo, cancel, and edits under an export."""

from pathlib import Path

from tests.gui.slow_server import SlowServer
from tests.gui.window import Run, run_in_window

DRIVERS = Path(__file__).parent / "drivers"
FRAMES = 150
DIFFERENT = 40
"""Of those part maps at least: the sample character's motion repeats after 48 frames."""


def run_driver(name: str, chroot: Path, archive: Path, pictures: Path, server: SlowServer, **environment: str) -> Run:
    run = run_in_window(
        chroot, DRIVERS / name, pictures, extensions=[archive], environment={**server.environment, **environment},
        limit_s=1200, size="1200x900",
    )  # fmt: skip
    assert run.status == 0, run.report()
    assert "Traceback" not in (run.out / "blender.log").read_text(errors="replace"), run.report()
    return run


def test_esc_stops_playback_and_not_the_job(
    chroot: Path, archive: Path, pictures: Path, slow_server: SlowServer
) -> None:
    run_driver("playback.py", chroot, archive, pictures, slow_server)


def test_edit_mode_pauses_the_drawing_and_neither_it_nor_undo_changes_a_map(
    chroot: Path, archive: Path, pictures: Path, slow_server: SlowServer
) -> None:
    run_driver("while_drawing.py", chroot, archive, pictures, slow_server, FRAMES=str(FRAMES))
    undisturbed, *others = slow_server.part_maps
    assert len(undisturbed) == FRAMES
    assert len(set(undisturbed)) >= DIFFERENT
    assert len(others) == 3
    for maps in others:
        assert maps == undisturbed


def test_cancel_ends_the_drawing(chroot: Path, archive: Path, pictures: Path, slow_server: SlowServer) -> None:
    run_driver("cancel_drawing.py", chroot, archive, pictures, slow_server)


def test_an_export_outlives_undo_and_stops_where_its_bones_are_deleted(
    chroot: Path, archive: Path, pictures: Path, slow_server: SlowServer
) -> None:
    run_driver("export_edited.py", chroot, archive, pictures, slow_server)
