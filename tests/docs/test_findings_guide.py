"""The table of codes in the guide is the one of the code."""

import re
from pathlib import Path

from segcore.data.findings import FINDING_KINDS

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


def test_the_guide_lists_every_code_with_its_severity_and_title():
    rows = re.findall(r"^\| (SEG\d{3}) \| (\w+) \| (.+) \|$", GUIDE.read_text(), re.MULTILINE)
    assert rows == [(kind.code, kind.severity, kind.title) for kind in FINDING_KINDS]
