"""WebSockets over HTTP/2 (RFC 8441), where they differ from the upgrades of test_websocket.py, which run over both."""

import signal
import threading
import time

import pytest

from harness import upstreams as rogue
from harness import websocket
from harness.gateway import FETCH, flat, wait_for
from harness.http2 import CANCEL, NO_ERROR, Reset, status_of
from harness.upstreams import after_request, echoes_bytes, replies, switching, upgrades_and
from harness.websocket import close_frame, frame, opened, read_close, read_frame
from test_websocket import EchoServer

GATEWAY = {"limits": {"upstream": {"connect": "2s", "response": "2s"}}}
MB = 1 << 20


@pytest.fixture(autouse=True)
def over_http2(monkeypatch):
    from harness.gateway import Gateway

    monkeypatch.setattr(Gateway, "protocol", "h2")


@pytest.fixture(scope="module")
def echo(gw):
    return EchoServer(gw, gw.claim_vmid())


@pytest.fixture(scope="module")
def plain_echo(gw):
    return EchoServer(gw, gw.claim_vmid(), compression=None)


def behind(gw, then=echoes_bytes, extra=None):
    upstream = gw.upstream(upgrades_and(then, extra))
    return upstream, gw.launch(upstream.vmid)


def open_connections(upstream) -> list:
    return [c for c in upstream.connections if c.sock.fileno() >= 0]


# --- an honest server at the other end ---

def test_text_binary_and_ping(gw, echo):
    with gw.http2(echo.vmid) as connection:
        tunnel = opened(connection, cookie=gw.launch(echo.vmid))
        tunnel.send(frame(1, "text \u2603".encode(), mask=True))
        assert read_frame(tunnel) == (1, "text \u2603".encode())
        for size in (0, 1, 125, 126, 65535, 65536, MB):
            message = rogue.random_body(size)
            tunnel.send(frame(2, message, mask=True))
            assert read_frame(tunnel) == (2, message)
        tunnel.send(frame(9, b"are you there", mask=True))
        assert read_frame(tunnel) == (10, b"are you there")
        tunnel.send(frame(1, b"in ", fin=False, mask=True) + frame(0, b"two", mask=True))
        assert read_frame(tunnel) == (1, b"in two")


def test_ten_megabytes_both_ways(gw, plain_echo):
    with gw.http2(plain_echo.vmid) as connection:
        tunnel = opened(connection, cookie=gw.launch(plain_echo.vmid))
        message = rogue.random_body(10 * MB)
        wire = frame(2, message, mask=True)
        assert tunnel.exchange(wire, 10 + len(message))[10:] == message


def test_close_codes_go_both_ways(gw, echo):
    with gw.http2(echo.vmid) as connection:
        tunnel = opened(connection, cookie=gw.launch(echo.vmid))
        tunnel.send(close_frame(4321, "own reason over h2", mask=True))
        assert read_close(tunnel) == 4321
        assert tunnel.is_closed()
        tunnel.end()
        wait_for(lambda: (4321, "own reason over h2") in echo.closes)
        assert connection.request(headers=FETCH).status == 401, "the connection outlives its tunnels"


def test_deflate_is_the_peers_own_business(gw, echo):
    """The library's server compresses when asked: its frames arrive with RSV1 and are inflated here."""
    import zlib

    with gw.http2(echo.vmid) as connection:
        tunnel = opened(connection, cookie=gw.launch(echo.vmid), headers={
            "Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover"})
        assert "permessage-deflate" in tunnel.opening.one("sec-websocket-extensions")
        text = b"again and " * 1000
        deflate = zlib.compressobj(wbits=-15)
        packed = (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
        tunnel.send(frame(1, packed, rsv1=True, mask=True))
        first = tunnel.read_exactly(1)
        assert first == b"\xc1"
        tunnel.buffer = first + tunnel.buffer
        _, payload = read_frame(tunnel)
        assert len(payload) < len(text) / 10
        assert zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff") == text


def test_the_protocol_is_passed_both_ways(gw):
    upstream, cookie = behind(gw, extra=["Sec-WebSocket-Protocol: v2.chat"])
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie, headers={"Sec-WebSocket-Protocol": "v1.chat, v2.chat"})
        assert tunnel.opening.one("sec-websocket-protocol") == "v2.chat"
        assert upstream.last.get("sec-websocket-protocol") == "v1.chat, v2.chat"


def test_a_hundred_on_one_connection(gw):
    upstream, cookie = behind(gw)
    before = gw.metric("zlh_edge_tunnels", kind="websocket")
    with gw.http2(upstream.vmid) as connection:
        tunnels = [opened(connection, cookie=cookie) for _ in range(100)]
        assert gw.metric("zlh_edge_tunnels", kind="websocket") == before + 100
        for n, tunnel in enumerate(tunnels):
            tunnel.send(b"%d" % n * 3)
        for n, tunnel in reversed(list(enumerate(tunnels))):
            assert tunnel.read_exactly(len(b"%d" % n * 3)) == b"%d" % n * 3
        for tunnel in tunnels[::2]:
            tunnel.cancel()
        wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == before + 50)
        for tunnel in tunnels[1::2]:
            tunnel.send(b"still")
            assert tunnel.read_exactly(5) == b"still"
        assert connection.request(headers=FETCH).status == 401
    wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == before)
    wait_for(lambda: not open_connections(upstream))


def test_one_that_nobody_reads_stalls_no_other(gw):
    sent = [0]

    def pours(connection):
        try:
            while sent[0] < 100 * MB:
                connection.send(frame(2, bytes(65000)))
                sent[0] += 65004
        except OSError:
            pass

    flood, flood_cookie = behind(gw, pours)
    quick, quick_cookie = behind(gw)

    def work():
        with gw.http2(flood.vmid, window=65536, connection_window=8 * MB, manual=True) as connection:
            stuck = opened(connection, cookie=flood_cookie)
            connection.pump_until(lambda: stuck.received == 65536)
            connection.host = gw.host(quick.vmid)
            tunnel = opened(connection, cookie=quick_cookie)
            for n in range(100):
                tunnel.send(b"ping%03d" % n)
                assert tunnel.read_exactly(7) == b"ping%03d" % n
                tunnel.acknowledge()
            assert stuck.received == 65536 and sent[0] < 20 * MB

    flat(gw, 10 * MB, work)


# --- ends ---

def test_half_close_from_the_container(gw):
    """Its FIN is END_STREAM; what the browser still sends arrives, and its END_STREAM is a FIN."""
    heard, ended = [], threading.Event()

    def half(connection):
        connection.send(frame(1, b"last"))
        connection.sock.shutdown(1)
        while connection.fill():
            pass
        heard.append(connection.buffer)
        ended.set()

    upstream, cookie = behind(gw, half)
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        assert read_frame(tunnel) == (1, b"last")
        connection.pump_until(lambda: tunnel.ended)
        assert tunnel.reset_code is None
        tunnel.send(b"still ")
        tunnel.send(b"here", end=True)
        assert ended.wait(5) and heard == [b"still here"]
        connection.pump_for(0.2)
        assert tunnel.reset_code in (None, NO_ERROR)


def test_half_close_from_the_browser(gw):
    def answers_after_the_end(connection):
        while connection.fill():
            pass
        connection.send(b"got " + connection.buffer)

    upstream, cookie = behind(gw, answers_after_the_end)
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        tunnel.send(b"question", end=True)
        assert tunnel.read_to_end() == b"got question"
        assert tunnel.ended and tunnel.reset_code in (None, NO_ERROR)


def test_the_containers_reset_is_a_reset(gw):
    go = threading.Event()
    upstream, cookie = behind(gw, lambda connection: (connection.send(b"x"), go.wait(5), connection.reset()))
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        assert tunnel.read_exactly(1) == b"x"
        go.set()
        assert tunnel.wait_reset() == CANCEL, "RFC 8441 §5: as a TCP RST"
        assert not tunnel.ended
        assert connection.request(headers=FETCH).status == 401


def test_the_browsers_reset_is_a_reset(gw):
    seen = []

    def watches(connection):
        try:
            while connection.fill():
                pass
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")

    upstream, cookie = behind(gw, watches)
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        tunnel.send(b"x")
        wait_for(lambda: upstream.connections[0].buffer == b"x")
        tunnel.cancel()
        wait_for(lambda: seen)
        assert seen == ["reset"], "not to be taken for a proper end"
        assert connection.request(headers=FETCH).status == 401


def test_a_lost_connection_ends_its_tunnels(gw):
    upstream, cookie = behind(gw)
    connection = gw.http2(upstream.vmid)
    for _ in range(10):
        opened(connection, cookie=cookie)
    connection.reset()
    wait_for(lambda: not open_connections(upstream), 3)


# --- refusals ---

@pytest.mark.parametrize("origin, with_cookie, status", [
    ("own", False, 401), (None, False, 401), ("https://evil.example", True, 403), (None, True, 403), ("null", True, 403),
    ("https://dev-1199.zlh.localhost", True, 403), ("own", True, 200),
])
def test_who_may(gw, origin, with_cookie, status):
    upstream, cookie = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        asked = websocket.asked(connection, origin=origin, cookie=cookie if with_cookie else None)
        assert asked.opening.status == status
        if status != 200:
            assert asked.opening.json()["error"] == {401: "unauthorized", 403: "forbidden"}[status]
            assert not upstream.requests
        assert connection.request(headers=FETCH).status == 401


def test_several_containers_each_with_its_own_session(gw):
    one, two = behind(gw), behind(gw)
    with gw.http2(one[0].vmid) as connection:
        for (upstream, _), (other, cookie) in ((one, two), (two, one)):
            connection.host = gw.host(upstream.vmid)
            assert websocket.upgrade(connection, cookie=cookie).status == 401
        for upstream, cookie in (one, two):
            connection.host = gw.host(upstream.vmid)
            opened(connection, cookie=cookie)
    assert len(one[0].requests) == len(two[0].requests) == 1


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "426 Upgrade Required",
                                    "503 Service Unavailable", "302 Found"])
def test_a_container_that_refuses_is_an_ordinary_answer(gw, status):
    upstream = gw.upstream(rogue.answer(b"no", status, ["X-Why: own", "Location: /"]))
    with gw.http2(upstream.vmid) as connection:
        answer = websocket.upgrade(connection, cookie=gw.launch(upstream.vmid))
        assert (answer.status, answer.body, answer.one("x-why")) == (int(status[:3]), b"no", "own")


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "204 No Content"])
def test_a_success_that_is_no_101_is_502(gw, status):
    """Over HTTP/2 a 2xx would tell the browser that it has a WebSocket."""
    body = b"" if status.startswith("204") else b"no"
    upstream = gw.upstream(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    with gw.http2(upstream.vmid) as connection:
        answer = websocket.upgrade(connection, cookie=gw.launch(upstream.vmid))
        assert answer.status == 502 and answer.json()["error"] == "bad_gateway"


def test_a_key_that_another_request_made_is_502(gw):
    """The accept value must be that of the gateway's own key, which is a new one each time."""
    known = rogue.accept_key(websocket.KEY).encode()
    upstream = gw.upstream(lambda c: c.send(
        switching(c.read_head()).replace(b"\r\nSec-WebSocket-Accept: ", b"\r\nX-Was: ")
        .replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Accept: " + known + b"\r\n\r\n")))
    with gw.http2(upstream.vmid) as connection:
        assert websocket.upgrade(connection, cookie=gw.launch(upstream.vmid)).status == 502


def test_keys_are_fresh(gw):
    upstream, cookie = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        for _ in range(20):
            opened(connection, cookie=cookie)
    assert len({request.get("sec-websocket-key") for request in upstream.requests}) == 20


def test_a_browsers_own_key_and_upgrade_fields_are_not_passed_on(gw):
    upstream, cookie = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        fields = [("Sec-WebSocket-Version", "13"), ("Origin", gw.origin(upstream.vmid)),
                  ("Sec-WebSocket-Key", websocket.KEY)]
        connection.websocket("/ws", fields, cookie=cookie)
    if upstream.requests:
        assert upstream.last.get("sec-websocket-key") != websocket.KEY


@pytest.mark.parametrize("protocol", ["webtransport", "connect-udp", "WebSocket2", "websocket, x", ""])
def test_other_protocols_are_501(gw, protocol):
    upstream, cookie = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        fields = [("Sec-WebSocket-Version", "13"), ("Origin", gw.origin(upstream.vmid))]
        status = status_of(lambda: connection.websocket("/ws", fields, cookie=cookie, protocol=protocol).opening)
        assert status in ((501,) if protocol else (400, 501))
        assert connection.request(headers=FETCH).status == 401
    assert not upstream.requests


def test_a_plain_connect_is_501(gw):
    with gw.http2(1101) as connection:
        host = gw.host(1101)
        for authority in (host, f"{host}:443"):
            answer = connection.open(pseudo=[(":method", "CONNECT"), (":authority", authority)], end=True).answer()
            assert answer.status == 501
        assert connection.request(headers=FETCH).status == 401


@pytest.mark.parametrize("pseudo", [
    [(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "{host}")],
    [(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "{host}"), (":scheme", "https")],
    [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/ws")],
    [(":method", "POST"), (":protocol", "websocket"), (":authority", "{host}"), (":scheme", "https"),
     (":path", "/ws")],
    [(":method", "CONNECT"), (":protocol", "websocket"), (":protocol", "websocket"), (":authority", "{host}"),
     (":scheme", "https"), (":path", "/ws")],
], ids=["no scheme and path", "no path", "no authority", "POST", "twice"])
def test_malformed_connects(gw, pseudo):
    upstream, cookie = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        fields = [("sec-websocket-version", "13"), ("origin", gw.origin(upstream.vmid))]
        pseudo = [(name, value.format(host=connection.host)) for name, value in pseudo]
        stream = connection.open(pseudo=pseudo, headers=fields, cookie=cookie, end=False)
        assert status_of(stream.answer) == 400
        assert connection.request(headers=FETCH).status == 401
    assert not upstream.requests


@pytest.mark.parametrize("fields", [[("content-length", "5")], [("transfer-encoding", "chunked")],
                                    [("upgrade", "websocket")], [("connection", "upgrade")]])
def test_what_a_tunnel_may_not_have(gw, fields):
    upstream, cookie = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        fields = [("sec-websocket-version", "13"), ("origin", gw.origin(upstream.vmid)), *fields]
        assert status_of(lambda: connection.websocket("/ws", fields, cookie=cookie).opening) == 400
        assert connection.request(headers=FETCH).status == 401
    assert not upstream.requests


@pytest.mark.parametrize("version", ["12", "8", None])
def test_other_versions_are_the_containers_affair_or_refused(gw, version):
    upstream = gw.upstream(replies(rogue.answer(b"13 only", "426 Upgrade Required", ["Sec-WebSocket-Version: 13"])))
    with gw.http2(upstream.vmid) as connection:
        fields = [("origin", gw.origin(upstream.vmid))]
        fields += [("sec-websocket-version", version)] if version else []
        assert status_of(lambda: connection.websocket("/ws", fields, cookie=gw.launch(upstream.vmid)).opening) \
            in (400, 426)


def test_an_upgrade_that_ends_at_once(gw):
    """END_STREAM on the request itself: a tunnel whose browser has nothing to say."""
    upstream, cookie = behind(gw, lambda connection: connection.send(frame(1, b"bye")))
    with gw.http2(upstream.vmid) as connection:
        fields = [("sec-websocket-version", "13"), ("origin", gw.origin(upstream.vmid))]
        stream = connection.open("CONNECT", "/ws", fields, cookie=cookie, protocol="websocket", end=True)
        try:
            assert stream.answer().status in (200, 400, 502)
        except Reset:
            pass
        assert connection.request(headers=FETCH).status == 401


# --- before and after the handshake ---

def test_bytes_before_the_200_are_held(gw):
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
    with gw.http2(upstream.vmid) as connection:
        fields = [("sec-websocket-version", "13"), ("origin", gw.origin(upstream.vmid))]
        stream = connection.open("CONNECT", "/ws", fields, cookie=gw.launch(upstream.vmid), protocol="websocket")
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        stream.send(smuggled)
        assert stream.head().status == 200
        assert held == [b""]
        assert stream.read_exactly(len(smuggled)) == smuggled


def test_bytes_behind_a_refusal_are_never_forwarded(gw):
    upstream = gw.upstream(replies(rogue.answer(b"no", "400 Bad Request")))
    with gw.http2(upstream.vmid) as connection:
        fields = [("sec-websocket-version", "13"), ("origin", gw.origin(upstream.vmid))]
        stream = connection.open("CONNECT", "/ws", fields, cookie=gw.launch(upstream.vmid), protocol="websocket")
        stream.send(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.answer().status == 400
        connection.pump_for(0.2)
    assert [request.target for request in upstream.requests] == ["/ws"]
    assert b"smuggled" not in upstream.connections[0].received


def test_bytes_sent_with_the_101_come_behind_the_200(gw):
    upstream = gw.upstream(after_request(lambda request: switching(request) + frame(1, b"hello"), rogue.waits(1)))
    with gw.http2(upstream.vmid) as connection:
        assert read_frame(opened(connection, cookie=gw.launch(upstream.vmid))) == (1, b"hello")


def test_a_container_that_never_answers_is_504(gw):
    upstream = gw.upstream(rogue.never_answers)
    with gw.http2(upstream.vmid) as connection:
        assert websocket.upgrade(connection, cookie=gw.launch(upstream.vmid)).status == 504


def test_a_reset_before_the_answer_frees_the_container(gw):
    upstream = gw.upstream(rogue.never_answers)
    with gw.http2(upstream.vmid) as connection:
        fields = [("sec-websocket-version", "13"), ("origin", gw.origin(upstream.vmid))]
        stream = connection.open("CONNECT", "/ws", fields, cookie=gw.launch(upstream.vmid), protocol="websocket")
        upstream.wait_requests(1)
        stream.cancel()
        wait_for(lambda: not open_connections(upstream), 3)


# --- ends that the gateway makes, several on one connection ---

def revoke(gw, session: str):
    gw.write_routes(lambda routes: routes.setdefault("revoked", []).append({"session": session}), wait=False)


def test_revocation_closes_only_whom_it_means(gw):
    upstream, mallory = behind(gw)
    mallory = gw.launch(upstream.vmid, "mallory", sid="sid-h2-mallory")
    other, alice = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        doomed = [opened(connection, cookie=mallory) for _ in range(5)]
        connection.host = gw.host(other.vmid)
        spared = opened(connection, cookie=alice)
        begin = time.monotonic()
        revoke(gw, "sid-h2-mallory")
        for tunnel in doomed:
            assert read_close(tunnel.timeout(3)) == 1008
        assert time.monotonic() - begin < 1.5
        for tunnel in doomed:
            assert tunnel.is_closed(3)
        spared.send(b"here")
        assert spared.read_exactly(4) == b"here"
        assert not connection.goaways


def test_a_route_that_changes_closes_only_its_own(gw):
    one, two = behind(gw), behind(gw)
    with gw.http2(one[0].vmid) as connection:
        moved = opened(connection, cookie=one[1])
        connection.host = gw.host(two[0].vmid)
        stays = opened(connection, cookie=two[1])
        gw.write_routes(lambda routes: routes["ide"][one[0].vmid].update(generation="changed"))
        assert read_close(moved.timeout(2)) == 1012
        assert moved.is_closed()
        stays.send(b"x")
        assert stays.read_exactly(1) == b"x"


def test_a_drain_closes_all_with_1001_and_says_goaway(make_gateway):
    gw = make_gateway(limits={"drain": "3s"})
    upstream, cookie = behind(gw)
    with gw.http2(upstream.vmid) as connection:
        tunnels = [opened(connection, cookie=cookie) for _ in range(20)]
        begin = time.monotonic()
        gw.signal(signal.SIGTERM)
        for tunnel in tunnels:
            assert read_close(tunnel.timeout(6)) == 1001
        assert time.monotonic() - begin < 4.5
        assert connection.is_closed(3)
        assert connection.goaways and connection.goaways[-1][1] == NO_ERROR
    gw.stop()
    assert time.monotonic() - begin < 6


def test_a_close_comes_at_a_frame_boundary_of_its_own_tunnel(gw):
    go = threading.Event()

    def half_a_frame(connection):
        data = frame(2, b"y" * 1000)
        connection.send(data[:500])
        go.wait(5)
        time.sleep(0.3)
        connection.send(data[500:])
        connection.wait_closed(5)

    upstream = gw.upstream(upgrades_and(half_a_frame))
    cookie = gw.launch(upstream.vmid, sid="sid-h2-boundary")
    with gw.http2(upstream.vmid) as connection:
        tunnels = [opened(connection, cookie=cookie) for _ in range(3)]
        for tunnel in tunnels:
            tunnel.read_exactly(500)
        revoke(gw, "sid-h2-boundary")
        go.set()
        for tunnel in tunnels:
            assert tunnel.read_exactly(504) == b"y" * 504
            assert read_close(tunnel) == 1008


# --- what is said of it ---

def test_logs_and_metrics_say_get_and_101(gw):
    upstream, cookie = behind(gw)
    since, was = len(gw.log), gw.metric("zlh_edge_requests_total", method="GET", code="101", protocol="h2")
    with gw.http2(upstream.vmid) as connection:
        tunnel = opened(connection, cookie=cookie)
        tunnel.send(b"x" * 1000)
        tunnel.read_exactly(1000)
        opens = gw.wait_log(lambda e: e["event"] == "tunnel_open" and e["vmid"] == upstream.vmid, 3, since)
        assert opens["protocol"] == "h2" and opens["method"] == "GET" and opens["path"] == "/ws"
        tunnel.send(b"", end=True)
        assert tunnel.is_closed()
    closes = gw.wait_log(lambda e: e["event"] == "tunnel_close" and e["vmid"] == upstream.vmid, 3, since)
    assert closes["bytes_in"] >= 1000 and closes["bytes_out"] >= 1000 and closes["reason"]
    wait_for(lambda: gw.metric("zlh_edge_requests_total", method="GET", code="101", protocol="h2") == was + 1)
