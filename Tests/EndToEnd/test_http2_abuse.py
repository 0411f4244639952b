"""Clients that misuse HTTP/2. Each ends in GOAWAY, in RST_STREAM or within a bound, while the process
stays small and an honest client on another connection is served."""

import threading
import time

import pytest

from harness import frames as f
from harness import upstreams as rogue
from harness.frames import ENHANCE_YOUR_CALM, Frames
from harness.gateway import FETCH, Gateway, flat, wait_for
from harness.http2 import REFUSED_STREAM, Connection
from harness.upstreams import answer as reply
from harness.upstreams import echoes_bytes, replies, upgrades_and
from harness.websocket import opened

GATEWAY = {"log": {"access": False}, "limits": {
    "headers": {"timeout": "2s"}, "tls": {"handshake": "2s"}, "upstream": {"per_vmid": 1000, "response": "10s"}}}
MB = 1 << 20


@pytest.fixture(autouse=True)
def over_http2(monkeypatch):
    monkeypatch.setattr(Gateway, "protocol", "h2")


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream(replies())


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


class Honest:
    """A client of its own thread and connection that asks all the time. No answer may take longer than a second."""

    def __init__(self, gw, vmid: int, cookie: str):
        self.gw, self.vmid, self.cookie = gw, vmid, cookie
        self.slowest, self.served, self.failure = 0.0, 0, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            with Connection(self.gw, self.vmid) as connection:
                while not self._stop.is_set():
                    begin = time.monotonic()
                    assert connection.request(cookie=self.cookie).status == 200
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                    self.served += 1
                    self._stop.wait(0.02)
        except Exception as error:
            self.failure = error

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: self.served or self.failure)
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        self._thread.join(10)
        if kind is None:
            assert self.failure is None, self.failure
            assert self.slowest < 1, f"an honest client waited {self.slowest:.2f} s"
            with Connection(self.gw, self.vmid) as connection:
                assert connection.request(cookie=self.cookie).status == 200


@pytest.fixture
def honest(gw, up, cookie):
    with Honest(gw, up.vmid, cookie) as client:
        yield client


def abused(gw, was: float):
    wait_for(lambda: gw.refused("http2.abuse") > was, 3, "zlh_edge_refused_total{reason=http2.abuse}")


# --- floods of frames that cost the client nothing ---

FLOODS = {
    "ping": f.frame(f.PING, 0, bytes(8)),
    "settings": f.settings(),
    "settings with a value": f.settings((4, 65535)),
    "priority": f.priority(1001),
    "priority of many": b"".join(f.priority(n) for n in range(1, 41, 2)),
    "priority update": f.priority_update(1001),
    "empty data": f.frame(f.DATA, 1),
    "unknown": f.frame(0xbd, 0, b"x"),
    "unknown of a stream": f.frame(0xbe, 1, b"x"),
    "window of the connection": f.window_update(0, 1),
    "window of a stream": f.window_update(1, 1),
    "unasked ping answers": f.frame(f.PING, 0, bytes(8), f.ACK),
    "reset of a stream that is over": f.reset(1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood(gw, up, cookie, honest, name):
    upstream = gw.upstream(rogue.never_answers)
    session = gw.launch(upstream.vmid)
    was = gw.refused("http2.abuse")

    def work():
        with Frames(gw, upstream.vmid) as client:
            client.raw(client.request(1, method="POST", cookie=session, end=False))
            upstream.wait_requests(1)
            assert client.flood(FLOODS[name], 20_000), "twenty thousand of them were taken"
            assert client.is_closed(8)
            # Two of them are an error of their own by the protocol, which is an end as well.
            if client.goaways:
                assert client.goaways[-1][1] in (ENHANCE_YOUR_CALM, 1, 5), client.goaways
            return client.goaways[-1][1] if client.goaways else None

    code = flat(gw, 16 * MB, work)
    if code == ENHANCE_YOUR_CALM:
        abused(gw, was)
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 3)


@pytest.mark.parametrize("data", [b"\x08" + bytes(8), b"\0x"], ids=["padding alone", "one byte"])
def test_tiny_data_frames_are_bounded(gw, honest, data):
    """No cheaper for the client than they are for us, so no abuse; but nothing may grow by them."""
    upstream = gw.upstream(rogue.counts_bytes)
    session = gw.launch(upstream.vmid)

    def work():
        with Frames(gw, upstream.vmid) as client:
            client.raw(client.request(1, method="POST", cookie=session, end=False))
            client.flood(f.frame(f.DATA, 1, data, f.PADDED), 5000, patience=0.2)

    flat(gw, 8 * MB, work)


def test_a_moderate_client_is_none(gw, up, cookie):
    """What browsers do in an hour: pings, priorities, cancelled images, window updates. No limit is met."""
    was = gw.refused("http2.abuse")
    with gw.http2(up.vmid) as connection:
        for n in range(100):
            stream = connection.open(cookie=cookie, headers={"priority": "u=3, i"})
            connection.raw(f.priority_update(stream.id, b"u=2") + f.window_update(stream.id, 1000))
            if n % 3 == 0 and not stream.over:
                stream.cancel()
            if n % 10 == 0:
                connection.ping()
        assert connection.request(cookie=cookie).status == 200
        assert not connection.goaways
    assert gw.refused("http2.abuse") == was


# --- resets ---

def test_rapid_reset(gw, honest):
    """CVE-2023-44487: ten thousand streams opened and reset at once. Containers hear of few of them."""
    upstream = gw.upstream(rogue.never_answers)
    session = gw.launch(upstream.vmid)
    was = gw.refused("http2.abuse")

    def work():
        with Frames(gw, upstream.vmid) as client:
            head = client.block(cookie=session)
            for first in range(1, 20_001, 200):
                if not client.pour(b"".join(f.frame(f.HEADERS, n, head, f.END_HEADERS | f.END_STREAM) + f.reset(n)
                                            for n in range(first, first + 200, 2))):
                    break
            assert client.is_closed(8)
            assert client.goaways[-1][1] == ENHANCE_YOUR_CALM

    flat(gw, 20 * MB, work)
    abused(gw, was)
    assert len(upstream.connections) <= 1100, "no more than the limit lets through"
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 5)


def test_streams_reset_in_the_turn_they_came_never_reach_a_container(gw):
    upstream = gw.upstream(rogue.never_answers)
    session = gw.launch(upstream.vmid)
    with Frames(gw, upstream.vmid) as client:
        head = client.block(cookie=session)
        client.raw(b"".join(f.frame(f.HEADERS, n, head, f.END_HEADERS | f.END_STREAM) + f.reset(n)
                            for n in range(1, 41, 2)) + client.request(41, "/kept", cookie=session))
        upstream.wait_requests(1)
        client.pump_for(0.2)
    assert [request.target for request in upstream.requests] == ["/kept"]


@pytest.mark.parametrize("end", [lambda n: f.reset(n), lambda n: f.window_update(n, 0), lambda n: b""],
                         ids=["reset", "made to reset", "connection lost"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stream_that_dies_at_once_leaves_nothing_to_the_next(gw, method, end):
    """What was made of one request must never go to another container with somebody else's."""
    upstream, up = gw.upstream(rogue.never_answers), gw.upstream(replies())
    session, cookie = gw.launch(upstream.vmid), gw.launch(up.vmid)
    for _ in range(3):
        with Frames(gw, upstream.vmid) as client:
            client.raw(b"".join(client.request(n, "/dead", method=method, cookie=session, end=method == "GET") + end(n)
                                for n in range(1, 41, 2)))
            client.pump_for(0.05)
        for n in range(20):  # on both loops
            assert gw.request(up.vmid, f"/alive/{n}", cookie=cookie).status == 200
    alive = up.wait_requests(60)
    assert len(alive) == 60 and not up.errors, (alive[0].head, up.errors)
    for n, request in enumerate(alive):
        assert (request.method, request.target, request.get("host")) == ("GET", f"/alive/{n % 20}", gw.host(up.vmid))
        assert not request.all("transfer-encoding") and not request.all("content-length")


def open_stream_then(gw, bad: bytes, upstream, session) -> Frames:
    client = Frames(gw, upstream.vmid)
    head = client.block(method="POST", cookie=session)
    for first in range(1, 6001, 100):
        if not client.pour(b"".join(f.frame(f.HEADERS, n, head, f.END_HEADERS)
                                    + bad.replace(STREAM, n.to_bytes(4, "big")) for n in range(first, first + 100, 2))):
            break
    return client


STREAM = b"\xee\xee\xee\xee"
MADE_RESETS = {
    "window update of 0": (4).to_bytes(3, "big") + bytes([f.WINDOW_UPDATE, 0]) + STREAM + bytes(4),
    "window overflow": ((4).to_bytes(3, "big") + bytes([f.WINDOW_UPDATE, 0]) + STREAM + b"\x7f\xff\xff\xff") * 2,
    "priority on itself": (5).to_bytes(3, "big") + bytes([f.PRIORITY, 0]) + STREAM + STREAM + b"\x0f",
    "data behind its end": (bytes(3) + bytes([f.DATA, f.END_STREAM]) + STREAM) * 2,
    "headers behind its end": bytes(3) + bytes([f.DATA, f.END_STREAM]) + STREAM
    + (1).to_bytes(3, "big") + bytes([f.HEADERS, f.END_HEADERS | f.END_STREAM]) + STREAM + b"\x82",
    "short priority": (1).to_bytes(3, "big") + bytes([f.PRIORITY, 0]) + STREAM + b"\x00",
    "length over": (1).to_bytes(3, "big") + bytes([f.HEADERS, f.END_HEADERS | f.END_STREAM]) + STREAM + b"\x82",
}


@pytest.mark.parametrize("name", MADE_RESETS)
def test_made_you_reset(gw, honest, name):
    """CVE-2025-8671: the client makes the gateway do the resetting, and the containers the work."""
    upstream = gw.upstream(rogue.never_answers)
    session = gw.launch(upstream.vmid)

    def work():
        with open_stream_then(gw, MADE_RESETS[name], upstream, session) as client:
            client.pump_until(lambda: client.sent_away, 5)
            assert client.is_closed(8)

    flat(gw, 24 * MB, work)
    assert len(upstream.connections) <= 1100
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 5)


def test_a_slot_is_free_when_the_containers_work_ended(make_gateway):
    """A reset does not let the next stream in while the upstream is still at work for the last."""
    gw = make_gateway(limits={"http2": {"streams": 20, "abuse": "100000/10s"}, "upstream": {"per_vmid": 1000}})
    upstream = gw.upstream(rogue.never_answers)
    session = gw.launch(upstream.vmid)
    with Frames(gw, upstream.vmid) as client:
        most = 0
        for first in range(1, 2001, 20):
            client.raw(b"".join(client.request(n, cookie=session) for n in range(first, first + 20, 2)))
            client.raw(b"".join(f.reset(n) for n in range(first, first + 20, 2)))
            most = max(most, len([c for c in upstream.connections if c.sock.fileno() >= 0]))
        assert most <= 60, "what is at work stays near the limit of streams"


def test_tunnels_get_five_seconds(gw):
    """The abuser's own WebSockets are closed in words, and everything within the five seconds."""
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    session = gw.launch(upstream.vmid)
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=session)
        tunnel.send(b"x")
        assert tunnel.read_exactly(1) == b"x"
        for _ in range(60):
            connection.raw(f.frame(f.PING, 0, bytes(8)) * 100).poll()
            if connection.goaways:
                break
        connection.pump_until(lambda: connection.goaways, 3)
        assert connection.goaways[-1][1] == ENHANCE_YOUR_CALM
        begin = time.monotonic()
        assert connection.is_closed(9)
        assert time.monotonic() - begin < 7
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 3)


# --- heads ---

def test_continuation_flood(gw, honest):
    """CVE-2024-27316: a header block that goes on and on."""
    def work():
        with Frames(gw, 1101) as client:
            client.raw(f.frame(f.HEADERS, 1, client.block()))
            piece = f.frame(f.CONTINUATION, 1, f.literal(b"x-field", b"y" * 1000))
            assert client.flood(piece, 20_000), "twenty megabytes of headers were taken"
            assert client.is_closed(5)

    flat(gw, 8 * MB, work)


def test_empty_continuations(gw, honest):
    def work():
        with Frames(gw, 1101) as client:
            client.raw(f.frame(f.HEADERS, 1, client.block()))
            assert client.flood(f.frame(f.CONTINUATION, 1), 20_000)
            assert client.is_closed(5)

    flat(gw, 8 * MB, work)


def test_a_head_that_never_ends_meets_the_deadline(gw, honest):
    was = gw.refused("headers.timeout")
    with Frames(gw, 1101) as client:
        client.raw(f.frame(f.HEADERS, 1, client.block()))
        begin = time.monotonic()
        while not client.eof and time.monotonic() - begin < 8:
            client.raw(f.frame(f.CONTINUATION, 1, f.literal(b"x", b"y")))
            client.pump_for(0.3)
        assert client.eof and 1.5 < time.monotonic() - begin < 5
    wait_for(lambda: gw.refused("headers.timeout") > was)


@pytest.mark.parametrize("begin_with", [b"", b"PRI * HTTP/2.0\r\n", f.PREFACE, f.PREFACE + b"\0\0"],
                         ids=["nothing", "half", "no settings", "half a frame"])
def test_a_preface_that_never_ends(gw, honest, begin_with):
    with Frames(gw, 1101, preface=False) as client:
        client.raw(begin_with)
        begin = time.monotonic()
        assert client.is_closed(8)
        assert time.monotonic() - begin < 6


@pytest.mark.parametrize("first", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(64), f.PREFACE + f.frame(f.PING, 0, bytes(8)),
    f.PREFACE + f.frame(f.HEADERS, 1, b"\x82", 5),
], ids=["HTTP/1.1", "zeros", "ping before settings", "headers before settings"])
def test_a_wrong_preface(gw, honest, first):
    with Frames(gw, 1101, preface=False) as client:
        client.raw(first)
        assert client.is_closed(5)
        assert not client.heads


def bomb(entries: int, size: int, references: int) -> bytes:
    """A header block that puts large fields into the table and then names one a thousand times for a byte each."""
    stored = b"".join(f.literal(b"x-bomb", b"y" * size, indexed=True) for _ in range(entries))
    return stored + bytes([0x80 | 62]) * references


@pytest.mark.parametrize("references", [20, 500, 15_000])
def test_a_compression_bomb(gw, honest, references):
    """Counted uncompressed and before it is stored: 15 000 bytes would become 60 MB."""
    def work():
        with Frames(gw, 1101) as client:
            block = client.block() + bomb(1, 4000, references)
            client.raw(f.head_block(1, block))
            client.pump_until(lambda: 1 in client.heads or client.resets or client.goaways or client.eof)
            if 1 in client.heads:
                assert client.status(1) == 431
            if references > 1000:
                assert client.is_closed(5), "over a thousand fields end the connection"
            elif not client.eof and not client.goaways:
                client.raw(client.request(3))
                client.pump_until(lambda: client.status(3))
                assert client.status(3) == 401, "and the table is still in step"

    was = gw.refused("headers.bytes") + gw.refused("headers.fields")
    flat(gw, 4 * MB, work)
    wait_for(lambda: gw.refused("headers.bytes") + gw.refused("headers.fields") > was, 3)


@pytest.mark.parametrize("count, size", [(98, 1), (200, 1), (800, 30), (1100, 1), (5000, 1)])
def test_cookie_crumbs_count_as_fields_and_bytes(gw, up, cookie, honest, count, size):
    """CVE-2026-49975: crumbs that are joined for free."""
    before = len(up.requests)

    def work():
        with Frames(gw, up.vmid) as client:
            crumbs = b"".join(f.literal(b"cookie", b"a=" + b"y" * size) for _ in range(count))
            block = client.block(cookie=cookie) + crumbs
            client.raw(f.head_block(1, block))
            client.pump_until(lambda: client.status(1) or client.resets or client.goaways or client.eof)
            if count > 1000:
                assert client.is_closed(5)
            else:
                assert client.status(1) == 431

    flat(gw, 4 * MB, work)
    assert len(up.requests) - before < 100 and all(r.get("cookie") is None for r in up.requests[before:])


def test_a_table_size_that_jumps(gw, honest):
    """HPACK table size updates at the start of each block, up and down."""
    with Frames(gw, 1101) as client:
        for n in range(1, 201, 2):
            update = b"\x20\x3f\xe1\x1f"  # to 0, then to 4096
            client.raw(f.frame(f.HEADERS, n, update + client.block(), f.END_HEADERS | f.END_STREAM))
        client.pump_until(lambda: len(client.ended) == 100 or client.goaways)
        assert client.goaways or all(client.status(n) == 401 for n in range(1, 201, 2))


@pytest.mark.parametrize("block", [
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x80", b"\xbf", b"\x40\x7f\xff\xff\xff\xff\x0f",
    b"\x3f\xff\xff\xff\x0f", b"\x00\x85\xff\xff\xff\xff\xff\x01y", b"\x40\x01", b"\x82\x20"],
    ids=["huge index", "index 0", "beyond the table", "huge length", "huge table", "bad Huffman", "cut short",
         "late table size"])
def test_bad_compression_ends_the_connection(gw, honest, block):
    with Frames(gw, 1101) as client:
        client.raw(f.frame(f.HEADERS, 1, block, f.END_HEADERS | f.END_STREAM))
        assert client.is_closed(5)
        assert client.goaways and client.goaways[-1][1] in (9, 1), client.goaways


# --- frames that break the protocol ---

BROKEN = {
    "data on stream 0": f.frame(f.DATA, 0, b"x"),
    "headers on stream 0": f.frame(f.HEADERS, 0, b"\x82", 5),
    "headers on an even stream": f.frame(f.HEADERS, 2, b"\x82", 5),
    "data on an idle stream": f.frame(f.DATA, 7, b"x"),
    "reset of an idle stream": f.reset(7),
    "window of an idle stream": f.window_update(7, 1),
    "continuation of nothing": f.frame(f.CONTINUATION, 1, b"\x82", 4),
    "another frame inside a head": f.frame(f.HEADERS, 1, b"\x82") + f.frame(f.PING, 0, bytes(8)),
    "another stream inside a head": f.frame(f.HEADERS, 1, b"\x82") + f.frame(f.CONTINUATION, 3, b"\x82", 4),
    "a frame too large": f.frame(f.DATA, 1, bytes(16385)),
    "a frame of 16 MB": b"\xff\xff\xff" + bytes([f.DATA, 0]) + bytes(4) + bytes(100_000),
    "settings of an odd length": f.frame(f.SETTINGS, 0, bytes(5)),
    "settings on a stream": f.frame(f.SETTINGS, 1),
    "settings answer with a body": f.frame(f.SETTINGS, 0, bytes(6), f.ACK),
    "settings push 2": f.settings((2, 2)),
    "settings window too large": f.settings((4, 1 << 31)),
    "settings frame size too small": f.settings((5, 100)),
    "ping of 7 bytes": f.frame(f.PING, 0, bytes(7)),
    "ping on a stream": f.frame(f.PING, 1, bytes(8)),
    "window update of 3 bytes": f.frame(f.WINDOW_UPDATE, 0, bytes(3)),
    "window update of 0": f.window_update(0, 0),
    "window overflow": f.window_update(0, 0x7fffffff) * 2,
    "push promise": f.frame(f.PUSH_PROMISE, 1, bytes(4) + b"\x82", 4),
    "goaway on a stream": f.frame(f.GOAWAY, 1, bytes(8)),
    "too much padding": f.frame(f.HEADERS, 1, b"\xff\x82", f.END_HEADERS | f.PADDED),
    "reset of 3 bytes": f.frame(f.HEADERS, 1, b"\x82", 4) + f.frame(f.RST_STREAM, 1, bytes(3)),
    "stream numbers that fall": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_frames_end_the_connection(gw, honest, name):
    with Frames(gw, 1101) as client:
        data = BROKEN[name] or client.request(5) + client.request(3)
        client.raw(data)
        assert client.is_closed(5), name
        assert not client.goaways or client.goaways[-1][1] != 0


# --- windows ---

def test_window_0_with_many_large_answers(make_gateway):
    """Answers that are asked for and never let in: bounded memory, and `response_stall` ends each."""
    gw = make_gateway(limits={"response_stall": "2s", "upstream": {"per_vmid": 1000}})
    upstream = gw.upstream(replies(reply(bytes(4 * MB))))
    session = gw.launch(upstream.vmid)
    honest_up = gw.upstream(replies())
    honest_session = gw.launch(honest_up.vmid)
    was = gw.refused("response_stall")

    def work():
        with Honest(gw, honest_up.vmid, honest_session):
            clients = [Frames(gw, upstream.vmid, initial=((4, 0),)) for _ in range(4)]
            for client in clients:
                client.raw(b"".join(client.request(n, cookie=session) for n in range(1, 201, 2)))
            for client in clients:
                client.pump_until(lambda: len(client.resets) == 100 or client.eof, 12)
                assert not client.bodies
                client.close()

    flat(gw, 400 * 192 * 1024, work)
    assert gw.refused("response_stall") >= was + 400
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0] or len(upstream.connections), 3)


def test_one_byte_windows(gw, honest):
    """A window that opens by a byte at a time buys a frame of overhead for each: bounded, or an end."""
    upstream = gw.upstream(replies(reply(bytes(MB))))
    session = gw.launch(upstream.vmid)

    def work():
        with Frames(gw, upstream.vmid, initial=((4, 0),)) as client:
            client.raw(client.request(1, cookie=session))
            client.pump_until(lambda: client.status(1))
            cpu = gw.cpu()
            for _ in range(300):
                if not client.pour(f.window_update(1, 1) * 100):
                    break
            client.pump_for(0.3)
            assert gw.cpu() - cpu < 4
            assert client.goaways or client.eof or client.bodies[1] <= 30_000

    flat(gw, 8 * MB, work)


def test_a_client_that_asks_and_never_reads(gw, honest):
    """Pings and settings whose answers pile up in a socket that nobody empties."""
    def work():
        with Frames(gw, 1101, receive_buffer=4096, timeout=2) as client:
            try:
                for _ in range(100):
                    client._out += f.frame(f.PING, 0, bytes(8)) * 1000
                    client._push()
            except OSError:
                pass
            time.sleep(0.5)

    flat(gw, 8 * MB, work)


# --- streams ---

def test_ten_thousand_streams(gw, honest):
    """Far beyond the limit of streams: refused one by one, or the connection ends; containers see 250 at most."""
    upstream = gw.upstream(rogue.never_answers)
    session = gw.launch(upstream.vmid)

    def work():
        with Frames(gw, upstream.vmid) as client:
            head = client.block(cookie=session)
            for first in range(1, 20_001, 200):
                if not client.pour(b"".join(f.frame(f.HEADERS, n, head, f.END_HEADERS | f.END_STREAM)
                                            for n in range(first, first + 200, 2))):
                    break
            client.pump_for(0.3)
            assert client.sent_away or set(client.resets.values()) == {REFUSED_STREAM}
            assert client.goaways or len(client.resets) == 9750

    flat(gw, 32 * MB, work)
    assert len(upstream.connections) <= 250
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 5)


def test_many_connections_that_open_and_say_nothing(gw, honest):
    def work():
        clients = [Frames(gw, 1101) for _ in range(200)]
        for client in clients:
            client.raw(f.frame(f.HEADERS, 1, client.block()[:20]))
        time.sleep(0.3)
        for client in clients:
            client.close()

    flat(gw, 200 * 96 * 1024, work)


def test_uploads_that_drip(make_gateway):
    """`body.minimum_rate` holds for each stream: a hundred of a byte now and then."""
    gw = make_gateway(limits={"body": {"minimum_rate": 1000, "over": "1s"}, "upstream": {"per_vmid": 1000}})
    upstream = gw.upstream(replies())
    session = gw.launch(upstream.vmid)
    was = gw.refused("body.minimum_rate")
    with Frames(gw, upstream.vmid) as client:
        client.raw(b"".join(client.request(n, method="POST", cookie=session, end=False) for n in range(1, 201, 2)))
        begin = time.monotonic()
        while time.monotonic() - begin < 8 and len(client.heads) < 100 and not client.goaways and not client.eof:
            live = [n for n in range(1, 201, 2) if n not in client.resets and n not in client.ended]
            client.raw(b"".join(f.frame(f.DATA, n, b"x") for n in live))
            client.pump_for(0.3)
        assert client.goaways or client.eof or {client.status(n) for n in range(1, 201, 2)} == {408}
    wait_for(lambda: gw.refused("body.minimum_rate") > was, 3)
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 3)


def test_a_sources_connections_are_limited_whatever_they_speak(make_gateway):
    gw = make_gateway(limits={"exempt": [], "https": {"unauthenticated": "1/s", "unauthenticated_burst": 10}})
    with gw.http2(1101, source="127.9.0.1") as connection:
        streams = [connection.open(headers=FETCH) for _ in range(40)]
        statuses = [stream.answer().status for stream in streams]
    assert statuses.count(401) <= 13 and statuses.count(429) >= 27


def test_abuse_is_penalised(make_gateway):
    """Five who flood from one address are blocked there, for new connections."""
    gw = make_gateway(limits={"exempt": [], "penalty": {"score": 8, "half_life": "60s", "block": "5s"}})
    with pytest.raises((OSError, AssertionError)):
        for _ in range(12):
            with Frames(gw, 1101, source="127.9.0.1", timeout=3) as client:
                client.raw(f.frame(f.DATA, 0, b"x"))
                assert client.is_closed(5)
    with Frames(gw, 1101, source="127.9.0.2") as client:
        client.raw(client.request(1))
        client.pump_until(lambda: client.status(1) == 401)
    wait_for(lambda: gw.refused("penalty") > 0, 3)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_floods_for_a_minute(gw, honest):
    """Sixteen abusers in turn and at once for a minute: the process neither grows nor slows."""
    upstream = gw.upstream(rogue.never_answers)
    session = gw.launch(upstream.vmid)
    stop = threading.Event()

    def attack(data: bytes):
        while not stop.is_set():
            try:
                with Frames(gw, upstream.vmid, timeout=3) as client:
                    client.raw(client.request(1, method="POST", cookie=session, end=False))
                    client.flood(data, 3000)
            except (OSError, AssertionError):
                pass

    def work():
        threads = [threading.Thread(target=attack, args=(data,)) for data in FLOODS.values()]
        for thread in threads:
            thread.start()
        time.sleep(60)
        stop.set()
        for thread in threads:
            thread.join()

    flat(gw, 48 * MB, work)
