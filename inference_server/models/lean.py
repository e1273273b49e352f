"""diffusers without what its modules load beside what is used here: imported before any of it is.

Three classes of networks would bring every transformer that diffusers knows, scipy.stats for noise schedules that no
setting chooses, and xformers, which attention asks for by itself: about a fifth of the processor time of a start.
"""

import sys
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import diffusers
from diffusers.utils import import_utils

PACKAGE = "diffusers.models.transformers"


def leave_out() -> None:
    """Packages that diffusers finds are taken for absent; its transformers are loaded once one is asked for by name."""
    import_utils._scipy_available = False
    import_utils._xformers_available = False
    if PACKAGE not in sys.modules:
        sys.modules[PACKAGE] = lazy_package(PACKAGE, Path(diffusers.__path__[0], "models", "transformers"))


def lazy_package(name: str, folder: Path) -> ModuleType:
    """A package whose modules can be imported one by one; the first name asked of itself runs its `__init__`."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    spec = spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    package.__spec__, package.__package__, loader = spec, name, spec.loader

    def complete(attribute: str) -> Any:
        if attribute.startswith("__"):  # questions of the import system, not of a user
            raise AttributeError(attribute)
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, attribute)

    package.__dict__["__getattr__"] = complete
    return package


leave_out()
