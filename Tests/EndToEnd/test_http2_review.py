"""HTTP/2: what outlives its stream, deadlines that hold, and who is woken."""

import socket
import threading
import time

import pytest

from harness import frames as f
from harness import upstreams as rogue
from harness.frames import ENHANCE_YOUR_CALM, Frames
from harness.gateway import FETCH, Gateway, wait_for
from harness.http2 import NO_ERROR
from harness.upstreams import answer as reply
from harness.upstreams import counts_bytes, replies, upgrades_and
from harness.websocket import opened, read_frame

GATEWAY = {"limits": {"upstream": {"connect": "2s", "response": "5s", "per_vmid": 1000}}}
MB = 1 << 20


@pytest.fixture(autouse=True)
def over_http2(monkeypatch):
    monkeypatch.setattr(Gateway, "protocol", "h2")


def behind(gw, script, **more):
    upstream = gw.upstream(script, **more)
    return upstream, gw.launch(upstream.vmid)


ENDS = {
    "a violation": f.frame(f.DATA, 0, b"x"),
    "abuse": f.frame(f.PING, 0, bytes(8)) * 1100,
}


@pytest.mark.parametrize("end", ENDS, ids=list(ENDS))
def test_a_connection_that_is_ended_at_once_leaves_nothing_to_the_next(gw, end):
    """What was made of its requests must never go to another container with somebody else's."""
    upstream, session = behind(gw, rogue.never_answers)
    up, cookie = behind(gw, replies())
    for _ in range(8):
        with Frames(gw, upstream.vmid) as client:
            client.pour(b"".join(client.request(n, "/dead", cookie=session) for n in range(1, 31, 2)) + ENDS[end])
            client.pump_for(0.05)
        for n in range(8):
            assert gw.request(up.vmid, f"/alive/{n}", cookie=cookie).status == 200
    alive = up.wait_requests(64)
    assert [(r.target, r.get("host")) for r in alive] == [(f"/alive/{n % 8}", gw.host(up.vmid)) for n in range(64)]
    assert not up.errors


def test_a_client_that_takes_nothing_is_reset(make_gateway):
    """The kernel's buffers are full, not the windows."""
    gw = make_gateway(limits={"response_stall": "1s"})
    upstream, cookie = behind(gw, replies(reply(bytes(32 * MB))))
    was = gw.refused("response_stall")
    with Frames(gw, upstream.vmid, initial=((4, 1 << 30),), receive_buffer=65536) as client:
        client.raw(f.window_update(0, 1 << 30) + client.request(1, cookie=cookie))
        wait_for(lambda: gw.refused("response_stall") > was, 6)
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 3)


def test_opening_the_connections_window_is_no_progress(make_gateway):
    gw = make_gateway(limits={"response_stall": "1s"})
    upstream, cookie = behind(gw, replies(reply(bytes(2 * MB))))
    with Frames(gw, upstream.vmid) as client:
        client.raw(f.window_update(0, MB) + client.request(1, cookie=cookie))
        deadline = time.monotonic() + 5
        while 1 not in client.resets and time.monotonic() < deadline:
            client.pour(f.window_update(0, 1))
            client.pump_for(0.3)
        assert 1 in client.resets


UNENDED = {
    "a length of 0": dict(method="POST", more=[("content-length", "0")]),
    "refused": dict(method="POST", target="/#"),
    "answered here": dict(method="POST", target="/.zlh/none"),
    "a WebSocket refused": dict(method="CONNECT", more=[(":protocol", "websocket"), ("sec-websocket-version", "13")]),
}


@pytest.mark.parametrize("kind", UNENDED, ids=list(UNENDED))
def test_a_request_without_an_end_does_not_keep_its_stream(make_gateway, kind):
    gw = make_gateway(limits={"keep_alive": "1s"})
    upstream, cookie = behind(gw, replies())
    how = dict(UNENDED[kind])
    how["more"] = [*how.get("more", []), ("origin", gw.origin(upstream.vmid))]
    pseudo = [field for field in how["more"] if field[0][0] == ":"]
    with Frames(gw, upstream.vmid) as client:
        block = b"".join(f.literal(a.encode(), b.encode()) for a, b in pseudo)
        how["more"] = [field for field in how["more"] if field not in pseudo]
        client.raw(f.frame(f.HEADERS, 1, block + client.block(cookie=cookie, **how), f.END_HEADERS))
        client.pump_until(lambda: 1 in client.resets or client.eof, 4)
        assert 1 in client.ended and client.resets.get(1) == 0
        assert client.is_closed(4), "an idle connection"


def test_a_large_answer_behind_many_small_ones_is_not_forgotten(gw):
    """All windows are open: nothing but the gateway itself can wake the stream."""
    size, go = 15_000, threading.Event()

    def held(request):
        go.wait(10)
        return reply(bytes(4 * MB if request.target == "/large" else size))

    upstream, cookie = behind(gw, replies(held))
    for _ in range(10):
        go.clear()
        before = len(upstream.requests)
        with Frames(gw, upstream.vmid, initial=((4, (1 << 31) - 1),)) as client:
            client.raw(f.window_update(0, (1 << 31) - 65536))
            client.raw(b"".join(client.request(n, "/small", cookie=cookie) for n in range(1, 121, 2))
                       + client.request(121, "/large", cookie=cookie))
            upstream.wait_requests(before + 61)
            go.set()
            client.pump_until(lambda: len(client.ended) == 61, 5)
            assert client.bodies[121] == 4 * MB


def test_an_abusers_tunnels_are_served_downwards(gw):
    """GOAWAY, and what the container says still comes for five seconds."""
    def ticks(connection):
        for n in range(400):
            connection.send(b"tick")
            time.sleep(0.05)

    upstream, cookie = behind(gw, upgrades_and(ticks))
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        tunnel.read_exactly(8)
        for _ in range(60):
            connection.raw(f.frame(f.PING, 0, bytes(8)) * 100).poll()
            if connection.goaways:
                break
        connection.pump_until(lambda: connection.goaways, 3)
        assert connection.goaways[-1][1] == ENHANCE_YOUR_CALM
        begin, got = time.monotonic(), tunnel.received
        connection.pump_for(3)
        assert not connection.eof and tunnel.received > got + 100
        assert connection.is_closed(5) and 4 < time.monotonic() - begin < 7
    wait_for(lambda: gw.metric("zlh_edge_tunnels") == 0, 3)


def test_an_abuser_without_tunnels_is_closed_at_once(gw):
    with Frames(gw, 1101) as client:
        begin = time.monotonic()
        client.pour(f.frame(f.PING, 0, bytes(8)) * 1100)
        assert client.is_closed(4) and time.monotonic() - begin < 3
        assert client.goaways[-1][1] == ENHANCE_YOUR_CALM


def test_a_drain_says_which_was_the_last(make_gateway):
    """Whatever ends first, the second GOAWAY says what was served."""
    gw = make_gateway(limits={"drain": "5s"})
    go = threading.Event()
    upstream, cookie = behind(gw, rogue.holds(go))
    with gw.http2(upstream.vmid) as connection:
        stream = connection.open(cookie=cookie)
        upstream.wait_requests(1)
        gw.signal(15)
        connection.pump_until(lambda: connection.goaways)
        go.set()
        assert stream.answer().body == b"held"
        assert connection.is_closed(4)
        assert connection.goaways[-1][:2] == (stream.id, 0)
    gw.stop()


def test_idle_connections_keep_no_memory_of_a_burst(make_gateway):
    gw = make_gateway()
    upstream, cookie = behind(gw, counts_bytes)
    clients = [Frames(gw, upstream.vmid) for _ in range(40)]
    try:
        burst = f.frame(f.DATA, 1, b"x") * 20_000 + f.frame(f.DATA, 1, b"", f.END_STREAM)
        for client in clients[:4]:
            client.raw(client.request(1, method="POST", cookie=cookie, end=False) + burst)
            client.pump_until(lambda: 1 in client.ended)
        before = gw.rss()
        for client in clients[4:]:
            client.raw(client.request(1, method="POST", cookie=cookie, end=False) + burst)
            client.pump_until(lambda: 1 in client.ended)
        grown = (gw.rss() - before) / 36
        assert grown < 200_000, f"{grown:.0f} bytes each"
    finally:
        for client in clients:
            client.close()


def test_the_last_bytes_of_a_tunnel_come_with_its_end(gw):
    """The container has ended its side: with the client's end the stream is over for HTTP/2."""
    def half(connection):
        connection.sock.shutdown(socket.SHUT_WR)
        while connection.fill():
            pass

    upstream, cookie = behind(gw, upgrades_and(half))
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        connection.pump_until(lambda: tunnel.ended)
        connection.raw(f.frame(f.DATA, tunnel.id, b"still ") + f.frame(f.DATA, tunnel.id, b"here", f.END_STREAM))
        wait_for(lambda: upstream.connections[-1].buffer == b"still here", 3)


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_a_route_that_moves_before_the_answer(gw, protocol, monkeypatch):
    """A WebSocket that was on its way when its route changed is closed like those that were open."""
    monkeypatch.setattr(Gateway, "protocol", protocol)
    go = threading.Event()

    def late(connection):
        request = connection.read_head()
        go.wait(10)
        connection.send(rogue.switching(request))
        connection.wait_closed(20)

    upstream, cookie = behind(gw, late)
    closed = []

    def open_one():
        with gw.client(upstream.vmid) as client:
            tunnel = opened(client, cookie=cookie)
            closed.append(read_frame(tunnel))

    thread = threading.Thread(target=open_one)
    thread.start()
    upstream.wait_requests(1)
    gw.write_routes(lambda routes: routes["ide"][upstream.vmid].update(generation="other"))
    go.set()
    thread.join(5)
    assert closed and closed[0][0] == 8 and closed[0][1][:2] == (1012).to_bytes(2, "big")


def test_a_container_that_breaks_after_its_end(gw):
    """Nobody reads what the browser still sends: it is told so."""
    go = threading.Event()

    def half(connection):
        connection.sock.shutdown(socket.SHUT_WR)
        go.wait(10)
        connection.reset()

    upstream, cookie = behind(gw, upgrades_and(half))
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        connection.pump_until(lambda: tunnel.ended)
        go.set()
        assert tunnel.wait_reset(3) == NO_ERROR


def test_the_last_megabyte_of_a_tunnel_comes_though_its_container_lags(gw):
    """The stream is over for HTTP/2 while the container has not taken all of what came."""
    go, size = threading.Event(), 12 * MB

    def lags(connection):
        connection.sock.shutdown(socket.SHUT_WR)
        go.wait(10)
        count = len(connection.buffer)
        while data := connection.sock.recv(1 << 20):
            count += len(data)
        heard.append(count)

    heard: list[int] = []
    upstream, cookie = behind(gw, upgrades_and(lags), receive_buffer=4096)
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        connection.pump_until(lambda: tunnel.ended)
        sent = 0
        while sent < size:
            moved = tunnel.send_some(bytes(min(65536, size - sent)))
            sent += moved
            if not moved:
                try:
                    connection.pump(0.5)
                except TimeoutError:
                    break
        tunnel.finish()
        connection.pump_for(0.3)
        go.set()
        wait_for(lambda: heard, 5)
        assert heard == [sent]
