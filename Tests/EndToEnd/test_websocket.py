"""WebSockets pass untouched, and end in words when the gateway ends them."""

import asyncio
import base64
import datetime
import signal
import socket
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from harness import over_both, websocket
from harness import upstreams as rogue
from harness.gateway import FETCH, NAVIGATION, wait_for
from harness.upstreams import after_request, echoes_bytes, switching, upgrades_and
from harness.websocket import close_frame, frame, opened, read_close, read_frame

GATEWAY = {}
MB = 1 << 20


class EchoServer:
    """The `websockets` library's own server behind a vmid."""

    def __init__(self, gw, vmid: int, **options):
        self.vmid, self.closes = vmid, []
        route = gw.routes["ide"][vmid]

        def handler(connection):
            try:
                for message in connection:
                    connection.send(message)
            except ConnectionClosed:
                pass
            self.closes.append((connection.close_code, connection.close_reason))

        self.server = serve(handler, route["address"], route["port"], max_size=64 * MB, **options)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        gw.upstreams.append(self)

    def close(self):
        self.server.shutdown()


def dial(gw, vmid: int, cookie: str, **options):
    sock = socket.create_connection((gw.address, gw.port))
    host = gw.host(vmid, port=True)
    return connect(f"wss://{host}/ws", sock=sock, ssl=gw.context, server_hostname=gw.host(vmid),
                   origin=f"https://{host}", additional_headers={"Cookie": f"__Host-zlh_s={cookie}"},
                   max_size=64 * MB, **options)


@pytest.fixture(scope="module")
def echo(gw):
    return EchoServer(gw, gw.claim_vmid())


@pytest.fixture(scope="module")
def plain_echo(gw):
    return EchoServer(gw, gw.claim_vmid(), compression=None)


@pytest.fixture
def tunnel(gw):
    """A raw tunnel to an echo of bytes: `tunnel()` gives upstream, cookie and the open connection."""
    made = []

    def make(then=echoes_bytes, user="alice", gateway=gw, **claims):
        upstream = gateway.upstream(upgrades_and(then))
        cookie = gateway.launch(upstream.vmid, user, **claims)
        raw = opened(gateway.client(upstream.vmid), cookie=cookie)
        made.append(raw)
        return upstream, cookie, raw

    yield make
    for raw in made:
        raw.close()


# --- bytes ---

@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_of_every_size(gw, echo, plain_echo, compression):
    server = echo if compression else plain_echo
    with dial(gw, server.vmid, gw.launch(server.vmid), compression=compression) as ws:
        extensions = [extension.name for extension in ws.protocol.extensions]
        assert extensions == (["permessage-deflate"] if compression else [])
        for size in (0, 1, 125, 126, 65535, 65536, MB, 10 * MB):
            message = rogue.random_body(size)
            ws.send(message)
            assert ws.recv(timeout=20) == message
        ws.send("text \u2603")
        assert ws.recv() == "text \u2603"


def test_ping_pong_and_close_code(gw, echo):
    with dial(gw, echo.vmid, gw.launch(echo.vmid)) as ws:
        assert ws.ping(b"are you there").wait(5)
        ws.close(4321, "own reason")
    wait_for(lambda: (4321, "own reason") in echo.closes)


@over_both
def test_the_handshake_crosses_with_its_case_and_extensions(gw, http):
    upstream = gw.upstream(lambda c: c.send(switching(
        c.read_head(), ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12",
                        "sec-websocket-PROTOCOL: chat", "Set-Cookie: zlh_x=1", "X-Extra: y"])))
    cookie = gw.launch(upstream.vmid)
    with gw.client(upstream.vmid) as raw:
        answer = websocket.upgrade(raw, "/ws?a=%2F", cookie=cookie, headers={
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits", "sec-websocket-PROTOCOL": "chat"})
    if http == "h2":  # RFC 8441 §5: 200, and neither the upgrade's fields nor its key
        assert answer.status == 200
        for name in ("upgrade", "connection", "sec-websocket-accept", "content-length"):
            assert not answer.all(name), answer
    else:
        assert answer.status == 101
        assert answer.one("upgrade").lower() == "websocket" and "upgrade" in answer.one("connection").lower()
        assert b"\r\nsec-websocket-PROTOCOL: chat\r\n" in answer.raw_head
    assert answer.one("sec-websocket-extensions") == "permessage-deflate; client_max_window_bits=12"
    assert answer.one("sec-websocket-protocol") == "chat"
    assert not answer.all("set-cookie") and answer.one("x-extra") == "y"
    request = upstream.last
    assert request.target == "/ws?a=%2F" and request.method == "GET"
    assert request.get("sec-websocket-protocol") == "chat"
    assert request.get("sec-websocket-extensions") == "permessage-deflate; client_max_window_bits"
    assert request.get("sec-websocket-version") == "13"
    if http == "h2":  # the gateway's own, 16 random bytes
        assert len(base64.b64decode(request.get("sec-websocket-key"), validate=True)) == 16
    else:
        assert b"\r\nsec-websocket-PROTOCOL: chat\r\n" in request.head
        assert request.get("sec-websocket-key") == websocket.KEY
    assert request.get("upgrade").lower() == "websocket" and "upgrade" in request.get("connection").lower()
    assert request.get("origin") == gw.origin(upstream.vmid)
    assert "cookie" not in request.fields() and request.get("x-forwarded-proto") == "https"


@over_both
def test_any_bytes_pass_untouched_both_ways(gw, tunnel):
    """After the 101 the gateway does not care whether these are frames."""
    _, _, raw = tunnel()
    data = rogue.random_body(3 * MB)
    assert raw.exchange(data, len(data)) == data


@over_both
def test_single_bytes_pass_at_once(gw, tunnel):
    _, _, raw = tunnel()
    for n in range(200):
        raw.send(bytes([n]))
        assert raw.read_exactly(1) == bytes([n])


@over_both
@pytest.mark.parametrize("data", [
    close_frame(1000, "bye"), close_frame(4999, "own"), close_frame(1008), frame(8), frame(9, b"ping"),
    frame(10, b"pong"), frame(1, b"a", fin=False) + frame(0, b"b"), frame(2, b"x" * 126), frame(2, b"x" * 65536),
    b"\xf3\x81nonsense",
])
def test_frames_of_the_container_are_byte_exact(gw, data):
    upstream = gw.upstream(upgrades_and(lambda c: c.send(data)))
    raw = opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid))
    assert raw.read_to_end() == data
    raw.close()


@over_both
def test_bytes_sent_together_with_the_101_are_not_lost(gw):
    upstream = gw.upstream(after_request(lambda request: switching(request) + frame(1, b"hello"), rogue.waits(1)))
    raw = opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid))
    assert read_frame(raw) == (1, b"hello")
    raw.close()


@over_both
def test_half_close_is_passed_on(gw):
    """The container ends its side; what the browser still sends arrives, and the other way round."""
    heard = []

    def half(connection):
        connection.send(frame(1, b"last"))
        connection.sock.shutdown(socket.SHUT_WR)
        while connection.fill():
            pass
        heard.append(connection.buffer)

    upstream = gw.upstream(upgrades_and(half))
    raw = opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid))
    assert read_frame(raw) == (1, b"last")
    assert raw.is_closed()
    raw.send(b"still here")
    raw.end()
    wait_for(lambda: heard == [b"still here"])
    raw.close()


@over_both
def test_the_browsers_end_reaches_the_container(gw, tunnel):
    upstream, _, raw = tunnel()
    raw.send(b"abc")
    raw.read_exactly(3)
    raw.end()
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 3)


@over_both
@pytest.mark.parametrize("stuffed", [False, True])
def test_a_containers_reset_after_its_end_ends_the_tunnel(gw, stuffed):
    """Nothing can move any more, though the browser neither sends nor closes."""
    go = threading.Event()

    def ends_then_resets(connection):
        connection.sock.shutdown(socket.SHUT_WR)
        go.wait(10)
        connection.reset()

    open_before = gw.metric("zlh_edge_tunnels", kind="websocket")
    upstream = gw.upstream(upgrades_and(ends_then_resets))
    with opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid)) as raw:
        assert raw.is_closed()
        if stuffed:
            raw.timeout(0.5)
            with pytest.raises(TimeoutError):
                for _ in range(10_000):
                    raw.send(b"x" * 16384)
        assert gw.metric("zlh_edge_tunnels", kind="websocket") == open_before + 1
        go.set()
        wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == open_before, 3)


@over_both
def test_a_browsers_reset_after_its_end_ends_the_tunnel(gw, tunnel):
    open_before = gw.metric("zlh_edge_tunnels", kind="websocket")
    _, _, raw = tunnel(lambda connection: time.sleep(10))
    raw.end()
    time.sleep(0.3)
    assert gw.metric("zlh_edge_tunnels", kind="websocket") == open_before + 1, "a half-close alone ends nothing"
    raw.cancel()
    wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == open_before, 3)


@over_both
def test_a_reset_reaches_the_other_side(gw, tunnel):
    upstream, _, raw = tunnel()
    raw.cancel()
    wait_for(lambda: not [c for c in upstream.connections if c.sock.fileno() >= 0], 3)


@over_both
def test_a_slow_reader_holds_the_container_back(gw):
    sent = [0]

    def pours(connection):
        block = frame(2, bytes(65000))
        try:
            while sent[0] < 200 * MB:
                connection.send(block)
                sent[0] += len(block)
        except OSError:
            pass

    upstream = gw.upstream(upgrades_and(pours))
    before = gw.rss()
    raw = opened(gw.client(upstream.vmid, receive_buffer=16384), cookie=gw.launch(upstream.vmid))
    time.sleep(1.5)
    assert sent[0] < 30 * MB
    assert gw.rss() - before < 10 * MB
    raw.close()


# --- what is no WebSocket ---

def bent(change) -> rogue.Script:
    return after_request(lambda request: change(switching(request)), rogue.waits(3))


BAD_101 = {
    "wrong accept": bent(lambda head: head.replace(b"Accept: ", b"Accept: x")),
    "no accept": bent(lambda head: b"\r\n".join(
        line for line in head.split(b"\r\n") if not line.startswith(b"Sec-")) or head),
    "other protocol": bent(lambda head: head.replace(b"websocket", b"h2c")),
    "no upgrade": bent(lambda head: head.replace(b"Upgrade: websocket\r\n", b"")),
    "no connection": bent(lambda head: head.replace(b"Connection: Upgrade\r\n", b"")),
    "HTTP/1.0": bent(lambda head: head.replace(b"HTTP/1.1", b"HTTP/1.0")),
}


@over_both
@pytest.mark.parametrize("name", BAD_101)
def test_a_101_that_is_not_valid_is_502(gw, name):
    upstream = gw.upstream(BAD_101[name])
    with gw.client(upstream.vmid) as raw:
        answer = websocket.upgrade(raw, cookie=gw.launch(upstream.vmid))
        assert answer.status == 502, answer
        assert answer.json()["error"] == "bad_gateway"


@over_both
def test_a_refused_handshake_is_an_ordinary_answer(gw):
    upstream = gw.upstream(rogue.answer(b"no", "403 Forbidden", ["X-Why: own"]))
    with gw.client(upstream.vmid) as raw:
        answer = websocket.upgrade(raw, cookie=gw.launch(upstream.vmid))
        assert (answer.status, answer.body, answer.one("x-why")) == (403, b"no", "own")


def test_client_bytes_before_the_101_are_held(gw):
    """CVE-2026-2833: a container that never switches must not get bytes that would be another request."""
    held = []

    def slow(connection):
        request = connection.read_head()
        connection.sock.settimeout(0.7)
        try:
            connection.fill()
        except TimeoutError:
            pass
        held.append(connection.buffer)
        connection.sock.settimeout(None)
        connection.send(switching(request))
        echoes_bytes(connection)

    upstream = gw.upstream(slow)
    cookie = gw.launch(upstream.vmid)
    with gw.raw(upstream.vmid) as raw:
        raw.send(f"GET /ws HTTP/1.1\r\nHost: {raw.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {websocket.KEY}\r\nOrigin: https://{raw.host}\r\n"
                 f"Cookie: __Host-zlh_s={cookie}\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.answer().status == 101
        assert held == [b""]
        assert raw.read_until(b"Host: x\r\n\r\n").startswith(b"GET /smuggled")


def test_bytes_behind_a_refused_upgrade_are_never_forwarded(gw):
    upstream = gw.upstream(rogue.replies(rogue.answer(b"no", "400 Bad Request")))
    cookie = gw.launch(upstream.vmid)
    with gw.raw(upstream.vmid) as raw:
        raw.send(f"GET /ws HTTP/1.1\r\nHost: {raw.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {websocket.KEY}\r\nOrigin: https://{raw.host}\r\n"
                 f"Cookie: __Host-zlh_s={cookie}\r\n\r\n"
                 f"GET /smuggled HTTP/1.1\r\nHost: {raw.host}\r\nX: y\r\n\r\n")
        assert raw.answer().status == 400
        raw.timeout(3).read_to_end()
    assert all(request.target == "/ws" for request in upstream.requests)


@over_both
def test_no_session_is_a_json_401_even_when_it_looks_like_a_navigation(gw):
    with gw.client(1101) as raw:
        answer = websocket.upgrade(raw, headers=NAVIGATION)
        assert answer.status == 401 and answer.json()["error"] == "unauthorized"


@pytest.mark.parametrize("headers", [
    {"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Key": "short"}, {"Upgrade": "WebSocket"},
])
def test_spellings_of_the_handshake(gw, headers):
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    fields = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": websocket.KEY, "Origin": gw.origin(upstream.vmid)} | headers
    with gw.raw(upstream.vmid) as raw:
        answer = raw.request(headers=fields, cookie=cookie)
        assert answer.status in ((101,) if "Upgrade" in headers else (101, 400, 426, 502))


# --- ends that the gateway makes ---

def utc(epoch: int) -> str:
    return datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def revoke(gw, entry: dict):
    gw.write_routes(lambda routes: routes.setdefault("revoked", []).append(entry), wait=False)


@over_both
@pytest.mark.parametrize("kind", ["session", "user", "vmid"])
def test_revocation_closes_with_1008_within_a_second(gw, http, tunnel, kind):
    user, sid = f"mallory-{kind}-{http}", f"sid-{kind}-{http}"
    issued = int(time.time())
    upstream, cookie, raw = tunnel(user=user, sid=sid, iat=issued)
    _, _, other = tunnel(user=f"bystander-{kind}")
    raw.send(b"ping")
    assert raw.read_exactly(4) == b"ping"
    entry = {"session": {"session": sid}, "user": {"user": user, "before": utc(issued + 1)},
             "vmid": {"vmid": upstream.vmid, "before": utc(issued + 1)}}[kind]
    revoke(gw, entry)
    begin = time.monotonic()
    # The bytes echoed above were no frames, so only the end is certain; the frame test follows below.
    raw.timeout(2).read_to_end()
    assert time.monotonic() - begin < 1.5, "100 ms of debounce and one second"
    assert gw.request(upstream.vmid, headers=FETCH, cookie=cookie).status == 401
    assert gw.redeem(upstream.vmid, gw.token(upstream.vmid, user, iat=issued,
                                             **({"sid": sid} if kind == "session" else {}))).status == 403
    other.send(b"still here")
    assert other.read_exactly(10) == b"still here"


@over_both
def test_revocation_close_comes_at_a_frame_boundary(gw, http, tunnel):
    go = threading.Event()

    def half_a_frame(connection):
        data = frame(2, b"y" * 1000)
        connection.send(data[:500])
        go.wait(5)
        time.sleep(0.3)
        connection.send(data[500:])
        connection.wait_closed(5)

    _, _, raw = tunnel(half_a_frame, sid=f"sid-boundary-{http}")
    assert raw.read_exactly(500)
    revoke(gw, {"session": f"sid-boundary-{http}"})
    time.sleep(0.2)
    go.set()
    rest = raw.read_exactly(504)
    assert rest == b"y" * 504
    assert read_close(raw) == 1008
    assert raw.is_closed()


@over_both
def test_a_frame_that_never_ends_is_cut_after_a_second(gw, http, tunnel):
    _, _, raw = tunnel(lambda c: (c.send(frame(2, b"y" * 1000)[:500]), c.wait_closed(10)), sid=f"sid-stuck-{http}")
    raw.read_exactly(500)
    revoke(gw, {"session": f"sid-stuck-{http}"})
    begin = time.monotonic()
    assert raw.timeout(4).read_to_end() == b""
    assert 0.5 < time.monotonic() - begin < 2.5


@over_both
def test_revocation_ends_http_streams_too(gw, http):
    def events(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        connection.wait_closed(10)

    upstream = gw.upstream(events)
    cookie = gw.launch(upstream.vmid, sid=f"sid-stream-{http}")
    with gw.client(upstream.vmid) as raw:
        stream = raw.open(cookie=cookie)
        stream.head()
        stream.read_until(b"data: 1")
        revoke(gw, {"session": f"sid-stream-{http}"})
        begin = time.monotonic()
        stream.timeout(4).read_to_end()
        assert time.monotonic() - begin < 1.5


@over_both
def test_logout_closes_with_1008(gw, tunnel):
    upstream, cookie, raw = tunnel()
    assert gw.request(upstream.vmid, "/.zlh/logout", method="POST", body=b"", cookie=cookie).status == 204
    assert read_close(raw.timeout(2)) == 1008


def test_absolute_end_closes_with_1008(gw, tunnel):
    _, _, raw = tunnel(sabs=int(time.time()) + 3)
    assert read_close(raw.timeout(6)) == 1008


@over_both
@pytest.mark.parametrize("change", ["removed", "moved", "generation"])
def test_a_route_that_went_or_changed_closes_with_1012(gw, tunnel, change):
    upstream, _, raw = tunnel()
    _, _, other = tunnel()

    def edit(routes):
        if change == "removed":
            routes["ide"].pop(upstream.vmid)
        elif change == "moved":
            routes["ide"][upstream.vmid]["address"] = "127.201.0.1"
        else:
            routes["ide"][upstream.vmid]["generation"] = "changed"

    gw.write_routes(edit)
    assert read_close(raw.timeout(2)) == 1012
    assert raw.is_closed()
    other.send(b"x")
    assert other.read_exactly(1) == b"x"


def test_an_idle_session_with_a_busy_tunnel_lives(make_gateway, tunnel):
    gw = make_gateway(ide={"session": {"absolute": "1h", "idle": "2s"}})
    _, cookie, raw = tunnel(gateway=gw)
    for _ in range(8):
        time.sleep(0.5)
        raw.send(b"x")
        assert raw.read_exactly(1) == b"x"


def test_an_idle_session_closes_its_tunnel_with_1008(make_gateway, tunnel):
    gw = make_gateway(ide={"session": {"absolute": "1h", "idle": "2s"}})
    _, _, raw = tunnel(gateway=gw)
    assert read_close(raw.timeout(6)) == 1008


@over_both
def test_drain_closes_with_1001_and_exits_0(make_gateway):
    gw = make_gateway(limits={"drain": "3s"})
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    tunnels = [opened(gw.client(upstream.vmid), cookie=cookie) for _ in range(20)]
    begin = time.monotonic()
    gw.signal(signal.SIGTERM)
    wait_for(lambda: gw.plain("/readyz")[0] == 503, 2, "not ready while draining")
    times = []
    for raw in tunnels:
        assert read_close(raw.timeout(6)) == 1001
        times.append(time.monotonic() - begin)
        raw.close()
    assert max(times) < 4.5
    gw.stop()
    assert time.monotonic() - begin < 6


@over_both
def test_drain_ends_what_never_ends(make_gateway):
    """A tunnel that is never still and an answer without an end: 1001 for the one, and an exit in time."""
    gw = make_gateway(limits={"drain": "1s"})

    def pours(connection):
        request = connection.read_head()
        connection.send(switching(request) if request.get("upgrade") else b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                connection.send(frame(2, bytes(65000)))
        except OSError:
            pass

    upstream = gw.upstream(pours)
    cookie = gw.launch(upstream.vmid)
    busy, stuck = (opened(gw.client(upstream.vmid, receive_buffer=65536), cookie=cookie) for _ in range(2))
    stream = gw.client(upstream.vmid).open(cookie=cookie)
    stream.head()
    reader = threading.Thread(target=stream.read_to_end)
    reader.start()
    gw.signal(signal.SIGTERM)
    begin = time.monotonic()
    while (got := read_frame(busy))[0] == 2:
        pass
    assert got == (8, b"\x03\xe9gateway restarting")
    gw.stop()
    assert time.monotonic() - begin < 6
    reader.join()
    for raw in (busy, stuck, stream):
        raw.close()


@over_both
def test_a_second_sigterm_exits_now(make_gateway):
    gw = make_gateway(limits={"drain": "20s"})
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    raw = opened(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid))
    gw.signal(signal.SIGTERM)
    time.sleep(0.5)
    begin = time.monotonic()
    gw.stop(expect=None)
    assert time.monotonic() - begin < 2
    raw.close()


# --- many ---

class IdleSockets:
    """An asyncio echo server for thousands of tunnels, in one thread."""

    def __init__(self, address: str, port: int):
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.address, self.port, self.open = address, port, 0
        threading.Thread(target=self._run, daemon=True).start()
        self.ready.wait(5)

    async def _serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching(rogue.Request(head)))
        self.open += 1
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except (OSError, asyncio.CancelledError):
            pass
        self.open -= 1
        writer.close()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._serve, self.address, self.port, backlog=2048))
        self.ready.set()
        self.loop.run_forever()

    def close(self):
        def end():
            for task in asyncio.all_tasks():
                task.cancel()
            self.loop.call_later(0.2, self.loop.stop)

        self.loop.call_soon_threadsafe(end)


@pytest.mark.timeout(150)
def test_two_thousand_idle_websockets(make_gateway):
    gw = make_gateway()
    vmid = gw.claim_vmid()
    server = IdleSockets(gw.routes["ide"][vmid]["address"], 6000)
    gw.upstreams.append(server)
    cookie = gw.launch(vmid)
    warm = [opened(gw.raw(vmid), cookie=cookie) for _ in range(50)]
    before = gw.rss()
    tunnels = warm + [opened(gw.raw(vmid), cookie=cookie) for _ in range(1950)]
    assert gw.metric("zlh_edge_tunnels", kind="websocket") == 2000
    each = (gw.rss() - before) / 1950
    assert each < 32 * 1024, f"{each / 1024:.1f} KiB a tunnel"
    cpu = gw.cpu()
    time.sleep(1)
    assert gw.cpu() - cpu < 0.1, "idle tunnels cost nothing"
    for raw in tunnels[::10]:
        raw.send(b"hello")
    for raw in tunnels[::10]:
        assert raw.read_exactly(5) == b"hello"
    for raw in tunnels:
        raw.close()
    wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == 0, 10)
    wait_for(lambda: server.open == 0, 10)
