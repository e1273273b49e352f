"""docs/security.md promises nothing without a test."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_each_row_names_a_test_that_exists():
    rows = [line for line in (ROOT / "docs" / "security.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.endswith("| test |")]
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^def (test_\w+)\(", tests, re.MULTILINE))
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rstrip("|").rpartition("|")[2])
        assert named, row
        assert set(named) <= known, row
