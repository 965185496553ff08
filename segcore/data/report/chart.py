"""Charts as inline SVG: shapes only, with all text beside them, where it stays readable."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.data.report.html import Element, element

__all__ = ["bar", "histogram", "swatch"]


def bar(share: float, label: str) -> Element:
    """Draw a bar that fills `share` (0 to 1) of the width there is; `label` says it in words."""
    width = max(0.0, min(1.0, share)) * 100
    return element(
        "svg",
        element("rect", class_="rail", width=100, height=10),
        # what is there at all must be seen
        element("rect", class_="fill", width=max(width, 0.8), height=10) if share > 0 else None,
        class_="bar",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def histogram(counts: Sequence[int], low: str, high: str, label: str) -> Element:
    """Draw columns of `counts`, between `low` on the left and `high` on the right."""
    top = max(counts, default=0) or 1
    columns = [
        element(
            "rect",
            element("title", f"{count:,}"),
            class_="fill",
            x=number + 0.06,
            width=0.88,
            y=100 - 100 * count / top,
            height=100 * count / top,
        )
        for number, count in enumerate(counts)
        if count
    ]
    drawing = element(
        "svg",
        element("rect", class_="rail", width=len(counts), height=100),
        *columns,
        class_="histogram",
        viewBox=f"0 0 {len(counts)} 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )
    ends = element("div", element("span", low), element("span", high), class_="ends")
    return element("div", drawing, ends, class_="plot")


def swatch(colour: Sequence[int]) -> Element:
    """Draw a small square of a colour (red, green, blue)."""
    red, green, blue = (int(value) for value in colour)
    return element(
        "svg",
        element(
            "rect", x=0.5, y=0.5, width=13, height=13, rx=3, fill=f"#{red:02x}{green:02x}{blue:02x}"
        ),
        class_="swatch",
        viewBox="0 0 14 14",
        aria_hidden="true",
    )
