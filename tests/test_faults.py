"""The table of faults names tests that exist."""

import re

import pytest
from conftest import ROOT

ROWS = [
    line
    for line in (ROOT / "tests" / "FAULTS.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| fault", "| ---"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_each_row_is_a_test(row):
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
    assert named, "a row without a test"
    for file, test in named:
        (found,) = (ROOT / "tests").rglob(file)
        assert f"def {test}(" in found.read_text(encoding="utf-8"), f"{file}::{test}"
    for file in re.findall(r"`(benchmarks/\w+\.py)`", row):
        assert (ROOT / "tests" / file).is_file()
