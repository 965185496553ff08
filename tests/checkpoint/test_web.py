"""What is fetched, and from where it never is (tests/webserver.py is the server)."""

import socket

import pytest

from segcore.checkpoint import web as client
from segcore.checkpoint.web import WebError, WebRules, is_url, open_web, shown_url

HTTP = WebRules(schemes=frozenset({"http"}), timeout_s=5)


def read(url, rules=HTTP):
    with open_web(url, rules) as answer:
        return b"".join(iter(lambda: answer.read(1 << 16), b""))


def test_what_stands_there_is_read(web, webserver):
    web.pages["/a"] = webserver.page(b"text")
    assert read(f"{web.address}/a") == b"text"
    assert web.requests[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "ftp://127.0.0.1/a", "gopher://a/b", "data:text/plain,a", "http://"],
)
def test_other_schemes_are_never_fetched(url):
    with pytest.raises(WebError, match=r"is not fetched|no address"):
        read(url)


def test_only_https_is_spoken_unless_the_caller_says_otherwise(web):
    with pytest.raises(WebError, match="http:// is not fetched, only https://"):
        read(f"{web.address}/a", WebRules())
    assert web.requests == []


def test_credentials_in_addresses_are_refused_unsent_and_unsaid(web):
    with pytest.raises(WebError, match="user name or a password") as caught:
        read(web.address.replace("//", "//me:secret@"))
    assert "secret" not in str(caught.value)
    assert web.requests == []


def test_what_is_shown_of_an_address_keeps_its_secrets():
    assert shown_url("https://me:pw@a.org/b?key=1#c") == "https://a.org/b?..."
    assert shown_url("https://a.org/b") == "https://a.org/b"
    assert shown_url("https://[pw") == "https://..."


def test_a_redirection_on_the_same_server_is_followed(web, webserver):
    web.pages["/from"] = webserver.redirect("/a?b=c")
    web.pages["/a?b=c"] = webserver.page(b"text")
    assert read(f"{web.address}/from") == b"text"


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/a",
        "http://127.0.0.1:1/a",
        "http://127.0.0.2:{port}/a",
        "http://[::1]:{port}/a",
        "http://[::ffff:127.0.0.1]:{port}/a",
        "http://10.0.0.1/a",
        "http://192.168.1.1/a",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/a",
        "http://0.0.0.0:{port}/a",
        "http://2130706433:{port}/a",
    ],
)
def test_a_redirection_never_leads_inside(web, webserver, target):
    target = target.format(port=web.address.rpartition(":")[2])
    web.pages["/from"] = webserver.redirect(target)
    web.pages["/a"] = webserver.page(b"secret")
    with pytest.raises(WebError, match="not public, which is not followed"):
        read(f"{web.address}/from")
    assert [path for path, _ in web.requests] == ["/from"]


def test_a_name_that_resolves_inside_only_at_the_second_look_gets_no_request(
    web, webserver, monkeypatch
):
    # the trick of rebinding: the first answer is public, and the connection leads inside
    real, asked = socket.getaddrinfo, []

    def resolve(host, port, *rest, **options):
        if host != "rebinding.example":
            return real(host, port, *rest, **options)
        asked.append(host)
        return real("8.8.8.8" if len(asked) == 1 else "127.0.0.1", port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = web.address.rpartition(":")[2]
    web.pages["/from"] = webserver.redirect(f"http://rebinding.example:{port}/a")
    web.pages["/a"] = webserver.page(b"secret")
    with pytest.raises(WebError, match="not public"):
        read(f"{web.address}/from")
    assert len(asked) == 2
    assert [path for path, _ in web.requests] == ["/from"]


@pytest.mark.parametrize("target", ["https://a.org/b", "file:///etc/hostname", "ftp://a.org/b"])
def test_a_redirection_keeps_the_scheme(web, webserver, target):
    web.pages["/from"] = webserver.redirect(target)
    both = WebRules(schemes=frozenset({"http", "https"}))
    with pytest.raises(WebError, match=r"redirects to .*, which is not followed: .*only http://"):
        read(f"{web.address}/from", both)


def test_a_redirection_brings_no_credentials(web, webserver):
    web.pages["/from"] = webserver.redirect("http://me:secret@8.8.8.8/a")
    with pytest.raises(WebError, match="which is not followed") as caught:
        read(f"{web.address}/from")
    assert "secret" not in str(caught.value)


def test_redirections_come_to_an_end(web, webserver):
    web.pages["/from"] = webserver.redirect("/from")
    with pytest.raises(WebError, match="more than 5 times"):
        read(f"{web.address}/from")
    assert len(web.requests) == 6


@pytest.mark.parametrize(("code", "passes"), [(404, False), (403, False), (429, True), (500, True)])
def test_the_answer_says_whether_another_attempt_is_worth_it(web, webserver, code, passes):
    web.pages["/a"] = webserver.status(code, Retry_After="7")
    with pytest.raises(WebError, match=f"the server answers {code}") as caught:
        read(f"{web.address}/a")
    assert (caught.value.is_temporary, caught.value.retry_after_s) == (passes, 7.0)


def test_a_silent_server_is_left(web):
    web.pages["/a"] = lambda _: web.released.wait(30)
    with pytest.raises(WebError, match=r"keeps silent|no header came") as caught:
        read(f"{web.address}/a", WebRules(schemes=HTTP.schemes, timeout_s=0.2))
    assert caught.value.is_temporary


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(WebError, match="connection failed") as caught:
        read("http://127.0.0.1:1/a")
    assert caught.value.is_temporary


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888"])
def test_public_addresses_are_public(address):
    assert client._is_public(address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a/b", True),
        ("S3://x", True),
        ("a.png", False),
        ("C:\\a.png", False),
        ("a:b", False),
    ],
)
def test_addresses_are_told_from_paths(text, expected):
    assert is_url(text) is expected
