"""The sections on numbers: splits, classes, co-occurrence, sizes, brightness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from segcore.data.report.chart import bar, histogram, swatch
from segcore.data.report.html import Child, Element, element
from segcore.data.report.section import name, percent, section, table
from segcore.data.stats.record import DatasetStats, SplitStats, Spread

__all__ = ["statistics_sections"]

_PAIRED = 40  # classes that a heat map has room for
_CLASSES_OPEN = 60  # more rows than this stand folded
_HEAT_STEPS = 10
_SIZES = 10


def statistics_sections(
    stats: DatasetStats, palette: np.ndarray, *, with_problems: bool = True
) -> Iterator[Element]:
    """Give the sections that have something to show.

    `with_problems` says whether to list what could not be read; findings say it already.
    """
    yield _splits(stats, with_problems)
    if not stats.total.images:
        return
    yield _classes(stats, palette)
    if len(stats.class_names) > 1 and stats.total.cooccurrence is not None:
        yield _pairs(stats, stats.total.cooccurrence, palette)
    yield _sizes(stats.total)
    yield from _brightness(stats.total)


def _splits(stats: DatasetStats, with_problems: bool) -> Element:
    columns = _columns(stats)
    void = "no object" if stats.has_instances else "ignored"
    headers = ["split", "images", "pixels", void, "sizes", "brightness", "contrast"]
    rows = [
        [
            split.name,
            f"{split.images:,}",
            f"{split.pixels:,}",
            percent(split.ignored_share),
            f"{split.distinct_sizes:,}",
            _middle(split.brightness),
            _middle(split.contrast),
        ]
        for split in columns
    ]
    notes = []
    if stats.total.ignored_images:
        what = "Images without an object" if stats.has_instances else "Labels that ignore all"
        notes.append(f"{what}: {stats.total.ignored_images:,}.")
    if stats.total.unreadable:
        notes.append(f"Samples that could not be read: {stats.total.unreadable:,}.")
    listed = stats.problems if with_problems else ()
    problems = [element("li", problem) for problem in listed]
    return section(
        "splits",
        "Splits",
        table("The splits; brightness and contrast are medians, 0 to 255", headers, rows),
        *(element("p", note) for note in notes),
        element("ul", *problems, class_="problems") if problems else None,
    )


def _columns(stats: DatasetStats) -> tuple[SplitStats, ...]:
    return (*stats.splits, stats.total) if len(stats.splits) > 1 else stats.splits


def _middle(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.0f}"


def _classes(stats: DatasetStats, palette: np.ndarray) -> Element:
    highest = max(found.share for found in stats.total.classes) or 1.0
    columns = _columns(stats)
    headers = ["class", "share of pixels", "", *(f"in {column.name}" for column in columns)]
    headers += ["objects", "tiny", "median area"]
    rows: list[list[Child]] = []
    for found in stats.total.classes:
        area = found.object_area
        images = [column.classes[found.id].images for column in columns]
        rows.append(
            [
                element(
                    "span",
                    swatch(palette[found.id]),
                    f"{found.id} ",
                    name(found.name),
                    class_="class",
                ),
                bar(found.share / highest, f"{percent(found.share)} of the pixels"),
                percent(found.share),
                *(f"{count:,}" if count else element("strong", "0") for count in images),
                f"{found.objects:,}",
                f"{found.tiny_objects:,}",
                "-" if area is None else f"{area.median:,.0f} px",
            ]
        )
    drawn = table(f"Pixels, images and objects of {len(rows)} classes", headers, rows)
    drawn.set("class", "scroll classes")
    lead = (
        "The bars compare shares with the largest. "
        + ("" if stats.has_instances else "Objects are connected regions. ")
        + f"Tiny objects have fewer than {stats.tiny_area} pixels."
    )
    absent = [found for found in stats.total.classes if not found.images]
    return section(
        "classes",
        "Classes",
        element("p", lead, class_="lead"),
        _absent(absent_names=[found.name for found in absent]) if absent else None,
        drawn if len(rows) <= _CLASSES_OPEN else _folded(f"All {len(rows)} classes", drawn),
    )


def _absent(absent_names: Sequence[str]) -> Element:
    shown = [child for text in absent_names[:20] for child in (", ", name(text))][1:]
    more = f" and {len(absent_names) - 20} more" if len(absent_names) > 20 else None
    return element("p", element("strong", "No pixel has: "), *shown, more, ".")


def _folded(summary: str, content: Element) -> Element:
    return element("details", element("summary", summary), content)


def _pairs(stats: DatasetStats, pairs: Sequence[Sequence[int]], palette: np.ndarray) -> Element:
    classes = [found for found in stats.total.classes if found.images]
    classes = sorted(classes, key=lambda found: -found.images)[:_PAIRED]
    classes.sort(key=lambda found: found.id)
    head = element(
        "tr",
        element("th", "of the images with", scope="col", class_="text"),
        *(
            element("th", _short(found.id, palette), scope="col", title=found.name)
            for found in classes
        ),
    )
    body = []
    for row in classes:
        cells = []
        for column in classes:
            both = pairs[row.id][column.id]
            share = both / row.images
            step = 0 if not both else max(1, round(share * _HEAT_STEPS))
            hint = f"{both:,} of {row.images:,} images with {row.name} have {column.name}"
            cells.append(element("td", f"{share * 100:.0f}", class_=f"heat heat{step}", title=hint))
        label = element(
            "span", swatch(palette[row.id]), f"{row.id} ", name(row.name), class_="class"
        )
        body.append(element("tr", element("th", label, scope="row", class_="text"), *cells))
    caption = "Of the images that have the class of the row, percent that have that of the column"
    drawn = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body)
    )
    left_out = sum(1 for found in stats.total.classes if found.images) - len(classes)
    return section(
        "together",
        "Classes that come together",
        element(
            "div", drawn, class_="scroll heatmap", tabindex="0", role="group", aria_label=caption
        ),
        element("p", f"Left out: the {left_out} classes in the fewest images.")
        if left_out
        else None,
    )


def _short(number: int, palette: np.ndarray) -> Element:
    return element("span", swatch(palette[number]), str(number), class_="class")


def _sizes(total: SplitStats) -> Element:
    first = total.sizes[0]
    if total.distinct_sizes == 1:
        text = f"All images are {first.width} \u00d7 {first.height} pixels."
        return section("sizes", "Sizes", element("p", text))
    rows: list[list[Child]] = [
        [
            f"{size.width} \u00d7 {size.height}",
            bar(size.images / first.images, f"{size.images:,} images"),
            f"{size.images:,}",
        ]
        for size in total.sizes[:_SIZES]
    ]
    caption = f"The most frequent of {total.distinct_sizes:,} sizes"
    if total.distinct_sizes == len(rows):
        caption = f"All {len(rows)} sizes"
    drawn = table(caption, ["width \u00d7 height", "images", ""], rows)
    drawn.set("class", "scroll bars")
    spreads = (
        ("width", total.width, 0),
        ("height", total.height, 0),
        ("width / height", total.aspect, 2),
    )
    ranges = [
        [label, *(f"{value:.{digits}f}" for value in _numbers(spread))]
        for label, spread, digits in spreads
        if spread is not None
    ]
    return section("sizes", "Sizes", drawn, table("How sizes vary", ["", *_NUMBERS], ranges))


_NUMBERS = ("least", "median", "mean", "most")


def _numbers(spread: Spread) -> tuple[float, ...]:
    return spread.minimum, spread.median, spread.mean, spread.maximum


def _brightness(total: SplitStats) -> Iterator[Element]:
    if total.brightness is None or total.contrast is None:
        return
    label = (
        f"Brightness of the images: from {total.brightness.minimum:.0f} to "
        f"{total.brightness.maximum:.0f}, median {total.brightness.median:.0f}"
    )
    ranges = [
        [text, *(f"{value:.0f}" for value in _numbers(spread))]
        for text, spread in (("brightness", total.brightness), ("contrast", total.contrast))
    ]
    settings = f"-o data.mean={_listed(total.mean)} -o data.std={_listed(total.std)}"
    yield section(
        "brightness",
        "Brightness",
        element(
            "figure",
            histogram(total.brightness_histogram, "black", "white", label),
            element("figcaption", "Images by the mean of their grey values."),
        ),
        table("Grey values of images, 0 to 255: their mean and deviation", ["", *_NUMBERS], ranges),
        element("p", "To normalise with the channels of this dataset instead of 0.5:"),
        element("pre", element("code", settings), class_="copy"),
    )


def _listed(values: Sequence[float] | None) -> str:
    return "[" + ",".join(f"{value:.4g}" for value in values or ()) + "]"
