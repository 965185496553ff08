"""Reports on datasets as they lie there."""

from shutil import copytree

from click.testing import CliRunner

from segcore.cli.data import data_command
from segcore.data.finding import Finding
from segcore.data.report.dataset import report_dataset

FINDING = Finding(code="SEG021", severity="error", file="images/a.jpg", message="is in both")


def test_a_report_has_findings_numbers_and_pictures(shapes, tmp_path):
    report = report_dataset(shapes, tmp_path / "r.html", findings=[FINDING], pictures=3)
    assert report.stats.total.images == 20
    assert len(report.pictures) == 3
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "SEG021" in text
    assert 'id="samples"' in text


def test_a_dataset_that_cannot_be_opened_is_reported_on_all_the_same(shapes, tmp_path):
    root = copytree(shapes, tmp_path / "set")
    (root / "val.txt").write_text((root / "train.txt").read_text())  # leakage
    report = report_dataset(root, tmp_path / "r.html", findings=[FINDING])
    assert report.stats is None
    assert "listed in" in report.notes[0]
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "SEG021" in text
    assert "could not be counted" in text
    assert 'id="samples"' not in text


def test_the_check_reports_what_it_found(shapes, tmp_path):
    root = copytree(shapes, tmp_path / "set")
    first = (root / "train.txt").read_text().split()[0]
    (root / first).write_bytes(b"")
    page = tmp_path / "r.html"
    result = CliRunner().invoke(data_command, ["check", str(root), "--report", str(page)])
    assert type(result.exception).__name__ == "CheckFailed"
    text = page.read_text("utf-8")
    assert "SEG101" in text
    assert first in text
    assert "unreadable" in text


def test_rows_that_stand_twice_do_not_empty_the_report(shapes, tmp_path):
    root = copytree(shapes, tmp_path / "set")
    text = (root / "train.txt").read_text()
    (root / "train.txt").write_text(text + text.splitlines()[0] + "\n")
    assert report_dataset(root, tmp_path / "r.html").stats.total.images == 21
