"""Reports in a real browser: nothing is complained of, nothing fetched, nothing cut off.

The browser is driven by its DevTools protocol over a pipe, which needs no port and no package.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")

# the browser reads its orders from descriptor 3 and answers on 4
LAUNCH = """
import fcntl, os, sys
orders, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(orders, 3), os.dup2(answers, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A headless browser with one page; `events` holds what it tells."""

    def __init__(self, profile):
        to_child, self._to = os.pipe()
        self._from, from_child = os.pipe()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", LAUNCH, str(to_child), str(from_child), BROWSER),
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
                *(f"--user-data-dir={profile}", "--no-first-run"),
                *("--disable-background-networking", "about:blank"),
            ],
            pass_fds=(to_child, from_child),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child)
        os.close(from_child)
        self._answers = os.fdopen(self._from, "rb", buffering=0)
        self._rest = b""
        self._count = 0
        self._session = None
        self.events = []
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in pages if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self._rest:
            part = self._answers.read(65536)
            assert part, "the browser has gone"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, page, width=1280, scheme="light"):
        """Load a page and wait until everything that it holds is there."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def complaints(self):
        """What stands in the console, and dialogs."""
        names = {
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Page.javascriptDialogOpening",
        }
        return [event["params"] for event in self.events if event.get("method") in names]

    def requests(self):
        """The addresses that were asked for, but for the page and pictures inside it."""
        asked = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in asked[1:] if not url.startswith("data:")]

    def close(self):
        self._session = None
        os.write(self._to, b'{"id":0,"method":"Browser.close"}\0')
        self._process.wait(20)
        os.close(self._to)
        self._answers.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory, hostile_report):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(hostile_report)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_report_loads_alone_and_fits(browser, page, width, scheme):
    browser.open(page, width, scheme)
    assert browser.complaints() == []
    assert browser.requests() == []
    overflow = browser.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0
    broken = "[...document.images].filter(i => !i.complete || i.naturalWidth === 0).length"
    assert browser.evaluate(broken) == 0


def test_its_style_applies(browser, page):
    browser.open(page)
    assert browser.evaluate("getComputedStyle(document.body).marginTop") == "0px"
    light = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    browser.open(page, scheme="dark")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_names_make_no_elements(browser, page):
    browser.open(page)
    found = "document.querySelectorAll('script, [onerror], [onclick], img[src=x]').length"
    assert browser.evaluate(found) == 0
    assert browser.evaluate("document.body.innerText.includes('<script>alert(1)</script>')")


def test_text_is_readable_in_both_schemes(browser, page):
    for scheme in ("light", "dark"):
        browser.open(page, scheme=scheme)
        assert browser.evaluate(CONTRASTS) == []


def test_labels_can_be_taken_away(browser, page):
    browser.open(page)
    seen = "getComputedStyle(document.querySelector('.overlay')).visibility"
    assert browser.evaluate(seen) == "visible"
    browser.evaluate("document.getElementById('labels').click()")
    assert browser.evaluate(seen) == "hidden"


def test_these_tests_would_notice(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><meta charset=utf-8><p style='width:3000px'>wide</p>"
        "<img src='http://127.0.0.1:9/x.png'><script>console.error('no')</script>"
    )
    browser.open(bad)
    assert browser.requests() == ["http://127.0.0.1:9/x.png"]
    assert browser.complaints()
    assert browser.evaluate("document.documentElement.scrollWidth - window.innerWidth") > 0


# WCAG 2's contrast of 4.5 for every text, against the nearest background that is not transparent
CONTRASTS = """
(() => {
  const parse = c => {
    const srgb = c.startsWith('color(srgb');
    const n = c.match(/[\\d.]+(?:e-?\\d+)?/g).map(Number);
    const rgb = n.slice(0, 3).map(v => srgb ? v : v / 255);
    return {rgb, alpha: n.length > 3 ? n[3] : 1};
  };
  const luminance = rgb => {
    const [r, g, b] = rgb.map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.alpha > 0) return colour.rgb;
    }
    return [1, 1, 1];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest('svg')) continue;
    const a = luminance(parse(getComputedStyle(e).color).rgb), b = luminance(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([e.className, node.data.slice(0, 30), ratio]);
  }
  return poor;
})()
"""
