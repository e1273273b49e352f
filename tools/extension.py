"""Make the extension zip: the add-on, its manifest and, as data, a wheel of the server that it installs elsewhere.

The same sources give the same bytes: files are sorted and carry one date. The zip is then checked by Blender's own
validator, which the bpy wheel carries.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDON = ROOT / "magicanimate_blender"
SERVER_FOLDER = "server"
"""Folder of the add-on that holds the server's wheel; not among the manifest's wheels, so Blender leaves it alone."""

DATE = (1980, 1, 1, 0, 0, 0)  # the oldest that a zip can say
EPOCH = "315532800"  # the same, for setuptools
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def build(out: Path) -> Path:
    """Write `{id}-{version}.zip` into a folder. Raises CalledProcessError if the wheel or the validation fails."""
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"{manifest['id']}-{manifest['version']}.zip"
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder, "addon")
        shutil.copytree(ADDON, staged, ignore=LEFT_OUT)
        shutil.copy(ROOT / "blender_manifest.toml", staged)
        shutil.copy(ROOT / "LICENSE", staged)
        build_server_wheel(staged / SERVER_FOLDER)
        write_zip(staged, archive)
    validate(archive)
    return archive


def build_server_wheel(out: Path) -> None:
    """Built from a copy, so that nothing left over from an earlier build gets in."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        shutil.copytree(ROOT / "inference_server", source / "inference_server", ignore=LEFT_OUT)
        for name in ("pyproject.toml", "LICENSE"):
            shutil.copy(ROOT / name, source)
        for path in source.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", out, source], check=True, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})


def write_zip(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes())


def validate(archive: Path) -> None:
    import bpy

    scripts = Path(bpy.utils.resource_path("LOCAL"), "scripts")
    tags = scripts / "modules/_bpy_internal/extensions/tags.py"
    validator = scripts / "addons_core/bl_pkg/cli/blender_ext.py"
    subprocess.run([sys.executable, validator, "validate", f"--valid-tags={tags}", archive], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    archive = build(parser.parse_args().out)
    print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
