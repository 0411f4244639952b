"""What was said last is heard. Bytes that a browser sends together with its end still reach the
container, and the other way; who sends a whole body first can still read why it was refused; a close frame of the
gateway's own is a proper closing handshake."""

import contextlib
import http.client
import socket
import struct
import threading
import time

import pytest

from harness import frames as f
from harness import over_both
from harness.frames import Frames
from harness.frames import frame as h2frame
from harness.gateway import wait_for
from harness.http2 import CANCEL, NO_ERROR
from harness.raw import Closed
from harness.upstreams import answer as reply
from harness.upstreams import replies, upgrades_and
from harness.websocket import close_frame, frame, opened, read_close

GATEWAY = {}
MB = 1 << 20


class Listener:
    """The container's end of a tunnel: keeps what came and how it ended."""

    def __init__(self, gw, waits: threading.Event | None = None, sends: bytes = b"", **more):
        self.heard, self.end, self.waits, self.sends = b"", None, waits, sends
        self.upstream = gw.upstream(upgrades_and(self.listen), **more)
        self.cookie = gw.launch(self.upstream.vmid)

    def listen(self, connection):
        try:
            if self.sends:
                connection.send(self.sends)
            if self.waits:
                self.waits.wait(10)
            self.heard += connection.buffer
            while data := connection.sock.recv(65536):
                self.heard += data
            self.end = "end"
        except OSError as error:
            self.end = type(error).__name__

    def ended(self, heard: bytes):
        wait_for(lambda: self.end, 8, "the tunnel's end")
        assert self.heard == heard, (len(self.heard), self.end)


def tunnel_by_frames(gw, listener) -> Frames:
    """An open WebSocket on stream 1, whose frames are sent one by one."""
    client = Frames(gw, listener.upstream.vmid)
    host = client.host
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", host),
              (":path", "/ws"), ("sec-websocket-version", "13"), ("origin", f"https://{host}"),
              ("cookie", f"__Host-zlh_s={listener.cookie}")]
    block = b"".join(f.literal(name.encode(), value.encode()) for name, value in fields)
    client.raw(h2frame(f.HEADERS, 1, block, f.END_HEADERS))
    client.pump_until(lambda: 1 in client.heads)
    assert client.status(1) == 200
    return client


GOING_AWAY = close_frame(1001, mask=True)


@pytest.mark.parametrize("code", [CANCEL, NO_ERROR, 2])
@pytest.mark.parametrize("words", [[GOING_AWAY], [frame(1, b"last", mask=True), GOING_AWAY], [bytes(16_000)] * 3],
                         ids=["a close frame", "a message and a close frame", "48 KB"])
def test_a_reset_takes_nothing_with_it_that_came_before(gw, words, code):
    """A client may send its close frame and the reset together."""
    for _ in range(5):
        listener = Listener(gw)
        with tunnel_by_frames(gw, listener) as client:
            client.raw(b"".join(h2frame(f.DATA, 1, piece) for piece in words) + f.reset(1, code))
            listener.ended(b"".join(words))
            client.raw(h2frame(f.PING, 0, bytes(8)))
            client.pump_until(lambda: client.pongs)


def test_a_reset_waits_for_a_container_that_is_slow(gw):
    """What the kernel holds for it is not lost to the reset."""
    go = threading.Event()
    listener = Listener(gw, waits=go, receive_buffer=4096)
    sent = b""
    with tunnel_by_frames(gw, listener) as client:
        for _ in range(4):
            client.raw(h2frame(f.DATA, 1, bytes(15_000)))
            sent += bytes(15_000)
        client.raw(h2frame(f.DATA, 1, GOING_AWAY))
        client.pump_for(0.2)
        client.raw(f.reset(1))
        client.pump_for(0.2)
        go.set()
        listener.ended(sent + GOING_AWAY)


def test_a_container_that_never_reads_is_waited_for_only_so_long(gw):
    open_before = gw.metric("zlh_edge_tunnels", kind="websocket")
    go = threading.Event()
    listener = Listener(gw, waits=go, receive_buffer=4096)
    with tunnel_by_frames(gw, listener) as client:
        client.raw(h2frame(f.DATA, 1, bytes(16_000)) + h2frame(f.DATA, 1, bytes(16_000)) + f.reset(1))
        wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == open_before, 8)
    go.set()


def test_a_reset_alone_is_a_reset(gw):
    listener = Listener(gw)
    with tunnel_by_frames(gw, listener) as client:
        client.raw(h2frame(f.DATA, 1, b"hello"))
        wait_for(lambda: listener.heard == b"hello")
        client.raw(f.reset(1))
        listener.ended(b"hello")
        assert listener.end == "ConnectionResetError", "RFC 8441 §5"


@pytest.mark.parametrize("then", ["goaway", "fin", "reset"])
@pytest.mark.parametrize("sends", [b"", bytes(100)])
def test_a_connection_that_ends_takes_nothing_with_it(gw, then, sends):
    listener = Listener(gw, sends=sends)
    client = tunnel_by_frames(gw, listener)
    data = h2frame(f.DATA, 1, GOING_AWAY)
    if then == "goaway":
        data += h2frame(f.GOAWAY, 0, struct.pack("!II", 0, 0))
    client.sock.setblocking(True)
    client.sock.sendall(data)
    if then == "reset":
        client.reset()
    else:
        client.close()
    listener.ended(GOING_AWAY)


@pytest.mark.parametrize("then", ["fin", "reset"])
@pytest.mark.parametrize("sends", [b"", bytes(100)])
def test_the_same_over_http_1(gw, then, sends):
    listener = Listener(gw, sends=sends)
    tunnel = opened(gw.raw(listener.upstream.vmid), cookie=listener.cookie)
    tunnel.send(GOING_AWAY)
    if then == "reset":
        tunnel.reset()
    else:
        tunnel.close()
    listener.ended(GOING_AWAY)


def test_the_body_that_came_before_a_reset_reaches_the_container(gw):
    heard, ended = [b""], threading.Event()

    def listens(connection):
        connection.read_head()
        try:
            while connection.fill():
                pass
        except OSError:
            pass
        heard[0] = connection.buffer
        ended.set()

    upstream = gw.upstream(listens)
    cookie = gw.launch(upstream.vmid)
    with Frames(gw, upstream.vmid) as client:
        client.raw(client.request(1, method="POST", cookie=cookie, end=False, more=[("content-length", "1000")]))
        upstream.wait_requests(1)
        client.raw(h2frame(f.DATA, 1, b"x" * 500) + f.reset(1))
        assert ended.wait(5) and heard[0] == b"x" * 500


@over_both
@pytest.mark.parametrize("ends", ["closes", "resets"])
def test_what_a_container_says_with_its_end_reaches_the_browser(gw, ends):
    go = threading.Event()
    words = frame(1, b"x" * 3000) + close_frame(1011)

    def speaks(connection):
        go.wait(5)
        connection.send(words)
        if ends == "resets":
            connection.reset()

    upstream = gw.upstream(upgrades_and(speaks))
    cookie = gw.launch(upstream.vmid)
    for _ in range(5):
        go.clear()
        with opened(gw.client(upstream.vmid), cookie=cookie) as tunnel:
            go.set()
            assert tunnel.read_to_end() == words


@over_both
def test_what_a_container_said_is_heard_though_it_takes_no_more(gw):
    """The browser's bytes meet a connection that the container has reset; its own words are still to be read."""
    words = frame(1, b"x" * 300) + close_frame(1011)
    def speaks(connection):
        connection.read_exactly(1)
        connection.send(words)
        connection.sock.close()  # what the browser still sends is answered by a reset

    upstream = gw.upstream(upgrades_and(speaks))
    cookie = gw.launch(upstream.vmid)
    for _ in range(10):
        with opened(gw.client(upstream.vmid), cookie=cookie) as tunnel:
            tunnel.send(b"x")
            with contextlib.suppress(OSError, Closed):
                for _ in range(20):
                    tunnel.send(frame(1, b"more", mask=True))
            assert tunnel.read_to_end() == words


# --- refused uploads ---

def all_first(gw, vmid: int, size: int, chunked: bool, rate: float | None = None, cookie: str = "",
              more: dict | None = None) -> tuple[int, bytes]:
    """As `http.client` does it: reads nothing before it has sent everything."""
    connection = http.client.HTTPSConnection(gw.address, gw.port, context=gw.context, timeout=60)
    connection.sock = gw.context.wrap_socket(socket.create_connection((gw.address, gw.port), timeout=60),
                                             server_hostname=gw.host(vmid))
    piece = bytes(65536)

    def pieces():
        begin, sent = time.monotonic(), 0
        while sent < size:
            step = piece[:min(len(piece), size - sent)]
            yield step
            sent += len(step)
            if rate and (ahead := sent / rate - (time.monotonic() - begin)) > 0:
                time.sleep(ahead)

    headers = {"Host": gw.host(vmid), "Cookie": f"__Host-zlh_s={cookie}"} | (more or {})
    if not chunked:
        headers["Content-Length"] = str(size)
    connection.request("POST", "/", body=pieces(), headers=headers, encode_chunked=chunked)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("chunked, size, rate", [
    (False, 60 * MB, None), (True, 60 * MB, None), (False, 6 * MB, MB),
], ids=["60 MB with a length", "60 MB in chunks", "6 s at 1 MB/s"])
def test_who_sends_everything_first_can_read_the_refusal(gw, chunked, size, rate):
    status, body = all_first(gw, 1101, size, chunked, rate)
    assert status == 401 and b"unauthorized" in body


@pytest.mark.parametrize("more, expected", [
    ({"Host": "elsewhere.example"}, 421), ({"X-Big": "x" * 40_000}, 431), ({"X-Odd": "a\x01b"}, 400),
    ({"X-ZLH-Token": "no.such.token"}, 401),
], ids=["misdirected", "head too large", "malformed", "bad token"])
def test_whatever_the_refusal_is(gw, more, expected):
    assert all_first(gw, 1101, 40 * MB, False, more=more)[0] == expected


def test_a_containers_early_answer_can_be_read_too(gw):
    def refuses(connection):
        connection.read_head()
        connection.send(reply(b"too big", "413 Content Too Large"))
        connection.sock.shutdown(socket.SHUT_WR)
        connection.wait_closed(5)

    upstream = gw.upstream(refuses)
    assert all_first(gw, upstream.vmid, 60 * MB, False, cookie=gw.launch(upstream.vmid)) == (413, b"too big")


def test_an_answer_that_breaks_off_meanwhile_can_be_read_too(gw):
    def breaks_off(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nHelloThere")
        connection.sock.shutdown(socket.SHUT_WR)
        connection.wait_closed(5)

    upstream = gw.upstream(breaks_off)
    with pytest.raises(http.client.IncompleteRead) as short:
        all_first(gw, upstream.vmid, 6 * MB, False, MB, cookie=gw.launch(upstream.vmid))
    assert short.value.partial == b"HelloThere"


def test_over_http_2_the_refusal_comes_with_a_reset_that_blames_nobody(gw):
    with gw.http2(1101) as connection:
        stream = connection.open("POST", length=60 * MB)
        try:
            for _ in range(60):
                stream.send(bytes(MB))
        except Closed:
            pass
        assert stream.answer().status == 401
        assert stream.wait_reset() == NO_ERROR
        assert connection.ping() < 5


@pytest.mark.parametrize("declared", [True, False])
def test_a_refused_upload_that_stops_coming_is_waited_for_only_so_long(make_gateway, declared):
    gw = make_gateway(limits={"body": {"minimum_rate": 1000, "over": "1s"}})
    was = gw.refused("body.minimum_rate")
    with gw.raw(1101) as raw:
        raw.open("POST", length=10 * MB if declared else None, chunked=not declared)
        raw.write(bytes(100_000))
        assert raw.answer().status == 401
        begin = time.monotonic()
        while time.monotonic() - begin < 8:  # a trickle is no progress
            try:
                raw.sock.sendall(b"x")
            except OSError:
                break
            time.sleep(0.1)
        assert 0.5 < time.monotonic() - begin < 5
    assert gw.refused("body.minimum_rate") == was + 1


def test_a_refused_upload_ends_with_its_declared_length(gw):
    with gw.raw(1101) as raw:
        raw.open("POST", length=200_000)
        raw.write(bytes(200_000))
        assert raw.answer().status == 401
        begin = time.monotonic()
        assert raw.is_closed(8)
        assert time.monotonic() - begin < 1, "FIN comes with the answer"


# --- our own close frames ---

def moves_away(gw, upstream):
    """The container is another one now: 1012."""
    gw.write_routes(lambda routes: routes["ide"][upstream.vmid].update(generation="other"))


@over_both
@pytest.mark.parametrize("reason", ["", "why not"])
def test_our_close_waits_for_the_browsers(gw, reason):
    upstream = gw.upstream(upgrades_and(lambda connection: connection.wait_closed(10)))
    with opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid)) as tunnel:
        moves_away(gw, upstream)
        assert read_close(tunnel) == 1012
        assert tunnel.quiet(0.4), "the browser answers first"
        begin = time.monotonic()
        tunnel.send(close_frame(1012, reason, mask=True))
        assert tunnel.is_closed(3)
        assert time.monotonic() - begin < 0.4, "its answer is enough"


@over_both
def test_our_close_waits_a_second_for_a_browser_that_does_not_answer(gw):
    upstream = gw.upstream(upgrades_and(lambda connection: connection.wait_closed(10)))
    with opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid)) as tunnel:
        moves_away(gw, upstream)
        assert read_close(tunnel) == 1012
        begin = time.monotonic()
        for _ in range(5):
            tunnel.send(frame(1, b"something else", mask=True))
        assert tunnel.is_closed(3)
        assert 0.5 < time.monotonic() - begin < 2


@over_both
def test_nothing_reaches_the_container_once_we_close(gw):
    heard = []

    def listens(connection):
        try:
            while connection.fill():
                pass
        except ConnectionError:
            pass  # a container that was re-created gets a reset
        heard.append(connection.buffer)

    upstream = gw.upstream(upgrades_and(listens))
    with opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid)) as tunnel:
        moves_away(gw, upstream)
        assert read_close(tunnel) == 1012
        tunnel.send(frame(1, b"late", mask=True) + close_frame(1012, mask=True))
        wait_for(lambda: heard)
    assert heard == [b""]


@over_both
def test_a_browser_that_ends_instead_of_answering_is_not_waited_for(gw):
    upstream = gw.upstream(upgrades_and(lambda connection: connection.wait_closed(10)))
    with opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid)) as tunnel:
        moves_away(gw, upstream)
        assert read_close(tunnel) == 1012
        begin = time.monotonic()
        tunnel.end()
        assert tunnel.is_closed(3)
        assert time.monotonic() - begin < 0.6
