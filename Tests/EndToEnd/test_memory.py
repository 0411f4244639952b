"""`limits.buffer` and `limits.memory`: what stalls holds little, and a full memory eases whatever its holders do."""

import socket
import threading
import time

import pytest

from harness import upstreams as rogue
from harness.frames import Frames
from harness.gateway import FETCH, free_port, wait_for
from harness.minecraft import Client, handshake, login_start
from harness.raw import Closed
from harness.upstreams import answer, echoes_bytes, replies, upgrades_and
from harness.websocket import opened

KIB = 1 << 10
# What `limits.buffer` promises, and some for the connections' own.
MOST = (64 + 16) * KIB
COUNT = 16


def pours(connection):
    """Bytes for as long as somebody takes them; nothing is read."""
    try:
        while True:
            connection.send(bytes(1 << 16))
    except OSError:
        pass


def reads_nothing(connection):
    time.sleep(60)


def is_settled(gw):
    """Nothing is passed on any more."""
    def moved():
        return gw.metric("zlh_edge_bytes_total")

    seen = [moved(), time.monotonic()]

    def look():
        if (now := moved()) != seen[0]:
            seen[:] = now, time.monotonic()
        return time.monotonic() - seen[1] > 0.6

    wait_for(look, 20, "the bytes to stand still")


def fill(sock, send):
    """Sends until nothing is taken for a moment."""
    sock.settimeout(0.15)
    try:
        while True:
            send(bytes(1 << 16))
    except (TimeoutError, OSError):
        pass


def stalled_answer(gw, upstream, cookie):
    raw = gw.raw(upstream.vmid, receive_buffer=4096)
    raw.open(cookie=cookie)
    return raw


def stalled_stream(gw, upstream, cookie):
    """The client opens no window beyond the first."""
    connection = gw.http2(upstream.vmid, window=1 << 20)
    connection.open(cookie=cookie)
    return connection


def stalled_h2_connection(gw, upstream, cookie):
    """The windows are wide, the socket is not read."""
    connection = gw.http2(upstream.vmid, window=1 << 30, connection_window=1 << 30, receive_buffer=4096)
    connection.open(cookie=cookie)
    connection.flush()
    return connection


def stalled_websocket(gw, upstream, cookie):
    return opened(gw.raw(upstream.vmid, receive_buffer=4096), cookie=cookie)


def stalled_upload(gw, upstream, cookie):
    raw = gw.raw(upstream.vmid)
    raw.open("POST", cookie=cookie, length=1 << 40)
    fill(raw.sock, raw.write)
    return raw


def stalled_websocket_upwards(gw, upstream, cookie):
    raw = opened(gw.raw(upstream.vmid), cookie=cookie)
    fill(raw.sock, raw.send)
    return raw


@pytest.mark.parametrize("stall, script", [
    (stalled_answer, rogue.pours_without_end), (stalled_stream, rogue.pours_without_end),
    (stalled_h2_connection, rogue.pours_without_end), (stalled_websocket, upgrades_and(pours)),
    (stalled_upload, reads_nothing), (stalled_websocket_upwards, upgrades_and(reads_nothing))],
    ids=lambda value: getattr(value, "__name__", "") if "stalled" in getattr(value, "__name__", "") else "")
def test_a_stalled_reader_holds_no_more_than_the_buffer(make_gateway, stall, script):
    gw = make_gateway(threads=1, limits={"upstream": {"per_vmid": 1000, "response": "2m"}})
    upstream = gw.upstream(script, receive_buffer=4096)
    cookie = gw.launch(upstream.vmid)
    held = [stall(gw, upstream, cookie) for _ in range(COUNT)]
    is_settled(gw)
    before = gw.rss()
    held += [stall(gw, upstream, cookie) for _ in range(COUNT)]
    is_settled(gw)
    each = (gw.rss() - before) / COUNT
    # What an idle connection has too: TLS; over HTTP/2 nghttp2's own, and up to 16 KiB for the turn's end.
    own = (60 if stall in (stalled_stream, stalled_h2_connection) else 20) * KIB
    assert each < MOST + own, f"{each / KIB:.0f} KiB each"
    for connection in held:
        connection.close()


@pytest.mark.parametrize("to_backend", [False, True])
def test_a_stalled_player_or_backend_holds_no_more_than_the_buffer(make_gateway, to_backend):
    def serve():
        while True:
            try:
                peer = listener.accept()[0]
            except OSError:
                return
            held.append(peer)
            if not to_backend:
                threading.Thread(target=fill, args=(peer, peer.sendall), daemon=True).start()

    held, port = [], free_port()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Thread(target=serve, daemon=True).start()
        gw = make_gateway(start=False, threads=1, routes=1, listen={"minecraft": [f"127.0.0.1:{port}"]})
        gw.routes["minecraft"] = [{"host": "*", "health": "none", "backends": [
            {"address": "127.0.0.1:%d" % listener.getsockname()[1]}]}]
        gw.save_routes()
        gw.start()

        def stall():
            client = Client(port)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(handshake("play.test", 2) + login_start())
            if to_backend:
                fill(client.socket, client.socket.sendall)
            return client

        clients = [stall() for _ in range(COUNT)]
        is_settled(gw)
        before = gw.rss()
        clients += [stall() for _ in range(COUNT)]
        is_settled(gw)
        each = (gw.rss() - before) / COUNT
        assert each < MOST, f"{each / KIB:.0f} KiB each"
        for client in clients:
            client.close()
        gw.stop()
        listener.shutdown(socket.SHUT_RDWR)
        for peer in held:
            peer.close()


@pytest.mark.parametrize("kind", ["stalled", "idle"])
def test_who_holds_the_memory_cannot_keep_others_out(make_gateway, kind):
    """Tunnels of one source fill the budget and stay: they give way, those who hold little stay."""
    gw = make_gateway(limits={"memory": "32m", "upstream": {"streams_per_vmid": 100_000}})
    script = upgrades_and(pours if kind == "stalled" else echoes_bytes)
    upstream, calm = gw.upstream(script, receive_buffer=4096), gw.upstream(upgrades_and(echoes_bytes))
    cookie, other = gw.launch(upstream.vmid), gw.launch(calm.vmid)
    bystander = opened(gw.raw(calm.vmid, source="127.9.9.9"), cookie=other)

    # Until nobody is accepted, or for as long as it makes no difference.
    held, begin = [], time.monotonic()
    try:
        while time.monotonic() - begin < 9:
            held.append(opened(gw.raw(upstream.vmid, receive_buffer=4096, timeout=2), cookie=cookie))
    except (OSError, Closed):
        pass
    assert max((entry["pressure"] for entry in gw.log if entry["event"] == "memory"), default=0) >= 2
    wait_for(lambda: gw.request(1101, headers=FETCH, timeout=8).status == 401, 12, "a newcomer to be served")
    assert gw.refused("memory") > 0
    bystander.send(b"here")
    assert bystander.read_exactly(4) == b"here"
    for raw in (*held, bystander):
        raw.close()


def test_small_answers_that_nobody_takes_give_way_first(make_gateway):
    """Their containers are done with them, so that only what waits for the clients' windows is left."""
    gw = make_gateway(threads=1, limits={"memory": "32m"})
    upstream, calm = gw.upstream(replies(answer(bytes(16_000)))), gw.upstream(upgrades_and(echoes_bytes))
    cookie, other = gw.launch(upstream.vmid), gw.launch(calm.vmid)
    bystander = opened(gw.raw(calm.vmid, source="127.9.9.9"), cookie=other)
    held, begin = [], time.monotonic()
    try:
        while time.monotonic() - begin < 9:
            held.append(Frames(gw, upstream.vmid, initial=((4, 0),), timeout=2))
            for batch in range(0, 240, 20):
                held[-1].raw(b"".join(held[-1].request(1 + 2 * (batch + n), cookie=cookie) for n in range(20)))
                held[-1].pump_for(0.05)
    except (OSError, Closed):
        pass
    wait_for(lambda: gw.refused("memory") > 0, 12, "relief")
    assert gw.request(1101, headers=FETCH, timeout=8).status == 401
    bystander.send(b"here")
    assert bystander.read_exactly(4) == b"here"
    for client in (*held, bystander):
        client.close()
