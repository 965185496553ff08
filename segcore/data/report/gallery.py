"""The section of samples: photographs with labels laid over them, which a box takes away."""

from __future__ import annotations

import io

import numpy as np

from segcore.data.overlay import find_borders
from segcore.data.report.chart import swatch
from segcore.data.report.html import Element, data_address, element
from segcore.data.report.record import Picture, Report
from segcore.data.report.section import name, section

__all__ = ["gallery_section"]

_JPEG_QUALITY = 80
_FILL = 128  # opacity of classes, of 255
_CLASSES_IN_LEGEND = 60


def gallery_section(report: Report) -> Element:
    """Show the pictures of `report`, with a legend of the classes that they have."""
    present, has_ignored = _classes_in(report)
    box = element("input", type="checkbox", id="labels", checked="checked")
    return section(
        "samples",
        "Samples",
        element("p", report.order, class_="lead") if report.order else None,
        box,
        element("label", "Show labels", for_="labels", class_="toggle"),
        _legend(report, present, has_ignored),
        element(
            "div", *(_figure(picture, report) for picture in report.pictures), class_="gallery"
        ),
    )


def _classes_in(report: Report) -> tuple[list[int], bool]:
    values: set[int] = set()
    for picture in report.pictures:
        for labels in (picture.label, picture.prediction):
            if labels is not None:
                values.update(np.unique(labels).tolist())
    return sorted(values - {report.ignore_index}), report.ignore_index in values


def _legend(report: Report, present: list[int], has_ignored: bool) -> Element:
    entries = [
        element(
            "li", swatch(report.palette[number]), name(_class_name(report, number)), class_="class"
        )
        for number in present[:_CLASSES_IN_LEGEND]
    ]
    if len(present) > _CLASSES_IN_LEGEND:
        entries.append(element("li", f"and {len(present) - _CLASSES_IN_LEGEND} more classes"))
    if has_ignored and report.ignore_index < len(report.palette):
        colour = report.palette[report.ignore_index]
        entries.append(element("li", swatch(colour), report.void, class_="class"))
    return element("ul", *entries, class_="legend", aria_label="Colours of the classes")


def _class_name(report: Report, number: int) -> str:
    return report.class_names[number] if number < len(report.class_names) else str(number)


def _figure(picture: Picture, report: Report) -> Element:
    stacks = [_stack(picture, picture.label, report, f"{picture.source}, with its label")]
    if picture.prediction is not None:
        stacks.append(
            _stack(picture, picture.prediction, report, f"{picture.source}, as predicted")
        )
        titles = ("label", "prediction")
        stacks = [
            element("div", stack, element("span", title, class_="part"))
            for stack, title in zip(stacks, titles, strict=True)
        ]
    notes = [element("li", note) for note in picture.notes]
    caption = element(
        "figcaption",
        name(picture.source, "span"),
        element("span", picture.place, class_="badge"),
        element("ul", *notes, class_="reasons") if notes else None,
    )
    kind = "pair" if len(stacks) > 1 else None
    return element("figure", element("div", *stacks, class_=kind), caption, class_=kind)


def _stack(picture: Picture, labels: np.ndarray | None, report: Report, alt: str) -> Element:
    height, width = picture.image.shape[:2]
    photograph = element(
        "img", src=data_address("jpeg", _encode_jpeg(picture.image)), alt=alt,
        width=width, height=height,
    )  # fmt: skip
    if labels is None:
        return element("div", photograph, class_="stack")
    overlay = element(
        "img", src=data_address("png", _encode_overlay(labels, report.palette)), alt="",
        width=width, height=height, class_="overlay",
    )  # fmt: skip
    return element("div", photograph, overlay, class_="stack")


def _encode_jpeg(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def _encode_overlay(labels: np.ndarray, palette: np.ndarray) -> bytes:
    """Draw the classes of `labels` (H, W) half transparent, with firm borders; black is nothing."""
    from PIL import Image

    colours = np.take(palette, labels, axis=0)
    opacity = np.where(find_borders(labels), 255, _FILL).astype(np.uint8)
    opacity[~colours.any(axis=2)] = 0
    picture = np.dstack([colours, opacity])
    picture[opacity == 0] = 0
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
