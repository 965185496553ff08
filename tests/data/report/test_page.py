"""Reports: complete, self-contained, and safe whatever names a dataset has."""

import base64
import hashlib
import re
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from segcore.data.finding import Finding
from segcore.data.palette import voc_palette
from segcore.data.report.html import element, render_page
from segcore.data.report.page import render_report, write_report
from segcore.data.report.record import Picture, Report
from segcore.data.stats.survey import dataset_stats
from segcore.data.view.look import look_at

KINDS = ("error", "warning")
VOID = {"meta", "link", "img", "input", "br"}
ADDRESSES = {"src", "href", "srcset", "action", "data", "poster", "background", "formaction"}


class Page(HTMLParser):
    """What a page is made of; fails where an element is closed that is not the one open."""

    def __init__(self, content):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.texts = []
        self.open = []
        self.feed(content.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag} repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def hostile(hostile_report):
    return Page(hostile_report)


@pytest.fixture
def plain(shapes):
    return Page(render_report(look_at(shapes, limit=4).report(), date(2026, 1, 2)))


def headings(page):
    return [attributes["id"].removesuffix("-title") for attributes in page.all("h2")]


def test_nothing_is_loaded_from_anywhere(hostile, hostile_report):
    for tag, attributes in hostile.elements:
        for name in ADDRESSES & set(attributes):
            assert re.match(r"data:image/(jpeg|png);base64,|data:,\Z|#", attributes[name]), tag
    style = re.search(rb"<style>(.*?)</style>", hostile_report, re.S)[1]
    assert b"url(" not in style
    assert b"@import" not in style


def test_there_is_no_script_and_no_handler(hostile):
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in hostile.elements
    }
    for tag, attributes in hostile.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "style" not in attributes  # the policy would not let it apply


def test_hostile_names_stay_text(hostile):
    assert hostile.text.count("<script>alert(1)</script>") > 2
    assert '"><img src=x onerror=alert(1)>' in hostile.text
    assert "<b onclick=alert(1)>set" in hostile.text
    assert "\u4e2d\u6587 \U0001f600" in hostile.text


def test_control_and_bidirectional_characters_are_escaped(hostile, hostile_report):
    text = hostile_report.decode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
    assert "\\u202egnp.exe" in hostile.text
    assert "a\\x1b[31m\\x07b" in hostile.text
    assert "\u05e9\u05dc\u05d5\u05dd" in hostile.text  # letters stay, isolated by <bdi>


def test_the_policy_allows_this_style_and_nothing_else(hostile, hostile_report):
    policy = next(meta["content"] for meta in hostile.all("meta") if "http-equiv" in meta)
    style = re.search(rb"<style>(.*?)</style>", hostile_report, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    # what stands before a policy is not bound by it
    order = [tag for tag, _ in hostile.elements]
    assert order.index("meta") < order.index("style")


def test_a_reader_with_a_screen_reader_finds_the_way(hostile):
    assert hostile.all("html") == [{"lang": "en"}]
    assert len(hostile.all("h1")) == 1
    assert hostile.texts[1].startswith("Dataset report: ")
    assert all("alt" in image for image in hostile.all("img"))
    assert all(header["scope"] in ("row", "col") for header in hostile.all("th"))
    assert len(hostile.all("caption")) == len(hostile.all("table"))
    for tag, attributes in hostile.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
    levels = [int(tag[1]) for tag, _ in hostile.elements if re.fullmatch(r"h\d", tag)]
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_addresses_within_the_page_exist_once(hostile):
    ids = [attributes["id"] for _, attributes in hostile.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"][1:] for link in hostile.all("a")]
    assert links
    assert set(links) <= set(ids)
    labelled = {attributes.get("aria-labelledby") for _, attributes in hostile.elements} - {None}
    assert labelled <= set(ids)


def test_sections_follow_what_is_known(plain, hostile):
    assert headings(plain) == ["samples", "splits", "classes", "together", "sizes", "brightness"]
    assert headings(hostile)[0] == "findings"


def test_what_is_not_known_has_no_section():
    page = Page(render_report(Report(dataset="d", palette=voc_palette(256), findings=[])))
    assert headings(page) == ["findings"]
    assert "nothing is wrong" in page.text
    assert "Sections" not in [nav.get("aria-label") for nav in page.all("nav")]


def test_one_size_needs_no_chart(plain, hostile):
    assert "All images are 64 \u00d7 64 pixels." in plain.text
    assert "All 2 sizes" in hostile.text


def test_numbers_are_those_of_the_statistics(plain, shapes):
    stats = dataset_stats(shapes)
    star = stats.total.classes[4]
    assert f"{star.objects:,}" in plain.texts
    assert f"{star.share:.2%}".replace("%", " %") in plain.text
    assert "2026-01-02" in plain.text


def test_findings_come_worst_first_with_their_command(hostile):
    kinds = [a["class"] for t, a in hostile.elements if t == "li" and a.get("class") in KINDS]
    assert kinds == sorted(kinds)
    assert kinds.count("error") == 4
    assert "segcore data fix '<script>alert(1)</script>'" in hostile.text


def test_a_finding_says_where_it_is_once():
    finding = Finding(
        code="SEG103", severity="error", file="a.png", message="a.png: truncated",
        split="train", line=7, count=3, others=("b.png", "c.png"),
    )  # fmt: skip
    content = render_report(Report(dataset="d", palette=voc_palette(256), findings=[finding]))
    text = Page(content).text
    assert "a.png: truncatedtrain, line 7, also b.png, c.png" in text
    assert "3 samples" in text


def test_pictures_carry_their_label_apart(plain):
    images = plain.all("img")
    overlays = [image for image in images if image.get("class") == "overlay"]
    assert len(images) == 8
    assert len(overlays) == 4
    assert all(image["alt"] == "" for image in overlays)


def test_predictions_stand_beside_labels():
    image = np.zeros((8, 12, 3), np.uint8)
    label = np.ones((8, 12), np.uint8)
    picture = Picture(source="a", place="val", image=image, label=label, prediction=label)
    page = Page(render_report(Report(dataset="d", palette=voc_palette(256), pictures=[picture])))
    assert len(page.all("img")) == 4
    assert "prediction" in page.texts


def test_a_thousand_findings_are_counted_and_the_first_are_shown():
    findings = [
        Finding(code="SEG103", severity="error", file=f"{n}.png", message="x") for n in range(1000)
    ]
    page = Page(render_report(Report(dataset="d", palette=voc_palette(256), findings=findings)))
    assert "1,000" in page.texts
    assert "and 700 more." in page.text


def test_many_classes_are_folded_and_the_rarest_leave_the_heat_map(tmp_path):
    import cv2

    label = np.repeat(np.arange(120, dtype=np.uint8), 4).reshape(20, 24)
    for name, pixels in (("i.png", np.dstack([label] * 3)), ("l.png", label)):
        (tmp_path / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    (tmp_path / "train.txt").write_text("i.png l.png\n")
    page = Page(render_report(look_at(tmp_path).report()))
    assert len(page.all("details")) == 1
    assert "Left out: the 80 classes in the fewest images." in page.text


def test_the_file_is_written(tmp_path, shapes):
    write_report(tmp_path / "r.html", look_at(shapes, limit=1).report())
    assert (tmp_path / "r.html").read_bytes().startswith(b"<!doctype html>\n<html")


def test_styles_cannot_end_early():
    with pytest.raises(ValueError, match="end of an element"):
        render_page("t", "a{}</style>")


def test_attributes_and_texts_are_escaped():
    page = render_page("t & <t>", "", element("p", "a<b", title='"x" & <y>')).decode()
    assert "<title>t &amp; &lt;t&gt;</title>" in page
    assert "a&lt;b" in page
    assert '"x"' not in page
