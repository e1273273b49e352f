"""The walls of docs/development.md: who may import whom, read from the source of both programs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ADDON, SERVER = "magicanimate_blender", "inference_server"
PURE = ("densepose", "raster", "client", "server_manager", "animation")
BLENDER_MODULES = (
    "bpy",
    "bmesh",
    "gpu",
    "gpu_extras",
    "mathutils",
    "bl_ext",
    "bl_ui",
    "bl_operators",
    "blf",
    "imbuf",
    "idprop",
)


def modules(package: str) -> list[Path]:
    """Source files of a package, `densepose` or `inference_server.api` say, relative to the checkout."""
    return [path.relative_to(ROOT) for path in sorted((ROOT / package.replace(".", "/")).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Absolute dotted names that a file imports anywhere in it, relative ones resolved; `a.b` for `from a import b`."""
    package = path.parent.parts
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, node.module) if node.module else base)
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def crossings(package: str, forbidden: tuple[str, ...], allowed: tuple[str, ...] = ()) -> list[str]:
    """`file imports name` for every import of a forbidden module, less those below an allowed one."""

    assert modules(package), f"there is nothing in {package}"

    def below(name: str, roots: tuple[str, ...]) -> bool:
        return any(name == root or name.startswith(f"{root}.") for root in roots)

    return [
        f"{path} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if below(name, forbidden) and not below(name, allowed)
    ]


def addon(*packages: str) -> tuple[str, ...]:
    return tuple(f"{ADDON}.{package}" for package in packages)


def server(*packages: str) -> tuple[str, ...]:
    return tuple(f"{SERVER}.{package}" for package in packages)


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_know_nothing_of_blender(package: str) -> None:
    assert crossings(f"{ADDON}.{package}", (*BLENDER_MODULES, *addon("scene", "results", "ui"))) == []


@pytest.mark.parametrize("package", [*PURE, "scene", "results"])
def test_nobody_imports_the_user_interface(package: str) -> None:
    assert crossings(f"{ADDON}.{package}", addon("ui")) == []


def test_the_addon_needs_blender_numpy_and_the_standard_library_only() -> None:
    known = {*sys.stdlib_module_names, *BLENDER_MODULES, "numpy", ADDON}
    strangers = [
        f"{path} imports {name}" for path in modules(ADDON) for name in imports(path) if name.split(".")[0] not in known
    ]
    assert strangers == []


def test_the_addon_imports_itself_relatively() -> None:
    """As an extension its package is called bl_ext.user_default.magicanimate_blender."""
    absolute = [
        f"{path}:{node.lineno}"
        for path in modules(ADDON)
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == ADDON for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == ADDON)
    ]
    assert absolute == []


def test_the_addon_never_overrides_the_context() -> None:
    """With threads at work, Blender up to 5.0 crashes where an operator reads an override: see scene/context.py.

    One place has to, and calls no operator: ui/status_area.py.
    """
    overrides = [
        f"{path}:{node.lineno}"
        for path in modules(ADDON)
        if path != Path(ADDON, "ui", "status_area.py")
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "temp_override"
    ]
    assert overrides == []


def test_the_two_programs_share_no_code() -> None:
    assert crossings(ADDON, (SERVER,)) == []
    outside_training = [line for line in crossings(SERVER, (ADDON,)) if not line.startswith(f"{SERVER}/training/")]
    assert outside_training == []


def test_training_uses_only_the_pure_packages_of_the_addon() -> None:
    assert crossings(f"{SERVER}.training", (ADDON,), allowed=addon(*PURE)) == []


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        # networks and numerics: nothing of web, jobs or files
        ("models", (*server("sampling", "engines", "weights", "media", "jobs", "api", "provenance"), "fastapi")),
        ("sampling", (*server("engines", "weights", "media", "jobs", "api", "provenance"), "fastapi", "sqlite3")),
        ("engines", (*server("jobs", "api"), "fastapi", "sqlite3")),
        ("media", (*server("models", "sampling", "engines", "jobs", "api"), "torch", "fastapi")),
        ("weights", (*server("jobs", "api"), "fastapi")),
        # jobs knows engines by their protocol and registry alone
        ("jobs", (*server("models", "sampling", "api", "engines.magicanimate"), "torch", "diffusers", "fastapi")),
        ("api", (*server("models", "sampling", "training", "evaluation"), "torch", "diffusers", "transformers")),
    ],
)
def test_server_packages_know_only_what_lies_below(package: str, forbidden: tuple[str, ...]) -> None:
    assert crossings(f"{SERVER}.{package}", forbidden) == []


def test_the_serving_process_never_loads_torch() -> None:
    pytest.importorskip("fastapi", reason="the server's packages are not installed")
    code = (
        "import importlib, sys, pkgutil, inference_server.api, inference_server.jobs\n"
        "importlib.import_module('inference_server.api.app')\n"
        "importlib.import_module('inference_server.api.command')\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_pure_packages_import_where_there_is_no_blender() -> None:
    names = [f"{ADDON}.{package}" for package in PURE]
    code = (
        "import importlib, pkgutil, sys\n"
        f"sys.modules.update(dict.fromkeys({BLENDER_MODULES!r}))\n"  # None there makes an import fail
        f"for name in {names!r}:\n"
        "    package = importlib.import_module(name)\n"
        "    for module in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        "        importlib.import_module(module.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
