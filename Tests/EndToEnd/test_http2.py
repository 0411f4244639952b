"""What is HTTP/2's own: translation, streams that mind their own business, windows, priorities.

What holds for both protocols is in the other files, which run over both."""

import re
import ssl
import subprocess
import threading
import time

import httpx
import pytest

from harness import frames as f
from harness import upstreams as rogue
from harness.frames import Frames
from harness.gateway import FETCH, NAVIGATION, flat, wait_for
from harness.http2 import CANCEL, NO_ERROR, REFUSED_STREAM, Connection, Reset, as_bytes, status_of
from harness.raw import Closed
from harness.upstreams import answer as reply
from harness.upstreams import after_request, pages, replies

GATEWAY = {"limits": {"upstream": {"connect": "2s", "response": "5s", "per_vmid": 1000}}}
MB = 1 << 20


@pytest.fixture(autouse=True)
def over_http2(monkeypatch):
    """`launch()`, `request()` and `client()` of this file."""
    from harness.gateway import Gateway

    monkeypatch.setattr(Gateway, "protocol", "h2")


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream(replies(lambda request: reply(request.target.encode())))


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


def behind(gw, script, **more):
    upstream = gw.upstream(script, **more)
    return upstream, gw.launch(upstream.vmid)


def open_connections(upstream) -> list:
    return [c for c in upstream.connections if c.sock.fileno() >= 0]


# --- ALPN ---

@pytest.mark.parametrize("offered, chosen", [
    (["h2"], "h2"), (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), ([], None),
])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_alpn(gw, up, cookie, offered, chosen, version):
    context = gw.authority.context(offered) if offered else ssl.create_default_context(cafile=str(gw.authority.file))
    context.minimum_version = context.maximum_version = version
    if chosen == "h2":
        with gw.http2(up.vmid, context=context) as connection:
            assert connection.request(target="/alpn", cookie=cookie).body == b"/alpn"
            assert connection.sock.version() == ("TLSv1.3" if version == ssl.TLSVersion.TLSv1_3 else "TLSv1.2")
    else:
        with gw.raw(up.vmid, context=context) as raw:
            assert raw.sock.selected_alpn_protocol() == chosen
            assert raw.request(target="/alpn", cookie=cookie).body == b"/alpn"


def test_http_1_bytes_where_http_2_was_agreed(gw):
    with gw.raw(1101, context=gw.context2) as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: dev-1101.zlh.localhost\r\n\r\n")
        assert b"HTTP/1.1" not in raw.timeout(12).read_to_end()


def test_what_the_settings_say(gw):
    with gw.http2(1101) as connection:
        settings = connection.settings()
        assert settings.max_concurrent_streams == 250
        assert settings.enable_connect_protocol == 1, "RFC 8441 §3"
        assert settings.max_frame_size == 16384
        connection.ping()
        window = connection.machine.outbound_flow_control_window
        assert window == MB, "limits.http2.window"
        assert settings.initial_window_size < window, "one stream never takes it all"


# --- one request ---

MALFORMED = {
    # name: pseudo-headers laid on the honest ones (None removes one, a list repeats it), fields
    "connection": ({}, [("connection", "close")]),
    "connection naming": ({}, [("connection", "x-hop"), ("x-hop", "1")]),
    "keep-alive": ({}, [("keep-alive", "timeout=5")]),
    "proxy-connection": ({}, [("proxy-connection", "keep-alive")]),
    "transfer-encoding": ({}, [("transfer-encoding", "chunked")]),
    "upgrade": ({}, [("upgrade", "websocket")]),
    "te": ({}, [("te", "gzip")]),
    "te with more": ({}, [("te", "trailers, gzip")]),
    "upper-case name": ({}, [("X-Upper", "1")]),
    "one upper-case letter": ({}, [("x-uppeR", "1")]),
    "empty name": ({}, [("", "1")]),
    "name with space": ({}, [("x y", "1")]),
    "name with colon": ({}, [("x:y", "1")]),
    "name with CR LF": ({}, [("x\r\nevil", "1")]),
    "name with LF": ({}, [("x\nevil: 1", "1")]),
    "name with NUL": ({}, [("x\0", "1")]),
    "8-bit name": ({}, [("x\u00e9", "1")]),
    "value with CR LF": ({}, [("x", "a\r\nevil: 1")]),
    "value with CR": ({}, [("x", "a\rb")]),
    "value with LF": ({}, [("x", "a\nb")]),
    "value with NUL": ({}, [("x", "a\0b")]),
    "value with control": ({}, [("x", "a\x01b")]),
    "value with DEL": ({}, [("x", "a\x7fb")]),
    "value with space before": ({}, [("x", " a")]),
    "value with tab behind": ({}, [("x", "a\t")]),
    "cookie with CR LF": ({}, [("cookie", "a=1\r\nevil: 1")]),
    "path with space": ({":path": "/a b"}, []),
    "path with CR LF": ({":path": "/ HTTP/1.1\r\nevil: 1\r\n\r\n"}, []),
    "path with NUL": ({":path": "/a\0b"}, []),
    "path with fragment": ({":path": "/a#b"}, []),
    "path in 8 bits": ({":path": "/\u00e9"}, []),
    "empty path": ({":path": ""}, []),
    "path without slash": ({":path": "a"}, []),
    "absolute path": ({":path": "https://{host}/"}, []),
    "no path": ({":path": None}, []),
    "two paths": ({":path": ["/", "/"]}, []),
    "no method": ({":method": None}, []),
    "empty method": ({":method": ""}, []),
    "two methods": ({":method": ["GET", "GET"]}, []),
    "method with space": ({":method": "GET /x HTTP/1.1\r\nevil: 1\r\n\r\nGET"}, []),
    "method with brackets": ({":method": "G[T"}, []),
    "no scheme": ({":scheme": None}, []),
    "two schemes": ({":scheme": ["https", "https"]}, []),
    "scheme with CR LF": ({":scheme": "https\r\nevil: 1"}, []),
    "no authority": ({":authority": None}, []),
    "empty authority": ({":authority": ""}, []),
    "two authorities": ({":authority": ["{host}", "{host}"]}, []),
    "authority with user": ({":authority": "a@{host}"}, []),
    "authority with path": ({":authority": "{host}/x"}, []),
    "authority with CR LF": ({":authority": "{host}\r\nevil: 1"}, []),
    "authority with space": ({":authority": "{host} "}, []),
    "authority list": ({":authority": "{host}, {host}"}, []),
    "authority with bad port": ({":authority": "{host}:x"}, []),
    "another host": ({}, [("host", "dev-1102.zlh.localhost")]),
    "host with another port": ({}, [("host", "{host}:444")]),
    "two hosts": ({}, [("host", "{host}"), ("host", "{host}")]),
    "two hosts and no authority": ({":authority": None}, [("host", "{host}"), ("host", "{host}")]),
    "status in a request": ({":status": "200"}, []),
    "unknown pseudo-header": ({":evil": "1"}, []),
    "pseudo-header behind fields": ({":path": None}, [("x", "1"), (":path", "/")]),
    "protocol on a GET": ({":protocol": "websocket"}, []),
    "length of two kinds": ({}, [("content-length", "0"), ("content-length", "1")]),
    "length not a number": ({}, [("content-length", "x")]),
    "negative length": ({}, [("content-length", "-1")]),
    "signed length": ({}, [("content-length", "+0")]),
    "length over 2^64": ({}, [("content-length", "18446744073709551616")]),
    "length and no body": ({}, [("content-length", "5")]),
    "http2-settings with CR": ({}, [("http2-settings", "a\rb")]),
}


def bent(connection, change: dict, fields: list, cookie: str | None) -> tuple[list, list]:
    host = connection.host
    pseudo = []
    for name, value in ({":method": "GET", ":scheme": "https", ":authority": host, ":path": "/"} | change).items():
        values = value if isinstance(value, list) else [value]
        pseudo += [(name, one.replace("{host}", host)) for one in values if one is not None]
    fields = [(name, value.replace("{host}", host)) for name, value in fields]
    return pseudo, fields + ([("cookie", f"__Host-zlh_s={cookie}")] if cookie else [])


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_is_the_streams_own_affair(gw, up, cookie, name):
    before = len(up.requests)
    with gw.http2(up.vmid) as connection:
        pseudo, fields = bent(connection, *MALFORMED[name], cookie)
        status = status_of(lambda: connection.open(pseudo=pseudo, headers=fields, exact=True).answer())
        assert status == 400, status
        assert len(up.requests) == before, up.requests[-1].head
        assert connection.request(target="/after", cookie=cookie).body == b"/after", "the connection lives on"
        assert not connection.goaways


def test_malformed_ones_between_honest_ones(gw, up, cookie):
    """All at once on one connection: each is told apart, and no table of the compression gets out of step."""
    with gw.http2(up.vmid) as connection:
        before, honest = len(up.requests), []
        for number, (change, fields) in enumerate(MALFORMED.values()):
            pseudo, fields = bent(connection, change, fields, cookie)
            connection.open(pseudo=pseudo, headers=fields, exact=True)
            honest.append((number, connection.open(target=f"/{number}", headers={"x-n": str(number)}, cookie=cookie)))
            if number % 20 == 19:
                connection.ping()
        for number, stream in honest:
            assert stream.answer().body == b"/%d" % number
    assert len(up.requests) == before + len(honest)
    assert all(request.get("x-n") == request.target[1:] for request in up.requests[before:])
    assert not [request for request in up.requests if b"evil" in request.head]


@pytest.mark.parametrize("change, fields", [
    ({":authority": None}, [("host", "{host}")]), ({}, [("host", "{host}")]), ({":authority": "{host}:443"}, []),
    ({}, [("te", "trailers")]), ({}, [("x-empty", "")]), ({}, [("x", "caf\u00e9")]), ({}, [("priority", "u=1, i")]),
], ids=["host alone", "host equal", "port", "te trailers", "empty value", "8-bit value", "priority"])
def test_well_formed(gw, up, cookie, change, fields):
    with gw.http2(up.vmid) as connection:
        pseudo, fields = bent(connection, change, fields, cookie)
        assert connection.open(pseudo=pseudo, headers=fields, exact=True).answer().status == 200
        host = gw.host(up.vmid)
        assert up.last.get("host") in (host, host + ":443") and up.last.version == "HTTP/1.1"


def test_cookie_crumbs_are_joined(gw, up, cookie):
    """RFC 9113 §8.2.3: browsers send one field for each cookie."""
    with gw.http2(up.vmid) as connection:
        crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", f"__Host-zlh_s={cookie}"), ("cookie", "b=2; c=3")]
        assert connection.request(headers=crumbs).status == 200
        assert up.last.get("cookie") == "a=1; b=2; c=3"
        assert connection.request(headers=[*crumbs, ("cookie", "__Host-zlh_s=v1.x.y")]).status == 401, "two are none"


def test_request_trailers_are_dropped(gw):
    upstream, cookie = behind(gw, replies())
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, chunked=True)
        stream.write(b"hello")
        connection.machine.send_headers(stream.id, [(b"x-trailer", b"forged")], end_stream=True)
        connection.flush()
        assert stream.answer().status == 200
    assert upstream.last.body == b"hello" and b"forged" not in upstream.last.raw_body + upstream.last.head


@pytest.mark.parametrize("trailer", [(":path", "/x"), ("X-Upper", "1"), ("x", "a\r\nb"), ("connection", "close")])
def test_malformed_trailers_end_the_request(gw, trailer):
    upstream, cookie = behind(gw, replies())
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, chunked=True)
        stream.write(b"hello")
        upstream.wait_requests(1)
        connection.machine.send_headers(stream.id, [tuple(map(as_bytes, trailer))], end_stream=True)
        connection.flush()
        assert status_of(stream.answer) == 400
        assert not connection.goaways and connection.ping() < 5
    assert not upstream.last.raw_body, "the container never sees it end"


def test_answer_trailers(gw):
    upstream, cookie = behind(gw, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
                                  b"2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: zlh_x=1\r\nConnection: close\r\n\r\n")
    with gw.http2(upstream.vmid) as connection:
        answer = connection.request(headers={"te": "trailers"}, cookie=cookie)
        assert answer.body == b"ok" and not answer.all("transfer-encoding")
        names = {name for name, _ in answer.trailers}
        assert names <= {"x-t"}, "what a trailer may not say is not said"


def test_interim_answers_come_first_and_in_order(gw):
    upstream, cookie = behind(gw, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
                                  b"Link: </b>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + reply(b"done"))
    with gw.http2(upstream.vmid) as connection:
        answer = connection.request(cookie=cookie)
        assert [(i.status, i.get("link")) for i in answer.interim] == [(103, "</a>"), (103, "</b>")]
        assert (answer.status, answer.body) == (200, b"done")


def test_an_answers_own_connection_fields_are_gone(gw):
    """The library refuses an answer with one of these, so that it came through is the proof."""
    upstream, cookie = behind(gw, replies(b"HTTP/1.1 200 Fine\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
                                          b"Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n"
                                          b"Transfer-Encoding: chunked\r\nX-UPPER: Kept\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    with gw.http2(upstream.vmid) as connection:
        answer = connection.request(cookie=cookie)
        assert answer.body == b"ok" and answer.one("x-upper") == "Kept"
        for name in ("connection", "x-hop", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"):
            assert not answer.all(name), name


@pytest.mark.parametrize("line", [b"X: a\0b", b"X: a\x01b", b"X\xe9: b", b"X(y): b"])
def test_what_http_2_forbids_in_an_answer_never_reaches_the_client(gw, line):
    upstream, cookie = behind(gw, after_request(b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nok"))
    with gw.http2(upstream.vmid) as connection:
        answer = connection.request(headers=FETCH, cookie=cookie)
        assert answer.status == 502 or not answer.all("x"), answer
        assert connection.request(headers=FETCH).status == 401


# --- bodies ---

@pytest.mark.parametrize("declared, sent", [(5, 4), (5, 6), (5, 0), (0, 1), (70_000, 69_999), (10, 40_000)])
def test_a_length_that_does_not_match(gw, declared, sent):
    upstream, cookie = behind(gw, replies())
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, length=declared)
        status = None
        try:
            stream.send(b"x" * sent, end=True)
        except Reset as reset:
            status = 400 if reset.code == 1 else reset.code
        # A request whose length is 0 is whole at once: its answer may be faster than the byte too much.
        assert (status or status_of(stream.answer)) in ((200, 400) if declared == 0 else (400,))
        assert connection.request(cookie=cookie).status == 200
    wait_for(lambda: len(open_connections(upstream)) <= 1, 3)
    assert not [r for r in upstream.requests if r.method == "POST" and len(r.body) == declared and declared]


def test_padding_and_empty_data_frames(gw):
    upstream, cookie = behind(gw, replies(lambda request: reply(request.body)))
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, chunked=True)
        machine = connection.machine
        for piece, padding in ((b"a", 0), (b"", None), (b"b", 255), (b"", 17), (b"c", 3)):
            machine.send_data(stream.id, piece, pad_length=padding)
        stream.finish()
        assert stream.answer().body == b"abc"
        assert upstream.last.body == b"abc"


def test_padding_is_given_back_to_the_window(gw):
    upstream, cookie = behind(gw, replies(lambda request: reply(b"%d" % len(request.body))))
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, chunked=True)
        for _ in range(12_000):
            while connection.machine.local_flow_control_window(stream.id) < 300:
                connection.pump()
            connection.machine.send_data(stream.id, b"x", pad_length=255)
        stream.finish()
        assert stream.answer().body == b"12000"


def test_a_request_without_a_length_is_framed_for_the_container(gw):
    upstream, cookie = behind(gw, replies())
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, chunked=True)
        stream.send(b"hello", end=True)
        assert stream.answer().status == 200
        # If all of it has come before the head leaves, its length is known.
        framing = (upstream.last.get("transfer-encoding"), upstream.last.get("content-length"))
        assert framing in (("chunked", None), (None, "5"))
        assert connection.request("POST", body=b"hello", cookie=cookie).status == 200
        assert upstream.last.get("content-length") == "5" and not upstream.last.all("transfer-encoding")
        assert connection.request("GET", cookie=cookie).status == 200
        assert not upstream.last.all("content-length") and not upstream.last.all("transfer-encoding")
        answer = connection.open("POST", cookie=cookie, end=True).answer()
        assert answer.status == 200 and upstream.last.all("content-length") in ([], ["0"])


def test_an_answer_before_the_body_ends_the_upload(gw):
    """RFC 9113 §8.1: the answer is whole, then RST_STREAM asks for no more."""
    def early(connection):
        connection.read_head()
        connection.send(reply(b"too big", "413 Content Too Large", ["Connection: close"]))
        connection.wait_closed(5)

    upstream, cookie = behind(gw, early)
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, length=20 * MB)
        stream.write(b"x" * 50_000)
        answer = stream.answer()
        assert (answer.status, answer.body) == (413, b"too big")
        assert stream.wait_reset() in (NO_ERROR, CANCEL)
        assert connection.request(headers=FETCH).status == 401


def test_a_refusal_before_the_body_ends_the_upload_too(gw):
    with gw.http2(1101) as connection:
        stream = connection.open("POST", length=20 * MB)
        assert stream.answer().status == 401
        assert stream.wait_reset() in (NO_ERROR, CANCEL)


@pytest.mark.parametrize("script", [
    after_request(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100),
    after_request(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\n"),
    after_request(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    rogue.resets_mid_body,
], ids=["length short", "no last chunk", "no byte", "reset"])
def test_a_truncated_answer_is_reset_and_never_ended(gw, script):
    upstream, cookie = behind(gw, script)
    with gw.http2(upstream.vmid) as connection:
        with pytest.raises(Reset):
            connection.request(cookie=cookie)
        assert not [frame for frame in connection.frames if frame[0] in ("DATA", "HEADERS") and frame[1] & 1]
        assert connection.request(headers=FETCH).status == 401


def test_a_container_that_leaves_during_the_upload_is_502(gw):
    def leaves(connection):
        connection.read_head()
        connection.fill()

    upstream, cookie = behind(gw, leaves)
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open("POST", cookie=cookie, length=20 * MB, headers=FETCH)
        try:
            stream.send(b"x" * 3 * MB)
        except Closed:
            pass
        answer = stream.answer()
        assert answer.status == 502 and answer.json()["error"] == "bad_gateway"


def test_reset_by_the_client_frees_the_container(gw):
    upstream, cookie = behind(gw, rogue.never_answers)
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open(cookie=cookie)
        upstream.wait_requests(1)
        stream.cancel()
        wait_for(lambda: not open_connections(upstream), 3)
        assert connection.request(headers=FETCH).status == 401


# --- many hosts, one connection ---

def test_each_request_is_authorised_for_its_own_host(gw):
    """Browsers share one connection among all hosts of the certificate."""
    sites = [gw.upstream(replies(reply(b"%d" % n))) for n in range(4)]
    cookies = [gw.launch(site.vmid) for site in sites]
    with gw.http2(sites[0].vmid) as connection:
        streams = [(n, m, connection.open(headers=FETCH, host=gw.host(sites[n].vmid), cookie=cookies[m]))
                   for n in range(4) for m in range(4)]
        for n, m, stream in streams:
            answer = stream.answer()
            assert answer.status == (200 if n == m else 401), (n, m)
            assert n != m or answer.body == b"%d" % n
    assert [len(site.requests) for site in sites] == [1] * 4


def test_foreign_hosts_are_misdirected_and_others_served(gw, up, cookie):
    with gw.http2(up.vmid) as connection:
        streams = [(host, connection.open(headers=FETCH, host=host, cookie=cookie))
                   for _ in range(5) for host in ("portal.example", gw.host(up.vmid), "zlh.localhost", "127.0.0.1")]
        for host, stream in streams:
            assert stream.answer().status == (200 if host == connection.host else 421), host


def test_hundreds_of_requests_at_once_each_get_their_own_answer(gw, up, cookie):
    with gw.http2(up.vmid) as connection:
        for _ in range(4):
            streams = [(n, connection.open(target=f"/{n}", cookie=cookie)) for n in range(100)]
            assert all(stream.answer().body == b"/%d" % n for n, stream in reversed(streams))


# --- streams ---

def test_streams_beyond_the_limit_are_refused(make_gateway):
    gw = make_gateway(limits={"http2": {"streams": 10}, "upstream": {"per_vmid": 1000, "response": "10s"}})
    go = threading.Event()
    upstream, cookie = behind(gw, rogue.holds(go))
    was = gw.refused("http2.streams")
    with Frames(gw, upstream.vmid, acknowledges=False) as client:  # so it cannot have known of the limit
        client.raw(b"".join(client.request(n, cookie=cookie) for n in range(1, 41, 2)))
        client.pump_until(lambda: len(client.resets) >= 10)
        assert set(client.resets.values()) == {REFUSED_STREAM} and set(client.resets) == set(range(21, 41, 2))
        assert not client.heads and not client.goaways
        go.set()
        client.pump_until(lambda: len(client.ended) == 10)
        assert {client.status(n) for n in range(1, 21, 2)} == {200}
        client.raw(client.request(41, cookie=cookie))
        client.pump_until(lambda: client.status(41) == 200)
    assert len(upstream.requests) == 11
    wait_for(lambda: gw.refused("http2.streams") >= was + 10)
    go.clear()
    with Frames(gw, upstream.vmid) as client:  # and this one knew
        client.raw(b"".join(client.request(n, cookie=cookie) for n in range(1, 41, 2)))
        client.pump_until(lambda: client.goaways or client.eof or len(client.resets) >= 10)
    go.set()
    wait_for(lambda: len(upstream.requests) <= 21)


def test_250_at_once(gw):
    go = threading.Event()
    upstream, cookie = behind(gw, rogue.holds(go, seconds=20))
    with gw.http2(upstream.vmid) as connection:
        streams = [connection.open(cookie=cookie) for _ in range(250)]
        upstream.wait_requests(250, 10)
        go.set()
        assert all(stream.answer().body == b"held" for stream in streams)


# --- windows ---

def test_a_container_that_does_not_read_stalls_only_its_own_stream(gw):
    go = threading.Event()

    def reads_late(connection):
        request = connection.read_head()
        go.wait(20)
        connection.read_body(request, keep=False)
        connection.send(reply(str(request.received).encode()))

    slow, slow_cookie = behind(gw, reads_late, receive_buffer=4096)
    fast, fast_cookie = behind(gw, rogue.counts_bytes)
    size = 12 * MB
    with gw.http2(slow.vmid) as connection:
        stuck = connection.open("POST", cookie=slow_cookie, length=size)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < size:
                moved = stuck.send_some(bytes(min(65536, size - sent)))
                sent += moved
                if not moved:
                    connection.pump(0.4)
        assert 0 < sent < 10 * MB, "it is held back"
        answer = connection.request("POST", body=bytes(4 * MB), cookie=fast_cookie, host=gw.host(fast.vmid))
        assert answer.body.startswith(b"%d " % (4 * MB))
        assert connection.ping() < 1
        go.set()
        stuck.send(bytes(size - sent), end=True)
        assert stuck.answer().body == b"%d" % size


def test_more_than_the_window_is_a_flow_control_error(gw):
    upstream, cookie = behind(gw, rogue.never_answers)
    with Frames(gw, upstream.vmid) as client:
        client.raw(client.request(1, method="POST", cookie=cookie, end=False))
        upstream.wait_requests(1)
        # More than the kernels and the window can hold between them.
        for _ in range(4000):
            if not client.pour(f.frame(f.DATA, 1, bytes(16384))):
                break
        client.pump_until(lambda: client.resets or client.goaways or client.eof)
        assert client.resets.get(1) in (3, None) and (client.goaways or client.resets or client.eof)


def test_a_slow_reader_of_one_stream_stalls_no_other(gw):
    sent = [0]

    def pours(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MB))
        try:
            for _ in range(200 * 16):
                connection.send(bytes(65536))
                sent[0] += 65536
        except OSError:
            pass

    big, big_cookie = behind(gw, pours)
    small, small_cookie = behind(gw, replies(reply(b"x" * 300_000)))

    def work():
        with gw.http2(big.vmid, window=65536, connection_window=16 * MB, manual=True) as connection:
            unread = [connection.open(cookie=big_cookie) for _ in range(8)]
            for stream in unread:
                stream.head()
            connection.pump_until(lambda: all(stream.received == 65536 for stream in unread))
            for _ in range(20):
                begin = time.monotonic()
                stream = connection.open(cookie=small_cookie, host=gw.host(small.vmid))
                while not stream.over:
                    connection.pump()
                    stream.acknowledge()
                assert len(stream.answer().body) == 300_000
                assert time.monotonic() - begin < 1
            assert all(stream.received == 65536 for stream in unread), "not a byte beyond the window"
            assert sent[0] < 60 * MB, "the containers are held back"
            unread[0].acknowledge()
            connection.pump_until(lambda: unread[0].received == 2 * 65536)

    flat(gw, 30 * MB, work)


def test_settings_that_change_the_window_under_way(gw):
    """RFC 9113 §6.9.2: a smaller initial window may leave a stream's window negative."""
    upstream, cookie = behind(gw, replies(reply(b"x" * 400_000)))
    with Frames(gw, upstream.vmid, initial=((4, 100_000),)) as client:
        client.raw(f.window_update(0, 1 << 24) + client.request(1, cookie=cookie))
        client.pump_until(lambda: client.bodies.get(1) == 100_000)
        client.raw(f.settings((4, 10_000)) + f.window_update(1, 50_000))
        client.pump_for(0.3)
        assert client.bodies[1] == 100_000, "the window is -40 000"
        client.raw(f.window_update(1, 90_001))
        client.pump_until(lambda: client.bodies[1] == 150_001)
        client.raw(f.settings((4, 300_000)))
        client.pump_until(lambda: 1 in client.ended)
        assert client.bodies[1] == 400_000


def test_small_frames_when_asked_for(gw):
    """SETTINGS_MAX_FRAME_SIZE may not go below 16 384; a peer's larger one may be used, and never exceeded."""
    upstream, cookie = behind(gw, replies(reply(b"x" * 600_000)))
    with gw.http2(upstream.vmid, settings={5: 32768}) as connection:
        assert len(connection.request(cookie=cookie).body) == 600_000
        assert max(size for kind, _, _, size in connection.frames if kind == "DATA") <= 32768


@pytest.mark.parametrize("size", [0, 64, 4096, 65536])
def test_the_peers_header_table_size(gw, up, cookie, size):
    with gw.http2(up.vmid, settings={1: size}) as connection:
        for n in range(5):
            assert connection.request(target=f"/{n}", cookie=cookie).body == b"/%d" % n


# --- priorities ---

def big_and_small(gw):
    return behind(gw, pages({"/big": reply(bytes(50 * MB)), "/script": reply(bytes(MB)),
                             "/small": reply(bytes(300_000))}))


def read_at(connection, rate: int, condition):
    """A client whose line carries so many bytes a second."""
    begin, have = time.monotonic(), sum(frame[3] for frame in connection.frames)
    start = have
    while not condition():
        allowed = (time.monotonic() - begin) * rate
        if have - start > allowed:
            time.sleep(0.005)
            continue
        count = len(connection.frames)
        assert connection.pump(5)
        have += sum(frame[3] for frame in connection.frames[count:])


def test_a_script_overtakes_a_download(gw):
    upstream, cookie = big_and_small(gw)
    with gw.http2(upstream.vmid, window=8 * MB, connection_window=16 * MB, receive_buffer=65536) as connection:
        download = connection.open(target="/big", headers={"priority": "u=5"}, cookie=cookie)
        read_at(connection, 40 * MB, lambda: download.received > 2 * MB)
        before = download.received
        script = connection.open(target="/small", headers={"priority": "u=1"}, cookie=cookie)
        read_at(connection, 40 * MB, lambda: script.over)
        assert len(script.answer().body) == 300_000
        between = download.received - before
        assert between < 8 * MB and not download.over, f"{between / MB:.1f} MB came first"


def overtaken_by(gw, upstream, cookie, headers: dict, update: bytes | None = None) -> int:
    """How many bytes of eight running downloads arrive before the end of a script asked for with these."""
    with gw.http2(upstream.vmid, window=8 * MB, connection_window=64 * MB, receive_buffer=65536) as connection:
        downloads = [connection.open(target="/big", headers={"priority": "u=5, i"}, cookie=cookie) for _ in range(8)]
        connection.pump_until(lambda: sum(stream.received for stream in downloads) > 4 * MB)
        before = sum(stream.received for stream in downloads)
        script = connection.open(target="/script", headers=headers, cookie=cookie)
        if update is not None:
            connection.raw(f.priority_update(script.id, update))
        connection.pump_until(lambda: script.over)
        assert len(script.answer().body) == MB
        return sum(stream.received for stream in downloads) - before


def test_urgency_decides_among_many(gw):
    upstream, cookie = big_and_small(gw)
    urgent = overtaken_by(gw, upstream, cookie, {"priority": "u=1"})
    updated = overtaken_by(gw, upstream, cookie, {"priority": "u=5, i"}, b"u=1")
    equal = overtaken_by(gw, upstream, cookie, {"priority": "u=5, i"})
    assert urgent < equal / 2 and updated < equal / 2, (urgent / MB, updated / MB, equal / MB)


# --- ends ---

def test_sigterm_finishes_what_runs(make_gateway):
    gw = make_gateway(limits={"drain": "5s"})
    go = threading.Event()

    def halves(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        go.wait(10)
        connection.send(b"other")

    upstream, cookie = behind(gw, halves)
    with gw.http2(upstream.vmid) as connection, gw.http2(1101) as idle:
        idle.ping()
        stream = connection.open(cookie=cookie)
        assert stream.read_exactly(5) == b"first"
        gw.signal(15)
        connection.pump_until(lambda: connection.goaways)
        assert connection.goaways[0][1] == NO_ERROR and connection.goaways[0][0] >= stream.id
        assert idle.is_closed(4) and idle.goaways and idle.goaways[-1][1] == NO_ERROR
        connection.pump_until(lambda: len(connection.goaways) > 1 or connection.goaways[-1][0] < 1 << 30)
        last = connection.goaways[-1][0]
        assert stream.id <= last <= connection.machine.highest_outbound_stream_id, "the last one it will answer"
        go.set()
        assert stream.answer().status == 200 and stream.trailers == []
        assert connection.is_closed(4)
    gw.stop()


def test_a_stream_behind_the_goaway_is_not_processed(make_gateway):
    gw = make_gateway(limits={"drain": "5s"})
    go = threading.Event()
    upstream, cookie = behind(gw, rogue.holds(go))
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open(cookie=cookie)
        upstream.wait_requests(1)
        gw.signal(15)
        connection.pump_until(lambda: connection.goaways and connection.goaways[-1][0] < 1 << 30)
        late = connection.open(target="/late", cookie=cookie)
        assert late.id > connection.goaways[-1][0]
        connection.pump_for(0.3)
        go.set()
        assert stream.answer().body == b"held"
        assert late.first is None
    assert not [request for request in upstream.requests if request.target == "/late"]
    gw.stop()


def test_keep_alive(make_gateway):
    gw = make_gateway(limits={"keep_alive": "1s"})

    def events(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for n in range(5):
            time.sleep(0.5)
            connection.send(b"data: %d\n\n" % n)

    upstream, cookie = behind(gw, events)
    was = gw.refused("keep_alive")
    with gw.http2(1101) as idle, gw.http2(upstream.vmid) as busy:
        stream = busy.open(cookie=cookie)
        assert idle.request().status == 401
        begin = time.monotonic()
        assert idle.is_closed(4) and 0.5 < time.monotonic() - begin < 3
        assert idle.goaways and idle.goaways[-1][:2] == (1, NO_ERROR), "it says so before it goes"
        assert stream.answer().body.endswith(b"data: 4\n\n"), "who has a stream open is not idle"
        assert busy.is_closed(4)
    assert gw.refused("keep_alive") > was


def test_pings_alone_do_not_keep_a_connection(make_gateway):
    gw = make_gateway(limits={"keep_alive": "1s"})
    with gw.http2(1101) as connection:
        assert connection.request().status == 401
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 4:
                connection.ping(2)
                connection.pump_for(0.1)
        except AssertionError:
            pass
        assert connection.eof and time.monotonic() - begin < 3.5


def test_a_clients_goaway_lets_its_answers_end(gw):
    go = threading.Event()
    upstream, cookie = behind(gw, rogue.holds(go))
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open(cookie=cookie)
        upstream.wait_requests(1)
        connection.raw(f.frame(f.GOAWAY, 0, bytes(8)))
        connection.pump_for(0.2)
        go.set()
        assert stream.answer().body == b"held"
        assert connection.is_closed(4)


def test_a_connection_that_is_reset_frees_every_container(gw):
    upstream, cookie = behind(gw, rogue.never_answers)
    connection = gw.http2(upstream.vmid)
    for _ in range(50):
        connection.open(cookie=cookie)
    upstream.wait_requests(50)
    connection.reset()
    wait_for(lambda: not open_connections(upstream), 3)


def test_response_stall_is_the_streams_own(make_gateway):
    gw = make_gateway(limits={"response_stall": "1s"})
    upstream, cookie = behind(gw, replies(reply(bytes(2 * MB))))
    was = gw.refused("response_stall")
    with gw.http2(upstream.vmid, window=65536, connection_window=16 * MB, manual=True) as connection:
        stream = connection.open(cookie=cookie)
        stream.head()
        assert stream.wait_reset(6) in (CANCEL, 2, 11)
        assert connection.request(headers=FETCH).status == 401
    assert gw.refused("response_stall") > was


# --- other clients ---

def resolve(gw, host: str) -> list[str]:
    return ["--cacert", str(gw.authority.file), "--resolve", f"{host}:{gw.port}:127.0.0.1"]


def test_curl_chooses_http_2_by_itself(gw, up, cookie):
    host = gw.host(up.vmid)
    done = subprocess.run(
        ["curl", "-sS", *resolve(gw, host), "-b", f"__Host-zlh_s={cookie}", "-w", " %{http_version} %{http_code}\n",
         *[f"https://{host}:{gw.port}/{n}" for n in range(5)]], capture_output=True, text=True, timeout=20)
    assert done.stdout == "".join(f"/{n} 2 200\n" for n in range(5)), done


def test_nghttp(gw, up, cookie):
    url = f"https://127.0.0.1:{gw.port}/"
    done = subprocess.run(["nghttp", "-v", "-m", "5", "-H", f":authority: {gw.host(up.vmid)}",
                           "-H", f"cookie: __Host-zlh_s={cookie}", url], capture_output=True, text=True, timeout=20)
    assert done.stdout.count(":status: 200") == 5, done.stdout[-2000:]
    assert "PROTOCOL_ERROR" not in done.stdout


@pytest.mark.parametrize("clients, streams", [(1, 1), (8, 16)])
def test_h2load(gw, up, cookie, clients, streams):
    done = subprocess.run(["h2load", "-n", "2000", "-c", str(clients), "-m", str(streams), "-H",
                           f":authority: {gw.host(up.vmid)}", "-H", f"cookie: __Host-zlh_s={cookie}",
                           f"https://127.0.0.1:{gw.port}/"], capture_output=True, text=True, timeout=50)
    assert re.search(r"2000 succeeded, 0 failed, 0 errored, 0 timeout", done.stdout), done.stdout
    assert "2000 2xx" in done.stdout


def test_h2load_uploads(gw, tmp_path):
    (tmp_path / "body").write_bytes(bytes(300_000))
    upstream, cookie = behind(gw, rogue.counts_bytes)
    done = subprocess.run(["h2load", "-n", "100", "-c", "2", "-m", "10", "-d", str(tmp_path / "body"), "-H",
                           f":authority: {gw.host(upstream.vmid)}", "-H", f"cookie: __Host-zlh_s={cookie}",
                           f"https://127.0.0.1:{gw.port}/"], capture_output=True, text=True, timeout=50)
    assert "100 succeeded, 0 failed" in done.stdout and "100 2xx" in done.stdout, done.stdout
    assert all(request.received == 300_000 for request in upstream.requests)


def test_httpx(gw, up, cookie):
    host = gw.host(up.vmid)

    class Transport(httpx.HTTPTransport):
        def handle_request(self, request):
            request.url = request.url.copy_with(host="127.0.0.1", port=gw.port)
            request.headers["host"] = f"{host}:{gw.port}"
            request.extensions["sni_hostname"] = host
            return super().handle_request(request)

    context = ssl.create_default_context(cafile=str(gw.authority.file))
    with httpx.Client(transport=Transport(verify=context, http2=True),
                      headers={"Cookie": f"__Host-zlh_s={cookie}"}) as client:
        for n in range(20):
            answer = client.post(f"https://{host}/{n}", content=bytes(100_000))
            assert (answer.status_code, answer.text, answer.http_version) == (200, f"/{n}", "HTTP/2")


# --- what is said of it ---

def test_logs_and_metrics_call_it_h2(gw, up, cookie):
    was = gw.metric("zlh_edge_requests_total", method="GET", code="200", protocol="h2")
    with gw.http2(up.vmid) as connection:
        answers = [connection.request(headers=NAVIGATION, cookie=cookie) for _ in range(3)]
    for answer in answers:
        assert gw.access(answer.one("x-request-id"))["protocol"] == "h2"
    assert len({answer.one("x-request-id") for answer in answers}) == 3
    wait_for(lambda: gw.metric("zlh_edge_requests_total", method="GET", code="200", protocol="h2") == was + 3)


def test_memory_of_idle_connections(gw):
    connections = [gw.http2(1101) for _ in range(20)]
    before = gw.rss()
    connections += [gw.http2(1101) for _ in range(300)]
    for connection in connections:
        connection.settings()
    each = (gw.rss() - before) / 300
    for connection in connections:
        connection.close()
    assert each < 64 * 1024, f"{each / 1024:.0f} KiB each"
    assert isinstance(connections[0], Connection)
