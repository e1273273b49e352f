"""Inputs of a whole run: real ones where they are beside the checkout, else made here."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """Folder of a real DensePose clip and pictures of people; they are not part of the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real clips are not here: {REAL_DATA}")
    return REAL_DATA
