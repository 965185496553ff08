"""Put a report together: what was found first, then the pictures, then the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path

from segcore import __version__
from segcore.checkpoint.ownership import Guard, marked_by
from segcore.data.finding import Finding
from segcore.data.report.gallery import gallery_section
from segcore.data.report.html import Child, Element, element, render_page
from segcore.data.report.record import Report
from segcore.data.report.section import facts, name, percent, section
from segcore.data.report.statistics import statistics_sections

__all__ = ["check_report", "render_report", "write_report"]

_MARK = "segcore data report"
_FINDINGS_SHOWN = 300


def check_report(path: Path, guard: Guard) -> None:
    """Raise OutputError unless a report may be written to `path`."""
    guard.check_file(path, marked_by(_MARK))


def write_report(
    path: Path, report: Report, made: date | None = None, *, guard: Guard | None = None
) -> None:
    """Write `report` as one HTML file that loads nothing, where `guard` lets it.

    Raises OutputError and StorageError.
    """
    (guard or Guard()).write_file(path, render_report(report, made), marked_by(_MARK))


def render_report(report: Report, made: date | None = None) -> bytes:
    """Give the page of `report`; `made` is its date, today where it is None."""
    sections = [section for section in _sections(report) if section is not None]
    header = element(
        "header",
        element("p", "Dataset report", class_="kind"),
        element("h1", name(report.dataset)),
        *(element("p", note, class_="lead") for note in report.notes),
        facts(_summary(report)),
    )
    made = made or date.today()  # noqa: DTZ011 - the day where the reader sits
    footer = element(
        "footer", element("p", f"Made by segcore {__version__} on {made.isoformat()}.")
    )
    style = files("segcore.data.report").joinpath("report.css").read_text("utf-8")
    main = element("main", header, _contents(sections), *sections, footer)
    return render_page(f"Dataset report: {report.dataset}", style, main, generator=_MARK)


def _sections(report: Report) -> Iterator[Element | None]:
    if report.findings is not None:
        yield _findings(report.findings)
    if report.pictures:
        yield gallery_section(report)
    if report.stats is not None:
        with_problems = not report.findings
        yield from statistics_sections(report.stats, report.palette, with_problems=with_problems)


def _contents(sections: Sequence[Element]) -> Element | None:
    if len(sections) < 2:
        return None
    links = [
        element("li", element("a", found[0].text, href=f"#{found.get('id')}")) for found in sections
    ]
    return element("nav", element("ul", *links), aria_label="Sections")


def _summary(report: Report) -> Iterator[tuple[str, Child]]:
    if report.findings is not None:
        errors, warnings = _count(report.findings, "error"), _count(report.findings, "warning")
        yield (
            _plural(errors, "error"),
            element("span", f"{errors:,}", class_="bad" if errors else "good"),
        )
        yield (
            "warnings",
            element("span", f"{warnings:,}", class_="doubtful" if warnings else "good"),
        )
    if report.stats is None:
        return
    total = report.stats.total
    for split in report.stats.splits:
        yield f"images in {split.name}", f"{split.images:,}"
    yield "classes", f"{len(report.stats.class_names):,}"
    if report.stats.has_instances:
        yield "objects", f"{sum(found.objects for found in total.classes):,}"
    elif total.ignored_pixels:
        yield "ignored pixels", percent(total.ignored_share)
    if total.unreadable:
        yield "unreadable", element("span", f"{total.unreadable:,}", class_="bad")


def _plural(count: int, what: str) -> str:
    return what if count == 1 else f"{what}s"


def _count(findings: Sequence[Finding], severity: str) -> int:
    return sum(finding.severity == severity for finding in findings)


def _findings(findings: Sequence[Finding]) -> Element:
    if not findings:
        return section(
            "findings", "Findings", element("p", "None: nothing is wrong.", class_="good")
        )
    ordered = sorted(findings, key=lambda finding: finding.severity != "error")
    left_out = len(findings) - _FINDINGS_SHOWN
    return section(
        "findings",
        "Findings",
        element("ul", *map(_finding, ordered[:_FINDINGS_SHOWN]), class_="findings"),
        element("p", f"and {left_out:,} more.") if left_out > 0 else None,
    )


def _finding(finding: Finding) -> Element:
    count = f"{finding.count:,} {_plural(finding.count, 'sample')}"
    fix = None
    if finding.fix is not None:
        fix = element(
            "div",
            element("span", "Mend it with", class_="label"),
            element("pre", element("code", finding.fix), class_="copy"),
        )
    return element(
        "li",
        element(
            "h3",
            element("span", finding.severity, class_="severity"),
            element("code", finding.code),
            element("span", count, class_="count"),
        ),
        element("p", finding.message),
        _place(finding),
        fix,
        class_=finding.severity,
    )


def _place(finding: Finding) -> Element | None:
    """Say where it is, as far as the message does not, and where else."""
    parts: list[Child] = []
    if finding.file and finding.file not in finding.message:
        parts.append(name(finding.file))
    if finding.split is not None:
        parts.append(finding.list or finding.split)
    if finding.line is not None:
        parts.append(f"line {finding.line}")
    if finding.others:
        also = element("span", "also ", name(finding.others[0]))
        parts += [also, *map(name, finding.others[1:])]
    separated = [piece for part in parts for piece in (", ", part)][1:]
    return element("p", *separated, class_="place") if separated else None
