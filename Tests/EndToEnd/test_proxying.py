"""Streaming, upstreams that fail in every way, and what the browser then sees."""

import contextlib
import hashlib
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness import over_both
from harness import upstreams as rogue
from harness.gateway import FETCH, NAVIGATION, flat, wait_for
from harness.raw import Closed
from harness.upstreams import answer as reply
from harness.upstreams import after_request, replies

GATEWAY = {"limits": {"upstream": {"connect": "1s", "response": "2s"}, "memory": "1024m"}}
MB = 1 << 20
CURL = {"http/1.1": "--http1.1", "h2": "--http2"}


def behind(gw, script, **more):
    upstream = gw.upstream(script, **more)
    return upstream, gw.launch(upstream.vmid)


# --- streaming ---

@over_both
def test_the_answer_streams_as_it_is_made(gw):
    go = threading.Event()

    def halves(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        go.wait(10)
        connection.send(b"6\r\nsecond\r\n0\r\n\r\n")

    upstream, cookie = behind(gw, halves)
    with gw.client(upstream.vmid) as raw:
        stream = raw.open(cookie=cookie)
        stream.head()
        assert stream.read_until(b"first")
        go.set()
        assert stream.read_until(b"second")


@over_both
def test_events_arrive_one_by_one(gw):
    def events(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for n in range(5):
            connection.send(b"data: %d\n\n" % n)
            time.sleep(0.15)

    upstream, cookie = behind(gw, events)
    with gw.client(upstream.vmid) as raw:
        stream = raw.open(cookie=cookie)
        stream.head()
        times = []
        for n in range(5):
            stream.read_until(b"data: %d\n\n" % n)
            times.append(time.monotonic())
        assert times[-1] - times[0] > 0.45, "nothing gathered them"


@over_both
def test_the_request_streams_as_it_comes(gw):
    upstream, cookie = behind(gw, replies())
    with gw.client(upstream.vmid) as raw:
        request = raw.open("POST", cookie=cookie, chunked=True)
        request.write(b"first")
        upstream.wait_requests(1)
        wait_for(lambda: b"first" in upstream.connections[0].received)
        request.write(b"second")
        request.finish()
        assert request.answer().status == 200
        assert upstream.last.body == b"firstsecond"


@over_both
def test_answer_trailers_never_break_framing(gw):
    upstream, cookie = behind(gw, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
                                  b"2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: zlh_x=1\r\n\r\n")
    with gw.client(upstream.vmid) as raw:
        for _ in range(3):
            answer = raw.request(cookie=cookie)
            assert answer.body == b"ok"
            assert all(name.lower() != "set-cookie" for name, _ in answer.trailers)


@over_both
def test_body_until_close(gw):
    body = rogue.random_body(300_000)
    upstream, cookie = behind(gw, after_request(b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n\r\n" + body))
    answer = gw.request(upstream.vmid, cookie=cookie)
    assert answer.body == body


@over_both
def test_http_1_0_container(gw):
    upstream, cookie = behind(gw, after_request(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    for _ in range(3):
        assert gw.request(upstream.vmid, cookie=cookie).body == b"ok"


@over_both
def test_early_answer_while_the_body_still_comes(gw):
    """RFC 9112 §9.3: a 413 from the container reaches the browser though the upload has not ended."""
    def early(connection):
        connection.read_head()
        connection.send(reply(b"too big", "413 Content Too Large", ["Connection: close"]))
        connection.wait_closed(5)

    upstream, cookie = behind(gw, early)
    with gw.client(upstream.vmid) as raw:
        request = raw.open("POST", cookie=cookie, length=20 * MB)
        request.write(b"x" * 50_000)
        answer = request.answer()
        assert (answer.status, answer.body) == (413, b"too big")


@over_both
def test_early_answer_then_the_body_is_still_taken(gw):
    """An upstream that answers first and reads on (gRPC does): both directions go on."""
    def early(connection):
        request = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
        connection.read_body(request)
        connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(request.body), request.body))

    upstream, cookie = behind(gw, early)
    with gw.client(upstream.vmid) as raw:
        request = raw.open("POST", cookie=cookie, length=4)
        request.head()
        request.read_until(b"early")
        request.write(b"body")
        request.finish()
        request.read_until(b"body")


@over_both
def test_connections_are_reused(gw):
    upstream, cookie = behind(gw, replies())
    for _ in range(10):
        assert gw.request(upstream.vmid, cookie=cookie).status == 200
    assert len(upstream.connections) <= 2, "one for each loop at most"


@over_both
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_curl_uploads_and_downloads(gw, http, framing, tmp_path):
    body = rogue.random_body(8 * MB)
    (tmp_path / "up").write_bytes(body)
    upstream, cookie = behind(gw, replies(lambda request: reply(request.body)))
    host = gw.host(upstream.vmid)
    body_from = ["-X", "POST", "-T", "-"] if framing == "chunked" else ["--data-binary", f"@{tmp_path / 'up'}"]
    with open(tmp_path / "up", "rb") as file:
        done = subprocess.run(
            ["curl", "-sS", CURL[http], "--cacert", gw.authority.file, "--resolve", f"{host}:{gw.port}:127.0.0.1",
             "-b", f"__Host-zlh_s={cookie}", *body_from, "-o", tmp_path / "down", "-w",
             "%{http_code} %{http_version}", f"https://{host}:{gw.port}/"], capture_output=True, text=True,
            timeout=50, stdin=file)
    assert done.stdout == ("200 2" if http == "h2" else "200 1.1"), done
    assert bool(upstream.last.get("content-length")) == (framing == "length")
    assert (tmp_path / "down").read_bytes() == body


# --- retry ---

def closes_idle_connections():
    """Answers one request a connection properly and then closes it without saying so in advance, when told."""
    close_now = threading.Event()

    def script(connection):
        while connection.read() is not None:
            if connection.number > 1 or not close_now.is_set():
                connection.send(reply(b"%d" % connection.number))
            else:
                return
    return close_now, script


@over_both
def test_an_idempotent_request_is_retried_once_on_a_stale_connection(gw):
    stale, script = closes_idle_connections()
    upstream, cookie = behind(gw, script)
    with gw.client(upstream.vmid) as raw:  # one client connection: one loop, one upstream pool
        assert raw.request(cookie=cookie).body == b"1"
        stale.set()
        answer = raw.request(cookie=cookie)
        assert (answer.status, answer.body) == (200, b"2")
    assert len(upstream.requests) == 3


@over_both
def test_an_empty_body_in_chunks_is_a_body(gw, http):
    """Its end was sent, and a retry would not send it again: the container would wait for it."""
    stale, script = closes_idle_connections()
    upstream, cookie = behind(gw, script)
    with gw.client(upstream.vmid) as raw:
        assert raw.request(cookie=cookie).body == b"1"
        stale.set()
        request = raw.open("PUT", headers=FETCH, cookie=cookie, chunked=True)
        upstream.wait_requests(2)  # over HTTP/2 the end comes in a frame of its own, once the head is gone
        request.finish()
        assert request.answer().status == 502
    assert len(upstream.requests) == 2


@over_both
def test_a_post_is_not_retried(gw):
    stale, script = closes_idle_connections()
    upstream, cookie = behind(gw, script)
    with gw.client(upstream.vmid) as raw:
        assert raw.request(cookie=cookie).body == b"1"
        stale.set()
        answer = raw.request("POST", body=b"x", cookie=cookie)
        assert answer.status == 502
    assert len(upstream.requests) == 2


@over_both
def test_a_fresh_connection_is_not_retried(gw):
    upstream, cookie = behind(gw, rogue.closes_after_the_request)
    assert gw.request(upstream.vmid, cookie=cookie).status == 502
    assert len(upstream.connections) == 1


@over_both
def test_a_connection_closed_while_idle_is_noticed(gw):
    upstream, cookie = behind(gw, after_request(reply()))
    with gw.client(upstream.vmid) as raw:
        for _ in range(4):
            assert raw.request("POST", body=b"x", cookie=cookie).status == 200
            time.sleep(0.1)


# --- what may serve again ---

@over_both
@pytest.mark.parametrize("answered", [
    reply(b"early"), b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n",
], ids=["length", "204", "304", "chunked"])
@pytest.mark.parametrize("chunked", [False, True], ids=["in length", "in chunks"])
def test_a_connection_answered_early_is_not_used_again(gw, answered, chunked):
    """The container answers when it has seen the head. What comes then, even the whole rest, may be a request to it."""
    def early(connection):
        while (request := connection.read_head()) is not None:
            if request.target == "/early":
                connection.send(answered)
                connection.wait_closed(5)
                return
            connection.send(reply(b"%d" % connection.number))

    upstream, cookie = behind(gw, early)
    with gw.client(upstream.vmid) as raw:
        assert raw.request(cookie=cookie).body == b"1"
        how = {"chunked": True} if chunked else {"length": 4}
        request = raw.open("PUT", "/early", cookie=cookie, **how)
        wait_for(lambda: len(upstream.requests) == 2, 3)
        time.sleep(0.1)
        with contextlib.suppress(OSError, Closed):
            request.write(b"body")
            request.finish()
        assert request.answer().status in (200, 204, 304)
        wait_for(lambda: upstream.connections[0].sock.fileno() < 0, 3)
    assert gw.request(upstream.vmid, cookie=cookie).body == b"2"


@over_both
def test_a_connection_that_answered_before_all_was_sent_is_not_used_again(gw):
    """The answer's end comes after the body's: at its head the container was owed the body all the same."""
    go = threading.Event()

    def slow(connection):
        while (request := connection.read_head()) is not None:
            if request.method == "PUT":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nea")
                connection.read_body(request)
                go.wait(10)
                connection.send(b"rl")
            else:
                connection.send(reply(b"%d" % connection.number))

    upstream, cookie = behind(gw, slow)
    with gw.client(upstream.vmid) as raw:
        request = raw.open("PUT", "/", cookie=cookie, length=4)
        request.head()
        request.write(b"body")
        request.finish()
        wait_for(lambda: upstream.connections[0].received.endswith(b"body"))
        go.set()
        assert request.read_exactly(4) == b"earl"
        wait_for(lambda: upstream.connections[0].sock.fileno() < 0, 3)


CLOSERS = {
    "close": reply(b"x", headers=["Connection: close"]),
    "close in a list": reply(b"x", headers=["Connection: X-Y, Close"]),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "close in an interim answer": b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + reply(b"x"),
    "more than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n",
    "more than its chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nmore",
    "204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n",
    "204 with a body": b"HTTP/1.1 204 No Content\r\n\r\nx",
    "304 with a body": b"HTTP/1.1 304 Not Modified\r\n\r\nx",
}


@over_both
@pytest.mark.parametrize("name", CLOSERS)
def test_a_connection_that_is_not_whole_is_not_used_again(gw, name):
    upstream, cookie = behind(gw, replies(lambda request: CLOSERS[name]))
    with gw.client(upstream.vmid) as raw:
        for _ in range(3):
            assert raw.request(cookie=cookie).status in (200, 204, 304)
            time.sleep(0.05)
    assert len(upstream.connections) == 3


@over_both
def test_a_body_behind_the_answer_to_head_is_no_answer(gw):
    upstream, cookie = behind(gw, replies(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
    with gw.client(upstream.vmid) as raw:
        for _ in range(3):
            assert raw.request("HEAD", cookie=cookie).status == 200
            time.sleep(0.05)
    assert len(upstream.connections) == 3


@over_both
@pytest.mark.parametrize("announced, pause, reused", [
    ("timeout=3", 0.3, True), ("timeout=3", 2.3, False), ("timeout=2, max=100", 1.2, False), ("timeout=1", 0, False),
    ("timeout=0", 0, False), ("max=5, TIMEOUT = \"1\"", 0, False), ("timeout=99999999999999999999", 0.3, True),
    ("timeout", 0.3, True), ("timeout=x", 0.3, True)])
def test_a_container_says_for_how_long_it_keeps_a_connection(gw, announced, pause, reused):
    upstream, cookie = behind(gw, replies(reply(headers=[f"Keep-Alive: {announced}"])))
    with gw.client(upstream.vmid) as raw:
        assert raw.request(cookie=cookie).status == 200
        time.sleep(pause)
        assert raw.request("POST", body=b"x", cookie=cookie).status == 200
    assert (len(upstream.connections) == 1) == reused


# --- failures ---

def big(data: bytes):
    return after_request(data, rogue.waits(3))


BAD_ANSWERS = {
    "closes at once": rogue.closes_at_once,
    "closes after the request": rogue.closes_after_the_request,
    "resets": rogue.resets_after_the_request,
    "garbage": after_request(b"\x00\xff garbage \r\n\r\n"),
    "SSH banner": after_request(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "half a head": after_request(b"HTTP/1.1 200 OK\r\nContent-"),
    "bare LF": after_request(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    "folded": after_request(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
    "NUL": after_request(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok"),
    "space before colon": after_request(b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok"),
    "CL and TE": after_request(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": after_request(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    "bad length": after_request(b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok"),
    "huge length": after_request(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok"),
    "odd TE": after_request(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "bad status": after_request(b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status 000": after_request(b"HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nok"),
    "HTTP/2.0": after_request(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "head of 70 KB": big(rogue.head_of(70_000)),
    "201 fields": big(rogue.with_fields(201)),
    "1xx without end": rogue.sends_interims_without_end,
    "17 interim answers": big(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + reply()),
    "unasked 101": big(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Accept: x\r\n\r\n"),
    "unasked 101 h2c": big(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
}


@over_both
@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answers_are_502(gw, name):
    upstream, cookie = behind(gw, BAD_ANSWERS[name])
    with gw.client(upstream.vmid) as raw:
        answer = raw.request(headers=FETCH, cookie=cookie)
        while 100 < answer.status < 200:  # only HTTP/1.1's client takes an unasked 101 for an answer
            answer = raw.answer()
        assert answer.status == 502, answer
        assert answer.json()["error"] == "bad_gateway"
        assert raw.request(headers=FETCH).status == 401, "the client's connection is none the worse"
    wait_for(lambda: not _open(upstream), 3, "the bad connection to be dropped")


def _open(upstream) -> list:
    return [c for c in upstream.connections if c.sock.fileno() >= 0]


@over_both
def test_200_fields_and_60_kb_pass(gw):
    upstream, cookie = behind(gw, replies(lambda request: rogue.with_fields(190) if request.target == "/f"
                                          else rogue.head_of(60_000)))
    assert gw.request(upstream.vmid, "/f", cookie=cookie).status == 200
    answer = gw.request(upstream.vmid, "/", cookie=cookie)
    assert len(answer.one("x-big")) == 60_000


@over_both
@pytest.mark.parametrize("reply_bytes", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n" + b"x" * 100,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\n0\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\nzz\r\n",
], ids=["length short", "no last chunk", "inside a chunk", "no end of trailers", "bad chunk"])
def test_a_truncated_answer_is_passed_on_as_truncated(gw, http, reply_bytes):
    upstream, cookie = behind(gw, after_request(reply_bytes))
    with gw.client(upstream.vmid) as raw, pytest.raises(Closed) as closed:
        raw.request(cookie=cookie)
    got = closed.value.got
    assert b"x" * 100 in got


@over_both
def test_a_reset_mid_body_ends_the_client_too(gw):
    upstream, cookie = behind(gw, rogue.resets_mid_body)
    with gw.client(upstream.vmid) as raw, pytest.raises(Closed):
        raw.request(cookie=cookie)


@over_both
def test_extra_bytes_on_an_idle_connection_end_it(gw):
    upstream, cookie = behind(gw, rogue.speaks_on_an_idle_connection)
    with gw.client(upstream.vmid) as raw:
        for _ in range(3):
            assert raw.request(cookie=cookie).body == b"first"
            time.sleep(0.4)
    assert len(upstream.connections) == 3


@over_both
def test_a_dripping_answer_arrives(gw):
    upstream, cookie = behind(gw, rogue.drips(pause=0.01))
    assert gw.request(upstream.vmid, cookie=cookie).body == b"drip" * 5


@over_both
def test_nobody_listening_is_503(gw):
    vmid = gw.claim_vmid()
    cookie = gw.launch(vmid)
    answer = gw.request(vmid, headers=FETCH, cookie=cookie)
    assert answer.status == 503 and answer.json()["error"] == "unreachable"
    assert answer.one("retry-after") == "2"


@over_both
def test_the_page_of_an_unreachable_ide_reloads_itself(gw):
    vmid = gw.claim_vmid()
    cookie = gw.launch(vmid)
    page = gw.request(vmid, headers=NAVIGATION, cookie=cookie)
    assert page.status == 503 and page.one("content-type").startswith("text/html")
    assert re.search(r"refresh|reload", page.text + str(page.headers), re.I)
    assert page.one("x-request-id") in page.text and page.one("cache-control") == "no-store"


@over_both
def test_connect_timeout_is_504(gw):
    vmid = gw.claim_vmid()
    cookie = gw.launch(vmid)
    route = gw.routes["ide"][vmid]
    gw.upstreams.append(rogue.Blackhole(route["address"], route["port"]))
    begin = time.monotonic()
    answer = gw.request(vmid, headers=FETCH, cookie=cookie)
    assert answer.status == 504 and answer.json()["error"] == "upstream_timeout"
    assert 0.8 < time.monotonic() - begin < 3


@over_both
def test_header_timeout_is_504(gw):
    upstream, cookie = behind(gw, rogue.never_answers)
    begin = time.monotonic()
    assert gw.request(upstream.vmid, headers=FETCH, cookie=cookie).json()["error"] == "upstream_timeout"
    assert 1.5 < time.monotonic() - begin < 4
    page = gw.request(upstream.vmid, headers=NAVIGATION, cookie=cookie)
    assert page.status == 504 and page.one("content-type").startswith("text/html")


@over_both
def test_timeouts_are_by_progress_never_total(gw):
    """A body that takes longer than `response` from first byte to last is whole."""
    upstream, cookie = behind(gw, rogue.drips(b"x" * 30, pause=0.05))
    begin = time.monotonic()
    assert gw.request(upstream.vmid, cookie=cookie).body == b"x" * 30
    assert time.monotonic() - begin > 2.5


@over_both
def test_a_client_that_leaves_frees_the_container(gw):
    left = threading.Event()

    def endless(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                connection.send(b"x" * 10_000)
        except OSError:
            left.set()

    upstream, cookie = behind(gw, endless)
    with gw.client(upstream.vmid) as raw:
        stream = raw.open(cookie=cookie)
        stream.head()
        stream.cancel()
        assert left.wait(5)


def test_a_client_that_leaves_a_silent_answer_frees_the_container(gw):
    """A closed tab sends FIN and nothing more; an event stream with no event must not be kept for it."""
    def silent(connection):
        connection.read()
        time.sleep(0.5)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        connection.wait_closed(30)

    upstream, cookie = behind(gw, silent)
    raw = gw.raw(upstream.vmid)
    raw.send(f"GET / HTTP/1.1\r\nHost: {raw.host}\r\nCookie: __Host-zlh_s={cookie}\r\n\r\n")
    upstream.wait_requests(1)
    raw.sock.shutdown(socket.SHUT_WR)
    wait_for(lambda: not _open(upstream), 15, "the answer to be given up")
    raw.close()


@over_both
def test_a_client_that_leaves_mid_upload_frees_the_container(gw):
    upstream, cookie = behind(gw, replies())
    raw = gw.client(upstream.vmid)
    raw.open("POST", cookie=cookie, length=1000).write(b"xx")
    upstream.wait_requests(1)
    raw.close()
    wait_for(lambda: not _open(upstream), 3, "the upload's connection to end")


def test_the_end_of_an_answer_waits_for_a_slow_client(gw):
    """The container is done and gone when the browser has yet to read the last piece; nothing of it is lost."""
    sizes = [n * 300_000 for n in range(5, 16)]  # some of them leave a rest that the kernel did not take
    upstream, cookie = behind(gw, replies(lambda request: reply(bytes(int(request.target[1:])))))
    raws = []
    for size in sizes:
        raw = gw.raw(upstream.vmid, receive_buffer=4096)
        raw.send(f"GET /{size} HTTP/1.1\r\nHost: {raw.host}\r\nCookie: __Host-zlh_s={cookie}\r\n"
                 "Connection: close\r\n\r\n")
        raws.append(raw)
    time.sleep(4)
    for raw, size in zip(raws, sizes):
        assert len(raw.answer().body) == size
        raw.close()


# --- memory ---

@over_both
def test_slow_reader_does_not_grow_memory(gw):
    total = 200 * MB
    block = bytes(MB)
    sent = [0]

    def pours(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(200):
            connection.send(block)
            sent[0] += MB

    upstream, cookie = behind(gw, pours)

    def work():
        with gw.client(upstream.vmid, receive_buffer=65536) as raw:
            stream = raw.open(cookie=cookie)
            stream.head()
            time.sleep(1)
            assert sent[0] < 40 * MB, "the container is held back"
            stream.skip(total)

    flat(gw, 30 * MB, work)


@over_both
def test_slow_container_does_not_grow_memory(gw):
    total = 200 * MB

    def reads_late(connection):
        request = connection.read_head()
        time.sleep(1)
        connection.read_body(request, keep=False)
        connection.send(reply(str(request.received).encode()))

    upstream, cookie = behind(gw, reads_late, receive_buffer=65536)

    def work():
        with gw.client(upstream.vmid, timeout=50) as raw:
            request = raw.open("POST", cookie=cookie, length=total)
            block = bytes(MB)
            begin, before_wakeup = time.monotonic(), 0
            for n in range(200):
                request.write(block)
                if time.monotonic() - begin < 0.8:
                    before_wakeup = n
            assert before_wakeup < 40, "the client is held back"
            request.finish()
            assert request.answer().body == str(total).encode()

    flat(gw, 30 * MB, work)


def upload(gw, size: int, tmp_path, protocol: str = "http/1.1"):
    """A sparse file by curl; the container's digest of it must be right."""
    sparse = tmp_path / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(size)
    upstream, cookie = behind(gw, rogue.counts_bytes)
    host = gw.host(upstream.vmid)

    def work():
        done = subprocess.run(
            ["curl", "-sS", CURL[protocol], "--cacert", gw.authority.file, "--resolve",
             f"{host}:{gw.port}:127.0.0.1", "-b", f"__Host-zlh_s={cookie}", "-T", sparse, "-H", "Expect:",
             "-w", " %{http_version}", f"https://{host}:{gw.port}/"], capture_output=True, text=True, timeout=280)
        digest = hashlib.sha256()
        for _ in range(size // MB):
            digest.update(bytes(MB))
        assert done.stdout == f"{size} {digest.hexdigest()} {'2' if protocol == 'h2' else '1.1'}", done

    flat(gw, 20 * MB, work)


@over_both
@pytest.mark.timeout(120)
def test_a_1_gib_upload_costs_no_memory(gw, http, tmp_path):
    upload(gw, 1 << 30, tmp_path, http)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_4_gib_upload_costs_no_memory(gw, tmp_path):
    upload(gw, 4 << 30, tmp_path)


@over_both
def test_many_slow_readers_share_bounded_buffers(gw):
    upstream, cookie = behind(gw, rogue.pours_without_end)

    def work():
        readers = []
        for _ in range(50):
            raw = gw.client(upstream.vmid, receive_buffer=8192)
            raw.open(cookie=cookie)
            readers.append(raw)
        time.sleep(2)
        for raw in readers:
            raw.close()

    flat(gw, 50 * 512 * 1024, work)


def test_nothing_leaks_over_many_failures(gw):
    """Descriptors are back to where they were after every kind of failure."""
    upstream, cookie = behind(gw, rogue.resets_after_the_request)
    gw.request(upstream.vmid, cookie=cookie)
    time.sleep(0.3)
    before = gw.descriptors()
    for _ in range(40):
        assert gw.request(upstream.vmid, cookie=cookie).status == 502
        raw = gw.raw(upstream.vmid)
        raw.send("GET / HT")
        raw.reset()
    wait_for(lambda: gw.descriptors() <= before + 2, 5, "descriptors to be given back")


def test_a_client_that_never_finishes_tls(gw):
    with socket.create_connection((gw.address, gw.port)) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert gw.running()


def test_a_slow_reader_gets_the_end_of_an_answer_that_closes(gw):
    """What waits in the gateway for the client outlasts the answer and the time that a closed connection lingers. Sizes
    around what the kernel takes of an answer that nobody reads, so that for some the very end waits."""
    kernel = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
    sizes = range(kernel * 60 // 100, kernel * 75 // 100, 32 * 1024)
    upstream = gw.upstream(replies(lambda request: reply(b"x" * int(request.target[1:]))))
    cookie = gw.launch(upstream.vmid)
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(gw.raw(upstream.vmid, receive_buffer=4096)) for _ in sizes]
        for raw, size in zip(raws, sizes):
            raw.send(f"GET /{size} HTTP/1.1\r\nHost: {raw.host}\r\nCookie: __Host-zlh_s={cookie}\r\n"
                     "Connection: close\r\n\r\n")
        time.sleep(2.6)
        for raw, size in zip(raws, sizes):
            assert len(raw.answer().body) == size
