"""The add-on's preferences: where the server is, where results go, which weights are there."""

from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .package import PACKAGE, data_folder

changed: list[Callable[[], None]] = []
"""Called when another server or another folder of results was chosen."""


def _reconnect(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    for call in changed:
        call()


class Preferences:
    """The properties; `panels.preferences` draws and registers them."""

    server: EnumProperty(
        name="Server",
        items=[
            ("LOCAL", "This Computer", "A server in an environment of its own, started when it is needed"),
            ("REMOTE", "Another Computer", "A server that runs elsewhere; needs Blender's online access"),
        ],
        update=_reconnect,
    )
    url: StringProperty(
        name="Address", description="For example http://192.168.1.20:8790", update=_reconnect, maxlen=300
    )
    token: StringProperty(
        name="Token",
        description="What the file “token” in that server's data folder holds",
        subtype="PASSWORD",
        update=_reconnect,
        maxlen=300,
    )
    python: StringProperty(
        name="Own Environment",
        description="Python of an environment that has the server already; empty: the add-on installs one",
        subtype="FILE_PATH",
        update=_reconnect,
        maxlen=1024,
    )
    results: StringProperty(
        name="Results",
        description="Folder of all results; empty: in the add-on's own",
        subtype="DIR_PATH",
        maxlen=1024,
        update=_reconnect,
    )
    beside_file: BoolProperty(
        name="Keep Used Results Beside the .blend",
        description="Copy the frames that a saved file uses into a folder beside it, and use relative paths",
        default=True,
    )
    stop_server: BoolProperty(
        name="Stop the Server with Blender", description="If it was started by this Blender and is idle", default=True
    )

    @property
    def results_folder(self) -> Path:
        return Path(bpy.path.abspath(self.results)) if self.results else data_folder() / "results"


def preferences() -> Preferences:
    """Raises KeyError if the add-on is registered but not enabled, as a bare `register()` leaves it."""
    return bpy.context.preferences.addons[PACKAGE].preferences
