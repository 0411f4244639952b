"""How an answer ends. A truncated one is passed on as truncated, with its status and every byte that came;
trailers that are too large or broken are dropped, not the answer."""

import contextlib
import random
import socket
import time
import zlib

import pytest

from harness import over_both
from harness import upstreams as rogue
from harness.gateway import FETCH
from harness.raw import Raw
from harness.upstreams import answer as reply
from harness.upstreams import after_request, replies

GATEWAY = {"limits": {"upstream": {"connect": "1s", "response": "2s"}}}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
MB = 1 << 20


def behind(gw, script, **more):
    upstream = gw.upstream(script, **more)
    return upstream, gw.launch(upstream.vmid)


def taken(stream, head=None) -> tuple[int, bytes]:
    """Status and body as far as they came; the answer must end as one that is not whole."""
    head = head or stream.head()
    got = stream.read_to_end()
    if isinstance(stream, Raw):
        length = head.get("content-length")
        assert not got.endswith(b"0\r\n\r\n") if length is None else len(got) < int(length), f"taken for whole: {got}"
    else:
        assert not stream.ended and stream.reset_code is not None, stream
    return head.status, got


# --- truncated ---

SHORT = {
    "ten of a hundred": (b"Content-Length: 100\r\n\r\nHelloThere", b"HelloThere"),
    "no byte": (b"Content-Length: 100\r\n\r\n", b""),
    "no last chunk": (b"Transfer-Encoding: chunked\r\n\r\na\r\nHelloThere\r\n", b"HelloThere"),
    "inside a chunk": (b"Transfer-Encoding: chunked\r\n\r\n64\r\nHelloThere", b"HelloThere"),
    "no chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b""),
    "inside a chunk's size": (b"Transfer-Encoding: chunked\r\n\r\na\r\nHelloThere\r\n4", b"HelloThere"),
    "inside the trailers": (b"Transfer-Encoding: chunked\r\n\r\na\r\nHelloThere\r\n0\r\nX-T: 1\r\n", b"HelloThere"),
    "broken chunk": (b"Transfer-Encoding: chunked\r\n\r\na\r\nHelloThere\r\nzz\r\n", b"HelloThere"),
}


@over_both
@pytest.mark.parametrize("ends", ["closes", "resets"])
@pytest.mark.parametrize("rest, body", SHORT.values(), ids=SHORT)
def test_status_and_every_byte_come_before_the_end(gw, http, rest, body, ends):
    """All of it, and the end, may come in one turn of the loop."""
    def script(connection):
        connection.read()
        connection.send(HEAD + rest)
        if ends == "resets":
            connection.reset()

    upstream, cookie = behind(gw, script)
    for wants in ({}, {"TE": "trailers"}):
        for _ in range(5):
            with gw.client(upstream.vmid) as client:
                status, got = taken(client.open(headers=FETCH | wants, cookie=cookie))
                assert status == 200
                assert got == body or http == "http/1.1" and body in got, got


@over_both
def test_the_log_says_that_it_broke_off(gw):
    upstream, cookie = behind(gw, after_request(HEAD + b"Content-Length: 100\r\n\r\nHelloThere"))
    with gw.client(upstream.vmid) as client:
        stream = client.open(headers=FETCH, cookie=cookie)
        head = stream.head()
        request_id = head.one("x-request-id")
        taken(stream, head)
    entry = gw.access(request_id)
    assert (entry["status"], entry["bytes_out"], entry["reason"]) == (200, 10, "bad_gateway")


@over_both
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
                         ids=["nothing", "half a head", "an interim answer"])
@pytest.mark.parametrize("ends", ["closes", "resets"])
def test_what_has_no_head_is_502(gw, sent, ends):
    def script(connection):
        connection.read()
        connection.send(sent)
        if ends == "resets":
            connection.reset()

    upstream, cookie = behind(gw, script)
    assert gw.request(upstream.vmid, headers=FETCH, cookie=cookie).status == 502


@pytest.mark.parametrize("size, ends", [(1000, "closes"), (20_000, "closes"), (300_000, "closes"), (1000, "resets"),
                                        (20_000, "resets")])
def test_what_waits_for_the_window_is_delivered_before_the_reset(gw, size, ends):
    """The container is long gone when the browser opens its window."""
    body = random.randbytes(size)

    def script(connection):
        connection.read()
        connection.send(HEAD + b"Content-Length: %d\r\n\r\n" % (size + 1) + body)
        if ends == "resets":
            time.sleep(0.1)  # or the kernel forgets what it has not sent
            connection.reset()

    upstream, cookie = behind(gw, script)
    with gw.http2(upstream.vmid, window=700, connection_window=16 * MB, manual=True) as connection:
        stream = connection.open(headers=FETCH, cookie=cookie)
        assert stream.head().status == 200
        connection.pump_for(0.3)
        assert stream.reset_code is None, "what waits is still to come"
        got = b""
        while True:
            got += b"".join(stream._arrived)
            stream._arrived.clear()
            if stream.over:
                break
            stream.acknowledge()
            with contextlib.suppress(TimeoutError):
                connection.pump(2)
        assert got == body and stream.reset_code is not None and not stream.ended
        assert connection.ping() < 5


def test_a_window_that_stays_shut_ends_it_all_the_same(make_gateway):
    gw = make_gateway(limits={"response_stall": "1s"})
    upstream, cookie = behind(gw, after_request(HEAD + b"Content-Length: 10000\r\n\r\n" + b"x" * 5000))
    with gw.http2(upstream.vmid, window=100, connection_window=16 * MB, manual=True) as connection:
        stream = connection.open(headers=FETCH, cookie=cookie)
        assert stream.head().status == 200
        assert stream.wait_reset(5) is not None
        assert stream.received == 100


@over_both
@pytest.mark.parametrize("size", [2000, 40_000])
@pytest.mark.parametrize("window", [1 << 20, 200])
def test_what_came_of_a_compressed_answer_can_be_read(gw, http, size, window):
    text = b"".join(b"<p>%d" % random.getrandbits(60) for _ in range(size // 18))
    upstream, cookie = behind(gw, after_request(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (len(text) + 1) + text))
    with gw.client(upstream.vmid, **({"window": window} if http == "h2" else {})) as client:
        stream = client.open(headers=FETCH | {"Accept-Encoding": "gzip"}, cookie=cookie)
        head = stream.head()
        assert head.one("content-encoding") == "gzip"
        _, got = taken(stream, head)
    machine = zlib.decompressobj(wbits=31)
    if http == "http/1.1":
        got = unchunked(got)
    assert machine.decompress(got) == text and not machine.eof


def unchunked(data: bytes) -> bytes:
    """The payload of the chunks, if that is what they are."""
    whole = b""
    while data:
        line, found, rest = data.partition(b"\r\n")
        if not found or data[:2] == b"\x1f\x8b":
            return whole + data
        size = int(line, 16)
        whole += rest[:size]
        data = rest[size + 2:]
    return whole


@over_both
def test_a_slow_reader_gets_all_of_what_came(gw, http):
    """The container is long gone, and what it said fills every buffer."""
    body = random.randbytes(8 * MB)
    upstream, cookie = behind(gw, after_request(HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body))
    with gw.client(upstream.vmid, receive_buffer=65536, **({"window": len(body)} if http == "h2" else {})) as client:
        stream = client.open(headers=FETCH, cookie=cookie)
        time.sleep(0.5)
        status, got = taken(stream)
        assert (status, len(got)) == (200, len(body)) and got == body


def test_what_no_framing_shows_ends_in_a_reset_behind_the_bytes(gw):
    """HTTP/1.0 knows no chunks: only a reset tells that this was not all."""
    body = b"x" * 50_000
    upstream, cookie = behind(gw, after_request(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (len(body) + 1) + body))
    for _ in range(5):
        with gw.raw(upstream.vmid) as raw:
            raw.send(b"GET / HTTP/1.0\r\nHost: %s\r\nCookie: __Host-zlh_s=%s\r\n\r\n"
                     % (raw.host.encode(), cookie.encode()))
            assert raw.head().status == 200 and raw.read_exactly(len(body)) == body
            with pytest.raises(ConnectionResetError):  # asked of the socket: Python's TLS takes a reset for an end
                socket.socket.recv(raw.sock, 1)


# --- trailers ---

def with_trailers(section: bytes) -> bytes:
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\na\r\nHelloThere\r\n0\r\n" + section + b"\r\n"


BAD_TRAILERS = {
    "9 KiB in one field": b"X-T: " + b"x" * 9000 + b"\r\n",
    "100 KiB in one field": b"X-T: " + b"x" * 100_000 + b"\r\n",
    "300 fields": b"".join(b"X-%d: y\r\n" % n for n in range(300)),
    "2000 fields": b"".join(b"X-%d: y\r\n" % n for n in range(2000)),
    "no colon": b"what is this\r\n",
    "a space before the colon": b"X-T : 1\r\n",
    "a bare line feed": b"X-T: 1\n",
    "folded": b"X-T: 1\r\n 2\r\n",
    "NUL": b"X-T: \0\r\n",
    "no name": b": 1\r\n",
}


@over_both
@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "unwanted"])
@pytest.mark.parametrize("coded", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("section", BAD_TRAILERS.values(), ids=BAD_TRAILERS)
def test_bad_trailers_are_dropped_and_not_the_answer(gw, section, wanted, coded):
    upstream, cookie = behind(gw, replies(with_trailers(section)))
    headers = FETCH | ({"TE": "trailers"} if wanted else {}) | ({"Accept-Encoding": "gzip"} if coded else {})
    with gw.client(upstream.vmid) as client:
        for _ in range(2):
            answer = client.request(headers=headers, cookie=cookie)
            body = zlib.decompress(answer.body, 31) if coded else answer.body
            assert (answer.status, body, answer.trailers) == (200, b"HelloThere", [])
    assert len(upstream.connections) == 2, "what follows such trailers belongs to nothing"


@over_both
def test_large_trailers_count(gw):
    was = gw.refused("framing.trailers")
    upstream, cookie = behind(gw, replies(with_trailers(BAD_TRAILERS["9 KiB in one field"])))
    assert gw.request(upstream.vmid, headers=FETCH, cookie=cookie).status == 200
    assert gw.refused("framing.trailers") == was + 1


@over_both
@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "unwanted"])
def test_trailers_without_end_are_waited_for_in_vain_only_so_long(gw, wanted):
    def drips(connection):
        connection.read()
        connection.send(with_trailers(b"X-T: ")[:-2])
        with contextlib.suppress(OSError):
            while True:
                connection.send(b"x")
                time.sleep(0.2)

    upstream, cookie = behind(gw, drips)
    begin = time.monotonic()
    answer = gw.request(upstream.vmid, headers=FETCH | ({"TE": "trailers"} if wanted else {}), cookie=cookie)
    assert (answer.status, answer.body, answer.trailers) == (200, b"HelloThere", [])
    assert 1 < time.monotonic() - begin < 6, "limits.upstream.response"


@over_both
def test_good_trailers_still_arrive(gw):
    upstream, cookie = behind(gw, replies(with_trailers(b"X-T: " + b"x" * 7000 + b"\r\n")))
    with gw.client(upstream.vmid) as client:
        for _ in range(3):
            answer = client.request(headers=FETCH | {"TE": "trailers"}, cookie=cookie)
            assert answer.body == b"HelloThere"
            assert [(name.lower(), len(value)) for name, value in answer.trailers] == [("x-t", 7000)]
    assert len(upstream.connections) == 1
