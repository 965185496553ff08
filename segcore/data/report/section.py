"""The pieces that all sections are made of: headings, tables, facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segcore.data.report.html import Child, Element, element

__all__ = ["facts", "name", "percent", "section", "table"]


def section(anchor: str, title: str, *content: Child) -> Element:
    """Make a section with a heading; `anchor` is its address within the page."""
    heading = element("h2", title, id=f"{anchor}-title")
    return element("section", heading, *content, id=anchor, aria_labelledby=f"{anchor}-title")


def table(
    caption: str, headers: Sequence[str], rows: Iterable[Sequence[Child]], texts: int = 1
) -> Element:
    """Make a table that scrolls where the screen is narrow.

    The first `texts` columns are text and the rest numbers; the first of each row is its heading.
    """
    kinds = ["text" if column < texts else "number" for column in range(len(headers))]
    head = element(
        "tr",
        *(
            element("th", header, scope="col", class_=kind)
            for header, kind in zip(headers, kinds, strict=True)
        ),
    )
    body = [
        element(
            "tr",
            element("th", row[0], scope="row", class_=kinds[0]),
            *(
                element("td", cell, class_=kind)
                for cell, kind in zip(row[1:], kinds[1:], strict=True)
            ),
        )
        for row in rows
    ]
    drawn = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body)
    )
    # reachable by keyboard, since it may have to be scrolled
    return element("div", drawn, class_="scroll", tabindex="0", role="group", aria_label=caption)


def facts(pairs: Iterable[tuple[str, Child]]) -> Element:
    """Make tiles of a number and what it counts."""
    tiles = [
        element("div", element("dt", label), element("dd", value), class_="tile")
        for label, value in pairs
    ]
    return element("dl", *tiles, class_="tiles")


def name(text: str, tag: str = "bdi") -> Element:
    """Show a name from outside; its writing direction does not spread to what stands around it."""
    return element(tag, text or "(no name)", class_="name", dir="auto")


def percent(share: float) -> str:
    """Write a share with as many digits as it takes to tell it from none and from all."""
    if 0 < share < 0.0001:
        return "< 0.01 %"
    if 0.9999 < share < 1:
        return "> 99.99 %"
    digits = 2 if share < 0.1 else 1
    return f"{share * 100:.{0 if share in (0, 1) else digits}f} %"
