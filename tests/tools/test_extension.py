"""The zip that artists get: built twice the same, complete, and installed in a Blender of its own."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools import extension

ROOT = Path(__file__).resolve().parents[2]

INSTALL_ENABLE_DISABLE_UNINSTALL = """
import os
import sys
import bpy

archive = sys.argv[1]
module = "bl_ext.user_default.magicanimate_blender"

assert bpy.ops.extensions.package_install_files(
    filepath=archive, repo="user_default", enable_on_install=True
) == {"FINISHED"}
assert module in bpy.context.preferences.addons
for _ in range(3):
    bpy.ops.preferences.addon_disable(module=module)
    assert module not in bpy.context.preferences.addons
    bpy.ops.preferences.addon_enable(module=module)
    assert module in bpy.context.preferences.addons

repositories = [repository.module for repository in bpy.context.preferences.extensions.repos]
assert bpy.ops.extensions.package_uninstall(
    repo_index=repositories.index("user_default"), pkg_id="magicanimate_blender"
) == {"FINISHED"}
assert module not in bpy.context.preferences.addons
left = [name for name in dir(bpy.types) if "magicanimate" in name.lower()]
assert not left, left
if bpy.app.version < (4, 3):
    sys.stdout.flush()
    os._exit(0)  # the 4.2 module crashes at exit once a property with a Python callback was registered
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("bpy", reason="Blender's own validator is part of the build")
    return extension.build(tmp_path_factory.mktemp("dist"))


def test_the_same_sources_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    assert extension.build(tmp_path).read_bytes() == archive.read_bytes()


def test_it_carries_every_module_of_the_addon_and_nothing_of_the_tests(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        names = set(file.namelist())
    modules = {path.relative_to(extension.ADDON).as_posix() for path in extension.ADDON.rglob("*.py")}
    assert modules <= names
    assert {"blender_manifest.toml", "LICENSE"} <= names
    assert not [name for name in names if "test" in name or "__pycache__" in name or name.endswith(".pyc")]


def test_it_carries_the_whole_server_of_the_same_version(archive: Path, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "blender_manifest.toml").read_text())["version"]
    with zipfile.ZipFile(archive) as file:
        (wheel,) = [name for name in file.namelist() if name.endswith(".whl")]
        assert re.fullmatch(rf"{extension.SERVER_FOLDER}/magicanimate_inference_server-{version}-.*\.whl", wheel)
        with zipfile.ZipFile(file.open(wheel)) as inner:
            carried = {name for name in inner.namelist() if name.startswith("inference_server/")}
    server = ROOT / "inference_server"
    files = {path for path in server.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.relative_to(ROOT).as_posix() for path in files} == carried


def test_blender_installs_enables_disables_and_uninstalls_it(archive: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INSTALL_ENABLE_DISABLE_UNINSTALL, str(archive)],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.rglob("magicanimate_blender/__init__.py"))
