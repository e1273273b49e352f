"""What the add-on is called and where it may write."""

from pathlib import Path

import bpy

PACKAGE = __package__.rpartition(".")[0]
"""bl_ext.user_default.magicanimate_blender as an extension, magicanimate_blender in a checkout."""


def data_folder() -> Path:
    """The folder that belongs to the add-on: server, results. Kept when the add-on is updated."""
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE, path="data", create=True))
    except ValueError:  # not installed as an extension
        return Path(bpy.utils.user_resource("DATAFILES", path="magicanimate", create=True))


def certificates() -> Path:
    """The certificates of servers that are trusted since they were first seen."""
    return data_folder() / "certificates.json"


def package_folder() -> Path:
    """The add-on's own files; read only."""
    return Path(__file__).resolve().parent.parent


def server_wheel() -> Path | None:
    """The server that the extension brings along; a checkout has none."""
    return next(iter(sorted((package_folder() / "server").glob("*.whl"))), None)
