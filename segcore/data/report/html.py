"""Make HTML as a tree of elements, so that nothing can be forgotten to be escaped.

Every text and attribute goes through the one serialiser of the standard library: names of files
and classes can hold anything. A template language would be one more dependency for what is not
text with gaps, but tables and charts made of numbers.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

from segcore.data.paths import printable

__all__ = ["Child", "Element", "data_address", "element", "render_page"]

Child: TypeAlias = "Element | str | None"


def element(tag: str, *children: Child, **attributes: str | float | None) -> Element:
    """Make an element; None among children and attributes is left out.

    Attributes are written as keyword arguments: `class_` for `class`, `aria_label` for
    `aria-label`. Control, bidirectional and undecodable characters are escaped as in messages.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), printable(_text(value)))
    for child in children:
        if isinstance(child, str):
            _add_text(made, printable(child))
        elif child is not None:
            made.append(child)
    return made


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _add_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def data_address(kind: str, content: bytes) -> str:
    """Give the address that holds a picture itself, of kind `jpeg` or `png`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def render_page(title: str, style: str, *body: Element, generator: str = "segcore") -> bytes:
    """Write a page with the style sheet `style`; `generator` says what made it.

    Its policy lets a browser load nothing but the pictures inside the page, apply no style but
    this one, and run no script.
    """
    if "</" in style:
        raise ValueError("a style sheet cannot hold the end of an element")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    sheet = Element("style")
    sheet.text = style
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="generator", content=generator),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        sheet,
    )
    page = element("html", head, element("body", *body), lang="en")
    text: str = tostring(page, encoding="unicode", method="html")
    return f"<!doctype html>\n{text}\n".encode()
