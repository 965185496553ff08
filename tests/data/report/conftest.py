"""A report with everything in it, and with names that try to break out."""

from datetime import date

import cv2
import numpy as np
import pytest

from segcore.data.finding import Finding
from segcore.data.listfile import format_row
from segcore.data.report.page import render_report
from segcore.data.view.look import look_at

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe",
    "\u05e9\u05dc\u05d5\u05dd",
    "a\x1b[31m\x07b",
    "</style><style>*{display:none}",
    "&lt;b&gt; ${7*7} {{7*7}} javascript:alert(1)",
    "\u4e2d\u6587 \U0001f600",
    "x" * 300,
)


@pytest.fixture(scope="session")
def hostile_set(tmp_path_factory):
    """A dataset of which every name of a class and of a file is hostile."""
    root = tmp_path_factory.mktemp("hostile") / "<b onclick=alert(1)>set"
    rng = np.random.default_rng(5)
    rows = []
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    for number, text in enumerate(HOSTILE):
        name = text.replace("/", "_").replace("\x1b", "")[:80]
        height, width = (48, 64) if number % 2 else (40, 40)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        label = rng.integers(0, number + 1, (height, width), dtype=np.uint8)
        label[:8] = 255
        files = f"images/{name}.jpg", f"annotations/{number}.png"
        for file, pixels in zip(files, (image, label), strict=True):
            (root / file).write_bytes(cv2.imencode(file[-4:], pixels)[1].tobytes())
        rows.append(format_row(*files) + "\n")
    (root / "train.txt").write_text("".join(rows), "utf-8")
    (root / "labels.txt").write_text("".join(f"{name}\n" for name in HOSTILE), "utf-8")
    return root


@pytest.fixture(scope="session")
def hostile_report(hostile_set):
    """The page of a report on it, with findings of the same kind."""
    findings = [
        Finding(
            code="SEG207",
            severity="error" if number % 2 else "warning",
            file=f"annotations/{text}",
            line=number + 1,
            count=number + 1,
            message=f"class {text} is wrong",
            fix=f"segcore data fix '{text}'",
        )
        for number, text in enumerate(HOSTILE)
    ]
    return render_report(look_at(hostile_set).report(findings), date(2026, 1, 2))
