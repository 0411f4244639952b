"""The decision table (`LifeOfARequest.md`) in order, over both protocols, and the edges of HTTP/1.1, byte by byte."""

import re
import subprocess

import pytest

from harness import over_both, websocket
from harness.gateway import FETCH, NAVIGATION
from harness.raw import Closed
from harness.upstreams import answer as reply
from harness.upstreams import replies
from harness.websocket import asked

GATEWAY = {}


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream(replies(lambda request: reply(request.target.encode())))


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


def get(vmid_host: str, *lines: str, start: str = "GET / HTTP/1.1") -> bytes:
    return "\r\n".join([start, f"Host: {vmid_host}", *lines, "", ""]).encode("latin-1")


# --- head and host: malformed ---

HOST = "dev-1101.zlh.localhost"
MALFORMED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", {400}),
    "two hosts": (get(HOST, f"Host: {HOST}"), {400}),
    "empty host": (get(""), {400, 421}),
    "host with user": (get(f"a@{HOST}"), {400}),
    "host with path": (get(f"{HOST}/x"), {400}),
    "host with query": (get(f"{HOST}?x"), {400}),
    "host with space": (get("dev-1101 .zlh.localhost"), {400}),
    "host list": (get(f"{HOST}, {HOST}"), {400}),
    "host with bad port": (get(f"{HOST}:https"), {400}),
    "host with huge port": (get(f"{HOST}:99999"), {400}),
    "host with percent": (get("dev-%31101.zlh.localhost"), {400, 421}),
    "host in UTF-8": (get("dev-1101\u00e9.zlh.localhost"), {400}),
    "bare LF": (b"GET / HTTP/1.1\nHost: " + HOST.encode() + b"\n\n", {400}),
    "one bare LF": (b"GET / HTTP/1.1\r\nHost: " + HOST.encode() + b"\nX: y\r\n\r\n", {400}),
    "bare CR": (get(HOST, "X: a\rb"), {400}),
    "NUL": (get(HOST, "X: a\0b"), {400}),
    "control in a value": (get(HOST, "X: a\x01b"), {400}),
    "folded": (get(HOST, "X: a", " b"), {400}),
    "space before colon": (get(HOST, "X : a"), {400}),
    "leading space": (b"GET / HTTP/1.1\r\n Host: " + HOST.encode() + b"\r\n\r\n", {400}),
    "empty name": (get(HOST, ": a"), {400}),
    "no colon": (get(HOST, "X"), {400}),
    "name with parentheses": (get(HOST, "X(a): b"), {400}),
    "8-bit name": (get(HOST, "X\u00e9: b"), {400}),
    "two spaces": (get(HOST, start="GET  / HTTP/1.1"), {400}),
    "tab separator": (get(HOST, start="GET\t/\tHTTP/1.1"), {400}),
    "trailing space": (get(HOST, start="GET / HTTP/1.1 "), {400}),
    "no version": (b"GET /\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /\n", {400}),
    "HTTP/2.0": (get(HOST, start="GET / HTTP/2.0"), {400, 505}),
    "HTTP/1": (get(HOST, start="GET / HTTP/1"), {400, 505}),
    "HTTP/1.10": (get(HOST, start="GET / HTTP/1.10"), {400, 505}),
    "http/1.1": (get(HOST, start="GET / http/1.1"), {400, 505}),
    "method with brackets": (get(HOST, start="G[T / HTTP/1.1"), {400}),
    "no method": (get(HOST, start=" / HTTP/1.1"), {400}),
    "fragment": (get(HOST, start="GET /a#b HTTP/1.1"), {400}),
    "raw 8-bit target": (get(HOST, start="GET /\u00e9 HTTP/1.1"), {400}),
    "control in target": (get(HOST, start="GET /a\x07b HTTP/1.1"), {400}),
    "NUL in target": (get(HOST, start="GET /a\0b HTTP/1.1"), {400}),
    "delete in target": (get(HOST, start="GET /a\x7fb HTTP/1.1"), {400}),
    "target without slash": (get(HOST, start="GET a HTTP/1.1"), {400}),
    "absolute http": (get(HOST, start=f"GET http://{HOST}/ HTTP/1.1"), {400}),
    "absolute of another host": (get(HOST, start="GET https://dev-1102.zlh.localhost/ HTTP/1.1"), {400}),
    "absolute with user": (get(HOST, start=f"GET https://a@{HOST}/ HTTP/1.1"), {400}),
    "CL and TE": (get(HOST, "Content-Length: 3", "Transfer-Encoding: chunked", start="POST / HTTP/1.1")
                  + b"0\r\n\r\n", {400}),
    "two lengths": (get(HOST, "Content-Length: 1", "Content-Length: 2", start="POST / HTTP/1.1") + b"ab", {400}),
    "length list": (get(HOST, "Content-Length: 1, 2", start="POST / HTTP/1.1") + b"ab", {400}),
    "signed length": (get(HOST, "Content-Length: +1", start="POST / HTTP/1.1") + b"a", {400}),
    "negative length": (get(HOST, "Content-Length: -1", start="POST / HTTP/1.1") + b"a", {400}),
    "hex length": (get(HOST, "Content-Length: 0x1", start="POST / HTTP/1.1") + b"a", {400}),
    "empty length": (get(HOST, "Content-Length:", start="POST / HTTP/1.1"), {400}),
    "length with space": (get(HOST, "Content-Length: 1 1", start="POST / HTTP/1.1") + b"a", {400}),
    "length over 2^64": (get(HOST, "Content-Length: 18446744073709551617", start="POST / HTTP/1.1") + b"a", {400}),
    "length of 40 digits": (get(HOST, "Content-Length: " + "9" * 40, start="POST / HTTP/1.1") + b"a", {400}),
    "length on unicode digits": (get(HOST, "Content-Length: \u00b2", start="POST / HTTP/1.1") + b"a", {400}),
    "gzip, chunked": (get(HOST, "Transfer-Encoding: gzip, chunked", start="POST / HTTP/1.1"), {501}),
    "xchunked": (get(HOST, "Transfer-Encoding: xchunked", start="POST / HTTP/1.1"), {501}),
    "identity": (get(HOST, "Transfer-Encoding: identity", start="POST / HTTP/1.1"), {501}),
    "chunked, chunked": (get(HOST, "Transfer-Encoding: chunked, chunked", start="POST / HTTP/1.1"), {400, 501}),
    "two TE": (get(HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", start="POST / HTTP/1.1"),
               {400, 501}),
    "vertical tab chunked": (get(HOST, "Transfer-Encoding: \x0bchunked", start="POST / HTTP/1.1"), {400, 501}),
    "quoted chunked": (get(HOST, 'Transfer-Encoding: "chunked"', start="POST / HTTP/1.1"), {501}),
    "chunked with parameter": (get(HOST, "Transfer-Encoding: chunked;x", start="POST / HTTP/1.1"), {501}),
    "empty TE": (get(HOST, "Transfer-Encoding:", start="POST / HTTP/1.1"), {400, 501}),
    "TE in HTTP/1.0": (get(HOST, "Transfer-Encoding: chunked", start="POST / HTTP/1.0") + b"0\r\n\r\n", {400}),
    "three empty lines": (b"\r\n\r\n\r\n" + get(HOST), {400}),
    "TLS in TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n", {400}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "PROXY line": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n" + get(HOST), {400}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_is_refused_and_closes(gw, name):
    data, statuses = MALFORMED[name]
    with gw.raw(1101) as raw:
        raw.send(data)
        answer = raw.answer()
        assert answer.status in statuses, answer
        assert answer.get("connection", "").lower() == "close"
        assert re.fullmatch(r"[0-9a-f]{32}", answer.one("x-request-id"))
        assert raw.is_closed()


def test_malformed_requests_never_reach_the_container(gw, up, cookie):
    before = len(up.requests)
    for data, _ in MALFORMED.values():
        data = data.replace(HOST.encode(), gw.host(up.vmid).encode())
        data = data.replace(b"\r\n\r\n", b"\r\nCookie: __Host-zlh_s=" + cookie.encode() + b"\r\n\r\n", 1)
        with gw.raw(up.vmid) as raw:
            raw.send(data)
            try:
                assert raw.answer().status >= 400
            except Closed:
                pass
    assert len(up.requests) == before


def test_up_to_two_empty_lines_and_equal_lengths_are_forgiven(gw, up, cookie):
    with gw.raw(up.vmid) as raw:
        raw.send(b"\r\n\r\n" + get(raw.host, f"Cookie: __Host-zlh_s={cookie}"))
        assert raw.answer().status == 200


BAD_CHUNKS = {
    "bare LF after size": b"5\nhello\r\n0\r\n\r\n", "bare LF after data": b"5\r\nhello\n0\r\n\r\n",
    "no CRLF after data": b"5\r\nhello0\r\n\r\n", "not hex": b"g\r\nhello\r\n", "empty size": b"\r\nhello\r\n",
    "signed": b"+5\r\nhello\r\n0\r\n\r\n", "0x": b"0x5\r\nhello\r\n0\r\n\r\n", "space": b"5 \r\nhello\r\n0\r\n\r\n",
    "17 digits": b"10000000000000005\r\nhello\r\n", "16 digits of f": b"ffffffffffffffff\r\nhello\r\n",
    "bare CR in extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n", "bare LF in extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "NUL in extension": b"5;a\0b\r\nhello\r\n0\r\n\r\n", "too long data": b"3\r\nhello\r\n0\r\n\r\n",
    "bad trailer": b"5\r\nhello\r\n0\r\nno colon\r\n\r\n", "bare LF trailer": b"0\r\na: b\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_malformed_chunks_end_the_exchange(gw, up, cookie, name):
    with gw.raw(up.vmid) as raw:
        raw.send(get(raw.host, "Transfer-Encoding: chunked", f"Cookie: __Host-zlh_s={cookie}",
                     start="POST /chunks HTTP/1.1") + BAD_CHUNKS[name])
        assert raw.answer().status == 400
        assert raw.is_closed()


# --- host: whose it is ---

@over_both
@pytest.mark.parametrize("host", [
    "zlh.localhost", "localhost", "dev-.zlh.localhost", "dev-01101.zlh.localhost", "dev-0.zlh.localhost",
    "dev-1101a.zlh.localhost", "xdev-1101.zlh.localhost", "dev-1101.other.localhost", "a.dev-1101.zlh.localhost",
    "dev-1101.zlh.localhost.evil", "127.0.0.1", "[::1]", "dev-1101", "dev--1101.zlh.localhost",
    "dev-1101zlh.localhost", "dev-1101.zlh.localhost..", "dev-99999999999999999999.zlh.localhost",
    "dev-1000000000.zlh.localhost", "dev-1101_.zlh.localhost", "portal.zlh.localhost", "dev_1101.zlh.localhost",
])
def test_other_hosts_are_misdirected(gw, host):
    answer = gw.request(1101, "/", FETCH, host=host)
    assert answer.status in ((400, 421) if host.endswith("..") else (421,)), answer
    if answer.status == 421:
        assert answer.json()["error"] == "misdirected"


@over_both
@pytest.mark.parametrize("spelling", ["{h}", "{H}", "{h}.", "{h}:443", "{H}.:8443", "{h}:1"])
def test_spellings_of_our_host(gw, up, cookie, spelling):
    host = gw.host(up.vmid)
    answer = gw.request(up.vmid, "/", cookie=cookie, host=spelling.format(h=host, H=host.upper()))
    assert answer.status == 200


@over_both
def test_host_decides_per_request_and_not_the_sni(gw, up, cookie):
    other = gw.claim_vmid()
    with gw.client(other) as raw:
        assert raw.request(host=gw.host(up.vmid), cookie=cookie).status == 200
        assert raw.request(host=gw.host(other), cookie=cookie).status == 401
        assert raw.request(host="portal.example").status == 421
        assert raw.request(host=gw.host(up.vmid), cookie=cookie).status == 200


# --- head: limits; the rest is in test_limits.py ---

@over_both
@pytest.mark.parametrize("fields", [
    [("X", "y" * 33_000)], [(f"X-{n}", "y") for n in range(101)], [("X", "y" * 600)] * 60,
], ids=["bytes", "fields", "sum"])
def test_too_many_headers_are_431(gw, http, fields):
    with gw.client(1101) as raw:
        answer = raw.request(headers=fields)
        assert answer.status == 431 and not answer.all("clear-site-data")
        if http == "h2":
            assert raw.request(headers=FETCH).status == 401, "it was one stream's"
        else:
            assert raw.is_closed()


@over_both
def test_a_long_request_line_is_431_and_never_414(gw):
    with gw.client(1101) as raw:
        assert raw.request(target="/" + "x" * 40_000).status == 431


@over_both
def test_a_navigation_drowned_by_its_cookies_may_clear_them(gw):
    with gw.client(1101) as raw:
        answer = raw.request(headers=NAVIGATION | {"Cookie": "a=" + "y" * 33_000})
        assert answer.status == 431
        assert answer.one("clear-site-data") == '"cookies"'


BIG = {
    "cookie": {"Cookie": "a=" + "y" * 33_000}, "field": {"X": "y" * 33_000},
    "fields": {f"X-{n}": "y" for n in range(101)}, "small cookie": {"Cookie": "a=b", "X": "y" * 33_000},
    "cookie behind": {"X": "y" * 20_000, "Cookie": "a=" + "y" * 18_000},
}


@over_both
@pytest.mark.parametrize("big", BIG)
@pytest.mark.parametrize("how", [
    NAVIGATION, {"Accept": "text/html"}, {"Sec-Fetch-Mode": "navigate"},
    {"Accept": "text/html", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"},
], ids=["Chromium", "old", "mode", "Firefox's worker"])
def test_a_navigation_too_large_gets_a_page(gw, how, big):
    for headers in (how | BIG[big], BIG[big] | how):  # whether it comes before or behind the limit
        with gw.client(1101) as raw:
            answer = raw.request(headers=headers)
            assert answer.status == 431 and answer.one("content-type") == "text/html; charset=utf-8", answer
            assert bool(answer.all("clear-site-data")) == big.startswith("cookie")


@over_both
@pytest.mark.parametrize("big", BIG)
def test_what_is_no_navigation_and_too_large_gets_json_and_keeps_its_cookies(gw, big):
    for method, headers in [("GET", FETCH), ("POST", NAVIGATION), ("GET", {})]:
        with gw.client(1101) as raw:
            answer = raw.request(method, headers=headers | BIG[big])
            assert answer.status == 431 and not answer.all("clear-site-data"), answer
            if method == "GET":
                assert answer.json()["error"] == "too_large"


def test_a_navigation_of_too_many_cookies_may_clear_them(gw):
    """Over HTTP/2 each is a field of its own."""
    for headers, clears in ((NAVIGATION, True), (FETCH, False)):
        with gw.http2(1101) as client:
            answer = client.request(headers=[*headers.items(), *[("cookie", f"c{n}=x") for n in range(101)]])
            assert answer.status == 431 and bool(answer.all("clear-site-data")) == clears, answer


@over_both
def test_a_navigation_to_too_long_an_address_gets_a_page(gw):
    with gw.client(1101) as raw:
        answer = raw.request(target="/" + "x" * 40_000, headers=NAVIGATION)
        assert answer.status == 431 and answer.one("content-type") == "text/html; charset=utf-8"
        assert gw.access(answer.one("x-request-id"))["method"] == "GET"


@over_both
def test_the_log_says_the_method_of_what_is_refused(gw, http):
    for method in ("GET", "PROPFIND", "X" * 40):
        with gw.client(1101) as raw:
            answer = raw.request(method, headers={"X": "y" * 33_000})
            assert answer.status == 431
            assert gw.access(answer.one("x-request-id"))["method"] == method[:32]


def test_a_malformed_navigation_gets_a_page(gw):
    for line in ("X : a", "X"):
        with gw.raw(1101) as raw:
            raw.send(get(HOST, "Accept: text/html", line))
            answer = raw.answer()
            assert answer.status == 400 and answer.one("content-type") == "text/html; charset=utf-8"
            assert gw.access(answer.one("x-request-id"))["method"] == "GET"
    for data, method in [(b"G[T / HTTP/1.1\r\n\r\n", "G[T"), (b"\x16\x03\x01\0\r\n", "-"), (b"G\"T /\r\n\r\n", 'G"T')]:
        with gw.raw(1101) as raw:
            raw.send(data)
            answer = raw.answer()
            assert answer.status == 400 and answer.json()["error"] == "bad_request"
            assert gw.access(answer.one("x-request-id"))["method"] == method


@over_both
def test_heads_just_inside_the_limit_pass(gw, up, cookie):
    with gw.client(up.vmid) as raw:
        assert raw.request(headers=[(f"X-{n}", "y") for n in range(95)], cookie=cookie).status == 200
        assert raw.request(headers={"X": "y" * 31_000}, cookie=cookie).status == 200


# --- own endpoints, session, site, route, generation, forward ---

@over_both
def test_own_paths_come_before_the_session(gw):
    assert gw.request(1101, "/.zlh/nothing", FETCH).status == 404


@over_both
@pytest.mark.parametrize("headers, page", [
    (NAVIGATION, True), ({"Accept": "text/html"}, True), ({"Accept": "text/html", "Sec-Fetch-Dest": "document"}, True),
    ({"Accept": "text/html", "Sec-Fetch-Dest": "iframe"}, True), ({"Sec-Fetch-Mode": "navigate"}, True),
    ({"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin",
      "Sec-Fetch-Dest": "empty"}, True),
    ({"Accept": "text/html", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, False),
    ({"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, False), ({"Accept": "*/*"}, False), ({}, False),
], ids=str)
def test_who_gets_a_page(gw, headers, page):
    for method in ("GET", "POST"):
        answer = gw.request(1101, "/", headers, method=method, body=b"" if method == "POST" else None)
        assert answer.status == 401
        assert answer.one("content-type") == ("text/html; charset=utf-8" if page else "application/json")


@over_both
def test_no_route_and_conflict(gw):
    gone, first, second = (gw.claim_vmid() for _ in range(3))
    sessions = {vmid: gw.launch(vmid) for vmid in (gone, first, second)}

    def change(routes):
        routes["ide"].pop(gone)
        routes["ide"][second]["address"] = routes["ide"][first]["address"]

    gw.write_routes(change)
    page = gw.request(gone, "/", NAVIGATION, cookie=sessions[gone])
    assert page.status == 404 and page.one("content-type").startswith("text/html")
    assert b'http-equiv="refresh"' in page.body
    # Programs take a 404 for an answer of the IDE's, and ask at once for the next thing.
    for method, fields in (("GET", FETCH), ("POST", FETCH), ("GET", {"Accept": "*/*"}), ("DELETE", {})):
        got = gw.request(gone, "/", fields, method=method, cookie=sessions[gone])
        assert (got.status, got.json()["error"], got.one("retry-after")) == (503, "no_such_ide", "2"), (method, got)
    with gw.client(gone) as client:
        refused = asked(client, cookie=sessions[gone]).opening
        assert refused.status == 503 and refused.all("retry-after") == ["2"]
    for vmid in (first, second):
        answer = gw.request(vmid, "/", FETCH, cookie=sessions[vmid])
        assert answer.status == 503 and answer.json()["error"] == "route_conflict"
        assert answer.one("retry-after") == "2"
    assert gw.metric("zlh_edge_route_conflicts") > 0


@over_both
def test_another_generation_is_no_session_and_clears_the_cookie(gw):
    upstream = gw.upstream()
    session = gw.launch(upstream.vmid)
    gw.write_routes(lambda routes: routes["ide"][upstream.vmid].update(generation="reborn"))
    answer = gw.request(upstream.vmid, "/", FETCH, cookie=session)
    assert answer.status == 401
    assert "Max-Age=0" in answer.cookies["__Host-zlh_s"]
    assert not upstream.requests


@over_both
def test_otherwise_it_is_forwarded(gw, up, cookie):
    answer = gw.request(up.vmid, "/a/b?c=%2F", cookie=cookie)
    assert (answer.status, answer.body) == (200, b"/a/b?c=%2F")
    assert not answer.all("cache-control")


# --- the edges of HTTP/1.1 ---

def test_pipelined_requests_are_answered_in_order(gw, up, cookie):
    with gw.raw(up.vmid) as raw:
        line = f"Cookie: __Host-zlh_s={cookie}"
        raw.send(b"".join(get(raw.host, line, start=f"GET /{n} HTTP/1.1") for n in range(20)))
        assert [raw.answer().body for _ in range(20)] == [b"/%d" % n for n in range(20)]


def test_pipelined_bodies_and_own_answers_in_order(gw, up, cookie):
    with gw.raw(up.vmid) as raw:
        line = f"Cookie: __Host-zlh_s={cookie}"
        raw.send(get(raw.host, line, "Content-Length: 5", start="POST /1 HTTP/1.1") + b"hello"
                 + get(raw.host, start="GET /.zlh/session HTTP/1.1")
                 + get(raw.host, line, "Transfer-Encoding: chunked", start="POST /3 HTTP/1.1")
                 + b"3;x=y\r\nabc\r\n0\r\nTrailer: gone\r\n\r\n" + get(raw.host, line, start="GET /4 HTTP/1.1"))
        answers = [raw.answer() for _ in range(4)]
        assert [a.status for a in answers] == [200, 401, 200, 200]
        assert [answers[n].body for n in (0, 2, 3)] == [b"/1", b"/3", b"/4"]


def test_a_request_in_single_bytes(gw, up, cookie):
    with gw.raw(up.vmid) as raw:
        raw.dribble(get(raw.host, f"Cookie: __Host-zlh_s={cookie}", "Content-Length: 3", start="POST /slow HTTP/1.1")
                    + b"abc")
        assert raw.answer().body == b"/slow"
        assert up.last.body == b"abc"


def test_keep_alive_and_connection_close(gw, up, cookie):
    with gw.raw(up.vmid) as raw:
        for _ in range(3):
            assert raw.request(cookie=cookie).status == 200
        answer = raw.request(headers={"Connection": "close"}, cookie=cookie)
        assert answer.status == 200 and answer.one("connection").lower() == "close"
        assert raw.is_closed()


def test_http_1_0(gw, cookie):
    chunked = gw.upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    session = gw.launch(chunked.vmid)
    with gw.raw(chunked.vmid) as raw:
        answer = raw.request(cookie=session, version="HTTP/1.0")
        assert answer.status == 200 and answer.body == b"hello" and answer.until_close
        assert not answer.all("transfer-encoding")
        assert chunked.last.version == "HTTP/1.1"


def test_no_interim_answer_to_http_1_0(gw):
    hints = gw.upstream(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    session = gw.launch(hints.vmid)
    with gw.raw(hints.vmid) as raw:
        answer = raw.request(cookie=session, version="HTTP/1.0")
        assert (answer.status, answer.interim) == (200, [])
    with gw.raw(hints.vmid) as raw:
        answer = raw.request(cookie=session)
        assert [i.status for i in answer.interim] == [103] and answer.status == 200


@over_both
def test_expect_continue(gw, up, cookie):
    with gw.client(up.vmid) as raw:
        request = raw.open("POST", "/expect", {"Expect": "100-continue"}, cookie=cookie, length=5)
        assert request.interim_head().status == 100
        request.write(b"hello")
        request.finish()
        assert request.answer().body == b"/expect"
        assert up.last.body == b"hello" and not up.last.all("expect")


@over_both
def test_expect_is_between_the_client_and_us(gw):
    """A container that answers without the body would be left in the middle of a request. It is not asked."""
    def early(connection):
        while (request := connection.read_head()) is not None:
            if request.get("expect"):
                connection.send(reply(b"not yet", "417 Expectation Failed"))
                continue
            connection.read_body(request)
            connection.send(reply(request.body))

    container = gw.upstream(early)
    session = gw.launch(container.vmid)
    with gw.client(container.vmid) as client:
        for n in range(3):
            request = client.open("PUT", "/", {"Expect": "100-Continue"}, cookie=session, length=2)
            assert request.interim_head().status == 100
            request.write(b"%02d" % n)
            request.finish()
            assert request.answer().body == b"%02d" % n
    assert len(container.connections) == 1


@over_both
def test_expect_without_a_body_asks_for_none(gw, up, cookie):
    got = gw.request(up.vmid, "/expect", {"Expect": "100-continue"}, cookie=cookie)
    assert (got.status, got.interim) == (200, [])
    assert not up.last.all("expect")


def test_expect_of_http_1_0_is_ignored(gw, up, cookie):
    with gw.raw(up.vmid) as raw:
        got = raw.request("POST", "/expect", {"Expect": "100-continue"}, b"hello", cookie=cookie, version="HTTP/1.0")
        assert (got.status, got.interim) == (200, [])
    assert not up.last.all("expect") and up.last.body == b"hello"


@over_both
def test_expect_where_nobody_listens_is_refused_before_the_body(gw):
    vmid = gw.claim_vmid()
    session = gw.launch(vmid)
    with gw.client(vmid) as client:
        got = client.open("POST", "/", {"Expect": "100-continue"}, cookie=session, length=5_000_000).answer()
        assert (got.status, got.interim) == (503, [])


@over_both
def test_a_launch_form_that_expects(gw):
    vmid = gw.claim_vmid()
    form = f"token={gw.token(vmid)}&next=/x".encode()
    fields = {"Expect": "100-continue", "Content-Type": "application/x-www-form-urlencoded"}
    with gw.client(vmid) as client:
        request = client.open("POST", "/.zlh/launch", fields, length=len(form))
        assert request.interim_head().status == 100
        request.write(form)
        request.finish()
        assert request.answer().status == 303


@over_both
def test_expect_continue_without_a_session_is_refused_before_the_body(gw, up):
    with gw.client(up.vmid) as raw:
        answer = raw.open("POST", "/expect", {"Expect": "100-continue"}, length=5_000_000).answer()
        assert answer.status == 401 and not answer.interim


def test_expect_continue_with_curl(gw, up, cookie, tmp_path):
    (tmp_path / "body").write_bytes(b"z" * 3_000_000)
    host = gw.host(up.vmid)
    done = subprocess.run(
        ["curl", "-sS", "--http1.1", "--cacert", gw.authority.file, "--resolve", f"{host}:{gw.port}:127.0.0.1",
         "-H", "Expect: 100-continue", "-b", f"__Host-zlh_s={cookie}", "-T", tmp_path / "body",
         "-w", " %{http_code}", f"https://{host}:{gw.port}/put"], capture_output=True, text=True, timeout=30)
    assert done.stdout == "/put 200", done
    assert len(up.last.body) == 3_000_000


@over_both
def test_an_unknown_expectation(gw, up, cookie):
    answer = gw.request(up.vmid, "/", {"Expect": "miracles"}, cookie=cookie)
    assert answer.status in (200, 417)


@over_both
@pytest.mark.parametrize("method, head", [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\nETag: \"x\"\r\n\r\n"),
])
def test_answers_without_a_body(gw, method, head):
    upstream = gw.upstream(head)
    session = gw.launch(upstream.vmid)
    with gw.client(upstream.vmid) as raw:
        for _ in range(3):
            answer = raw.request(method, cookie=session)
            assert answer.status == int(head[9:12])
            if answer.status == 204:
                assert not answer.all("transfer-encoding") and not answer.all("content-length")
        assert raw.quiet()
    assert len(upstream.connections) == 1


def test_absolute_form_becomes_origin_form(gw, up, cookie):
    for target, seen in [(f"https://{gw.host(up.vmid)}/a?b", "/a?b"), (f"HTTPS://{gw.host(up.vmid).upper()}/x", "/x")]:
        assert gw.request(up.vmid, target, cookie=cookie).status == 200
        assert up.last.target == seen


@over_both
def test_trace(gw, up, cookie):
    before = len(up.requests)
    assert gw.request(up.vmid, "/", FETCH, method="TRACE", cookie=cookie).status == 405
    assert len(up.requests) == before


def test_connect(gw, up, cookie):
    before = len(up.requests)
    with gw.raw(up.vmid) as raw:
        answer = raw.request("CONNECT", f"{raw.host}:443", cookie=cookie)
        assert answer.status == 501
    assert len(up.requests) == before


@over_both
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "x-odd!"])
def test_methods_we_do(gw, up, cookie, method):
    assert gw.request(up.vmid, "/m", method=method, cookie=cookie).status == 200
    assert up.last.method == method


def test_h2c_upgrade_is_removed(gw, up, cookie):
    for upgrade in ("h2c", "H2C", "h2c, websocket", "TLS/1.0"):
        answer = gw.request(up.vmid, "/", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": upgrade,
                                           "HTTP2-Settings": "AAMAAABkAAQAAP__"}, cookie=cookie)
        if "websocket" in upgrade:
            assert answer.status in (200, 400, 403)
        else:
            assert answer.status == 200
        fields = up.last.fields()
        assert "upgrade" not in fields and "http2-settings" not in fields
        assert "upgrade" not in "".join(fields.get("connection", [])).lower()


def test_an_upgrade_with_a_body_is_refused(gw, up, cookie):
    before = len(up.requests)
    with gw.raw(up.vmid) as raw:
        answer = websocket.upgrade(raw, cookie=cookie, headers={"Content-Length": "5"})
        assert answer.status == 400
    assert len(up.requests) == before


def test_answering_before_the_body_came_does_not_desync(gw, up, cookie):
    """A 401 to a request whose body is still on its way: the body must never be read as a request."""
    smuggled = get(gw.host(up.vmid), f"Cookie: __Host-zlh_s={cookie}", start="GET /smuggled HTTP/1.1")
    with gw.raw(up.vmid) as raw:
        raw.send(get(raw.host, f"Content-Length: {len(smuggled)}", start="POST / HTTP/1.1"))
        assert raw.answer().status == 401
        try:
            raw.send(smuggled)
            rest = raw.timeout(2).read_to_end()
        except (OSError, TimeoutError):
            rest = b""
        assert not rest
    assert all(request.target != "/smuggled" for request in up.requests)


def test_plain_http_on_the_https_port_ends_quietly(gw):
    import socket

    with socket.create_connection((gw.address, gw.port), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in plain.recv(1000)
        assert not plain.recv(1000), "and not only when the handshake has taken too long"


def test_http_listener_answers_308_only(make_gateway):
    import socket

    from harness.gateway import free_port

    port = free_port()
    gw = make_gateway(listen={"http": [f"127.0.0.1:{port}"]})
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(f"GET /a?b=c HTTP/1.1\r\nHost: {gw.host(1101)}:{port}\r\nConnection: close\r\n\r\n".encode())
        text = b""
        while data := plain.recv(4096):
            text += data
    assert text.startswith(b"HTTP/1.1 308 "), text
    # The port it was asked on speaks no TLS.
    assert re.search(rb"\r\nlocation: https://dev-1101\.zlh\.localhost/a\?b=c\r\n", text, re.I), text
