"""Each bound of the HTTPS side, set small, met, counted under its name."""

import contextlib
import resource
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import frames as f
from harness import over_both, tokens, websocket
from harness import upstreams as rogue
from harness.frames import Frames
from harness.gateway import FETCH, NAVIGATION, free_port, wait_for
from harness.http2 import Connection
from harness.raw import Closed
from harness.upstreams import answer as reply
from harness.upstreams import echoes_bytes, replies, upgrades_and
from harness.websocket import opened, upgrade

REASONS = [
    "headers.bytes", "headers.fields", "headers.timeout", "framing.chunk_extension", "framing.extensions",
    "framing.trailers", "framing.empty_lines", "body.minimum_rate", "response_stall", "keep_alive", "tls.handshake",
    "upstream.head", "upstream.fields", "upstream.interim", "upstream.queue", "upstream.streams_per_vmid",
    "connections", "https.connections", "https.connects", "https.unauthenticated", "penalty", "upstream.response",
    "source.tracked", "reload_removes", "memory",
]


def counted(gw, reason: str, by: float = 1, was: float = 0):
    """The refusal shows under its limit's dotted name, or a name below it."""
    def total():
        return sum(v for (name, labels), v in gw.metrics().items() if name == "zlh_edge_refused_total"
                   and (dict(labels)["reason"] == reason or dict(labels)["reason"].startswith(reason + ".")))

    wait_for(lambda: total() >= was + by, 3, f"zlh_edge_refused_total{{reason={reason!r}}}")


def head(raw, *lines, start="GET / HTTP/1.1") -> bytes:
    return "\r\n".join([start, f"Host: {raw.host}", *lines, "", ""]).encode()


@pytest.fixture(scope="module")
def gw(tmp_path_factory, authority):
    from harness.gateway import Gateway

    gateway = Gateway(tmp_path_factory.mktemp("limits"), authority, {"limits": {
        "headers": {"bytes": "4k", "fields": 20, "timeout": "1s"},
        "framing": {"chunk_extension": 32, "extensions": 128, "trailers": 128, "empty_lines": 2},
        "body": {"minimum_rate": 1000, "over": "1s"},
        "response_stall": "1s", "keep_alive": "1s",
        "tls": {"handshake": "1s", "key_updates": "10/s"},
        "upstream": {"connect": "500ms", "response": "5s", "head": "4k", "fields": 20, "interim": 3, "idle": "1s",
                     "per_vmid": 2, "queue": 3, "streams_per_vmid": 3},
    }}, routes=60).start()
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream(replies())


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


# --- heads ---

@over_both
@pytest.mark.parametrize("reason, fields", [
    ("headers.bytes", [("X", "y" * 5000)]), ("headers.fields", [(f"X-{n}", "y") for n in range(25)])])
def test_headers(gw, http, reason, fields):
    was = gw.refused(reason)
    with gw.client(1101) as raw:
        assert raw.request(headers=fields).status == 431
        if http == "h2":
            assert raw.request().status == 401
        else:
            assert raw.is_closed()
    counted(gw, reason, was=was)


@over_both
def test_a_refusal_has_the_body_its_own_method_allows(gw, http):
    """After a HEAD the connection's next request is refused with a page, unless it is a HEAD itself."""
    for method in ("GET", "HEAD"):
        with gw.client(1101) as raw:
            assert raw.request("HEAD").status == 401
            answer = raw.request(method, headers={"X": "y" * 5000})
            assert answer.status == 431 and bool(answer.body) == (method == "GET")
            assert http == "h2" or raw.is_closed()


def test_a_thousand_fields_end_the_connection(gw):
    with gw.raw(1101) as raw:
        try:
            raw.send(head(raw, *["X: y"] * 1100))
            assert raw.answer().status == 431
        except (Closed, OSError):
            pass
        assert raw.is_closed()


def test_an_endless_header_is_cut(gw):
    """After the answer the rest is only read so that the answer is not lost, and not for long."""
    with gw.raw(1101) as raw:
        raw.send(head(raw)[:-2] + b"X: ")
        begin = time.monotonic()
        with pytest.raises((OSError, Closed)):
            while time.monotonic() - begin < 15:
                raw.send(b"y" * 10_000)
                time.sleep(0.01)
        assert time.monotonic() - begin < 8


def test_headers_timeout_is_absolute(gw):
    was = gw.refused("headers.timeout")
    begin = time.monotonic()
    with gw.raw(1101) as raw:
        for byte in head(raw, "X: " + "y" * 100)[:14]:
            raw.send(bytes([byte]))
            time.sleep(0.1)
        answer = raw.answer()
        assert answer.status == 408 and answer.json()["error"] == "timeout"
        assert time.monotonic() - begin < 2
        assert raw.is_closed()
    counted(gw, "headers.timeout", was=was)


def test_a_navigation_whose_head_does_not_end_gets_a_page(gw):
    with gw.raw(1101) as raw:
        answer = raw.send(head(raw, "Accept: text/html")[:-2] + b"X: ").answer()
        assert answer.status == 408 and answer.one("content-type") == "text/html; charset=utf-8"
        assert gw.access(answer.one("x-request-id"))["method"] == "GET"


@over_both
def test_headers_timeout_starts_with_the_first_byte(gw, up, cookie):
    with gw.client(up.vmid) as raw:
        time.sleep(0.7)
        assert raw.request(cookie=cookie).status == 200


@over_both
def test_headers_timeout_runs_from_the_handshake_to_the_first_request(make_gateway, http):
    gw = make_gateway(limits={"headers": {"timeout": "1s"}, "keep_alive": "30s"})
    begin = time.monotonic()
    with gw.client(1101) as raw:
        if http == "h2":
            raw.settings()
            time.sleep(0.4)
            raw.ping()
        assert raw.is_closed(4)
        assert 0.7 < time.monotonic() - begin < 2.5
    counted(gw, "headers.timeout")
    with gw.client(1101) as raw:
        time.sleep(0.6)
        assert raw.request(headers=FETCH).status == 401
        time.sleep(1.5)
        assert raw.request(headers=FETCH).status == 401, "later ones have keep_alive"


def test_the_first_head_has_what_is_left_of_the_time(make_gateway):
    gw = make_gateway(limits={"headers": {"timeout": "1500ms"}, "keep_alive": "30s"})
    begin = time.monotonic()
    with gw.raw(1101) as raw:
        time.sleep(0.9)
        raw.send(b"GET / HT")
        assert raw.answer().status == 408
        assert time.monotonic() - begin < 2.1


def test_headers_timeout_on_the_plain_listener(make_gateway):
    port = free_port()
    gw = make_gateway(limits={"headers": {"timeout": "1s"}, "keep_alive": "30s"}, listen={"http": [f"127.0.0.1:{port}"]})
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        assert plain.recv(100) == b""
        assert 0.7 < time.monotonic() - begin < 2.5
    counted(gw, "headers.timeout")


@pytest.mark.parametrize("reset", [False, True])
def test_a_probe_that_connects_and_leaves_is_no_failed_handshake(make_gateway, reset):
    gw = make_gateway()
    for _ in range(10):
        with socket.create_connection((gw.address, gw.port)) as probe:
            if reset:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for(lambda: gw.metric("zlh_edge_tls_handshakes_total", result="closed") == 10)
    assert gw.metric("zlh_edge_tls_handshakes_total", result="failed") == 0
    assert not [entry for entry in gw.log if entry["event"] not in ("start", "warning", "memory")]


def test_keep_alive(gw, up, cookie):
    was = gw.refused("keep_alive")
    with gw.raw(up.vmid) as raw:
        assert raw.request(cookie=cookie).status == 200
        begin = time.monotonic()
        assert raw.is_closed(4)
        assert 0.7 < time.monotonic() - begin < 2.5
    counted(gw, "keep_alive", was=was)


def test_a_connection_without_a_request_is_closed_too(gw):
    with gw.raw(1101) as raw:
        assert raw.is_closed(4)


# --- framing ---

@pytest.mark.parametrize("reason, body", [
    ("framing.chunk_extension", b"1;" + b"e" * 40 + b"\r\nx\r\n0\r\n\r\n"),
    ("framing.extensions", b"1;eeeeeeeeeeeeeeeeeeee\r\nx\r\n" * 10 + b"0\r\n\r\n"),
    ("framing.trailers", b"1\r\nx\r\n0\r\nX: " + b"t" * 200 + b"\r\n\r\n"),
    ("framing.trailers", b"1\r\nx\r\n0\r\n" + b"X: t\r\n" * 50 + b"\r\n"),
])
def test_framing(gw, up, cookie, reason, body):
    was = gw.refused(reason)
    with gw.raw(up.vmid) as raw:
        raw.send(head(raw, f"Cookie: __Host-zlh_s={cookie}", "Transfer-Encoding: chunked", start="POST / HTTP/1.1")
                 + body)
        assert raw.answer().status == 400
        assert raw.is_closed()
    counted(gw, reason, was=was)


def test_empty_lines(gw):
    was = gw.refused("framing.empty_lines")
    with gw.raw(1101) as raw:
        raw.send(b"\r\n" * 3)
        raw.send(head(raw))
        assert raw.answer().status == 400
    counted(gw, "framing.empty_lines", was=was)


# --- bodies ---

@over_both
def test_minimum_rate_before_the_answers_headers_is_408(gw, http, up, cookie):
    was = gw.refused("body.minimum_rate")
    with gw.client(up.vmid) as raw:
        request = raw.open("POST", cookie=cookie, length=100_000)
        begin = time.monotonic()
        try:
            for _ in range(16):
                request.write(b"x")
                time.sleep(0.1)
        except (OSError, Closed):
            pass
        assert request.answer().status == 408
        assert time.monotonic() - begin < 7
        if http == "h2":
            assert raw.request(cookie=cookie).status == 200, "it was one stream's"
        else:
            assert raw.is_closed()
    counted(gw, "body.minimum_rate", was=was)


@over_both
def test_minimum_rate_does_not_punish_waiting_for_the_container(gw):
    """The container reads nothing for two seconds: the client is not to blame."""
    def reads_late(connection):
        request = connection.read_head()
        time.sleep(2.5)
        connection.read_body(request, keep=False)
        connection.send(rogue.answer())

    slow = gw.upstream(reads_late, receive_buffer=4096)
    session = gw.launch(slow.vmid)
    with gw.client(slow.vmid) as raw:
        request = raw.open("POST", cookie=session, length=8_000_000)
        request.write(b"x" * 8_000_000)
        request.finish()
        assert request.answer().status == 200


@over_both
def test_a_steady_slow_body_is_fine(gw, up, cookie):
    with gw.client(up.vmid) as raw:
        request = raw.open("POST", cookie=cookie, length=6000)
        for _ in range(15):
            request.write(b"x" * 400)
            time.sleep(0.2)
        request.finish()
        assert request.answer().status == 200


@over_both
def test_response_stall(gw):
    was = gw.refused("response_stall")

    upstream = gw.upstream(rogue.pours_without_end)
    session = gw.launch(upstream.vmid)
    with gw.client(upstream.vmid, receive_buffer=4096) as raw:
        raw.open(cookie=session).head()
        wait_for(lambda: upstream.connections and upstream.connections[0].sock.fileno() < 0, 6,
                 "the container to be let go")
    counted(gw, "response_stall", was=was)


@over_both
def test_a_byte_at_a_time_is_no_progress(gw):
    was = gw.refused("response_stall")
    upstream = gw.upstream(rogue.pours_without_end)
    session = gw.launch(upstream.vmid)
    with gw.client(upstream.vmid, receive_buffer=4096) as client:
        client.open(cookie=session).head()
        deadline = time.monotonic() + 8
        while upstream.connections[0].sock.fileno() >= 0 and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                client.sock.recv(1)
            time.sleep(0.05)
        assert upstream.connections[0].sock.fileno() < 0, "the container is let go"
    counted(gw, "response_stall", was=was)


@pytest.mark.parametrize("window, size, number", [(100, 15_000, 1), (100, 300_000, 1), (1 << 20, 300_000, 0)],
                         ids=["the stream's, with all of it read", "the stream's", "the connection's"])
def test_a_window_opened_byte_by_byte_is_no_progress(gw, window, size, number):
    was = gw.refused("response_stall")
    upstream = gw.upstream(replies(reply(bytes(size))))
    with Frames(gw, upstream.vmid, initial=((4, window),)) as client:
        client.raw(client.request(1, cookie=gw.launch(upstream.vmid)))
        deadline = time.monotonic() + 5
        while 1 not in client.resets and time.monotonic() < deadline:
            client.pour(f.window_update(number, 1))
            client.pump_for(0.1)
        assert 1 in client.resets
    counted(gw, "response_stall", was=was)


@pytest.mark.parametrize("size", [15_000, 60_000])
def test_who_takes_a_little_is_no_staller(gw, size):
    upstream = gw.upstream(replies(reply(bytes(size))))
    session = gw.launch(upstream.vmid)
    with Frames(gw, upstream.vmid, initial=((4, 100),)) as client:
        client.raw(client.request(1, cookie=session))
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            client.pour(f.window_update(1, 1400))
            client.pump_for(0.4)
        assert 1 not in client.resets
        client.pour(f.window_update(1, size))
        client.pump_until(lambda: 1 in client.ended)


@over_both
def test_small_events_are_no_stall(gw):
    """Less than a KiB in all that time, but nothing ever waits."""
    def events(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for n in range(12):
            connection.send(b"data: %2d\n\n" % n)
            time.sleep(0.25)

    upstream = gw.upstream(events)
    with gw.client(upstream.vmid) as client:
        answer = client.open(cookie=gw.launch(upstream.vmid)).answer()
        assert len(answer.body) == 12 * 10


# --- TLS ---

def test_tls_handshake(gw):
    was = gw.refused("tls.handshake")
    with socket.create_connection((gw.address, gw.port), timeout=5) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        begin = time.monotonic()
        try:
            while plain.recv(100):
                pass
        except ConnectionResetError:
            pass
        assert 0.7 < time.monotonic() - begin < 3
    counted(gw, "tls.handshake", was=was)


@pytest.mark.parametrize("version, works", [
    (ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)])
def test_tls_versions(gw, version, works):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(gw.authority.file)
    context.minimum_version = context.maximum_version = version
    if not works:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, OSError)):
            gw.raw(1101, context=context)
        return
    with gw.raw(1101, context=context) as raw:
        assert raw.request(headers=FETCH).status == 401


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384"])
def test_ciphers_without_forward_secrecy_or_aead_are_refused(gw, ciphers):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(gw.authority.file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with pytest.raises((ssl.SSLError, OSError)):
        gw.raw(1101, context=context)


def test_key_updates_are_bounded(gw):
    """`openssl s_client` sends a KeyUpdate for each line `K`."""
    was = gw.refused("tls.key_updates")
    client = subprocess.Popen(
        ["openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{gw.port}", "-servername", gw.host(1101),
         "-CAfile", str(gw.authority.file)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    begin = time.monotonic()
    try:
        for _ in range(60):
            client.stdin.write(b"K\n")
            client.stdin.flush()
            time.sleep(0.01)
    except BrokenPipeError:
        pass
    try:
        client.wait(0.5)
    except subprocess.TimeoutExpired:
        client.kill()
        pytest.fail("sixty key updates were taken")
    assert time.monotonic() - begin < 1.6
    counted(gw, "tls.key_updates", was=was)


# --- containers ---

@over_both
@pytest.mark.parametrize("reason, data", [
    ("upstream.head", rogue.head_of(5000)), ("upstream.fields", rogue.with_fields(25)),
    ("upstream.interim", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4 + rogue.answer())])
def test_upstream_heads(gw, reason, data):
    was = gw.refused(reason)
    upstream = gw.upstream(rogue.after_request(data, rogue.waits(2)))
    with gw.client(upstream.vmid) as raw:
        assert raw.request(headers=FETCH, cookie=gw.launch(upstream.vmid)).status == 502
    counted(gw, reason, was=was)


@over_both
def test_upstream_response(make_gateway, http):
    gw = make_gateway(limits={"upstream": {"response": "500ms"}})
    upstream = gw.upstream(rogue.never_answers)
    assert gw.request(upstream.vmid, headers=FETCH, cookie=gw.launch(upstream.vmid)).status == 504
    counted(gw, "upstream.response")


def test_source_tracked(make_gateway):
    """Sources that find no place in the table share one bucket, and its emptiness has a name."""
    gw = limited(make_gateway, source={"tracked": 16}, https={"connections": 2})
    held = [gw.raw(1101, source=f"127.9.1.{number + 1}") for number in range(18)]
    with pytest.raises((OSError, Closed)):
        gw.raw(1101, source="127.9.1.99", timeout=3)
    counted(gw, "source.tracked")
    for raw in held:
        raw.close()


def test_reload_removes(make_gateway):
    gw = make_gateway(routes=40)
    gw.write_routes(lambda routes: [routes["ide"].pop(vmid) for vmid in list(routes["ide"])[:30]], wait=False)
    counted(gw, "reload_removes")


@over_both
def test_per_vmid_and_its_queue(gw):
    """Two at once, three waiting up to `connect`; the sixth is refused at once."""
    go = threading.Event()
    upstream = gw.upstream(rogue.holds(go, b"ok"))
    session = gw.launch(upstream.vmid)
    was = gw.refused("upstream.queue")
    raws = [gw.client(upstream.vmid) for _ in range(8)]
    held_up = []
    for raw in raws[:5]:
        held_up.append(raw.open(headers=FETCH, cookie=session))
        if raw is raws[1]:  # of connections on different loops nobody knows which comes first
            wait_for(lambda: len(upstream.requests) == 2, 2)
    time.sleep(0.1)
    begin = time.monotonic()
    full = raws[5].request(headers=FETCH, cookie=session)
    assert full.status == 503 and full.one("retry-after") == "2"
    assert time.monotonic() - begin < 0.4
    for stream in held_up[2:]:
        assert stream.answer().status == 503, "who waited longer than `connect`"
    assert 0.3 < time.monotonic() - begin < 2
    go.set()
    assert [stream.answer().status for stream in held_up[:2]] == [200, 200]
    assert raws[6].request(cookie=session).status == 200
    assert len(upstream.connections) <= 3, "a place is no connection: each loop keeps its own idle ones"
    for raw in raws:
        raw.close()
    counted(gw, "upstream", by=1, was=0)
    assert gw.refused("upstream.queue") + gw.refused("upstream.per_vmid") > was


@over_both
def test_a_queued_request_gets_the_next_free_place(gw):
    def short(connection):
        while connection.read() is not None:
            time.sleep(0.15)
            connection.send(rogue.answer())

    upstream = gw.upstream(short)
    session = gw.launch(upstream.vmid)
    raws = [gw.client(upstream.vmid) for _ in range(5)]
    streams = [raw.open(cookie=session) for raw in raws]
    assert [stream.answer().status for stream in streams] == [200] * 5
    for raw in raws:
        raw.close()


@over_both
def test_streams_per_vmid(gw):
    was = gw.refused("upstream.streams_per_vmid")
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    session = gw.launch(upstream.vmid)
    raws = [opened(gw.client(upstream.vmid), cookie=session) for _ in range(3)]
    with gw.client(upstream.vmid) as raw:
        answer = websocket.upgrade(raw, cookie=session)
        assert answer.status in (429, 503) and answer.all("retry-after")
    raws.pop().close()
    wait_for(lambda: len([c for c in upstream.connections if c.sock.fileno() >= 0]) == 2, 3)
    raws.append(opened(gw.client(upstream.vmid), cookie=session))
    for raw in raws:
        raw.close()
    counted(gw, "upstream.streams_per_vmid", was=was)


def begins_and_lasts(connection):
    """An event stream at /long, an ordinary answer elsewhere."""
    while (request := connection.read()) is not None:
        if request.target == "/long":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
            connection.wait_closed(30)
        else:
            connection.send(rogue.answer())


@over_both
def test_answers_that_last_leave_the_places_to_others(gw):
    """`per_vmid` is 2 and `streams_per_vmid` 3: three endless answers may be open, and two requests beside them."""
    upstream = gw.upstream(begins_and_lasts)
    session = gw.launch(upstream.vmid)
    was = gw.refused("upstream.per_vmid")
    clients = []  # ended by resets: after a FIN alone a client may still read

    def begin():
        clients.append(gw.client(upstream.vmid))
        clients[-1].open("GET", "/long", FETCH, cookie=session).head()

    begin()
    begin()
    assert gw.request(upstream.vmid, "/", FETCH, cookie=session).status == 503, "both have just begun"
    time.sleep(2.7)
    assert gw.request(upstream.vmid, "/", FETCH, cookie=session).status == 200
    begin()
    time.sleep(2.7)
    # Those three have all the places of streams: two more stay among the exchanges.
    begin()
    begin()
    time.sleep(2.7)
    assert gw.request(upstream.vmid, "/", FETCH, cookie=session).status == 503
    with gw.client(upstream.vmid) as client:
        assert websocket.upgrade(client, cookie=session).status == 503, "they count with the tunnels"
    # One ends, another takes its place, and a request that one's.
    clients.pop(0).reset()
    wait_for(lambda: gw.request(upstream.vmid, "/", FETCH, cookie=session).status == 200, 4)
    for client in clients:
        client.reset()
    wait_for(lambda: all(c.sock.fileno() < 0 for c in upstream.connections if b"/long" in c.received), 3)
    begin()
    begin()  # every place was given back
    for client in clients:
        client.close()
    assert gw.refused("upstream.per_vmid") > was


@over_both
def test_a_request_that_waits_is_let_in_when_an_answer_lasts(make_gateway):
    gw = make_gateway(limits={"upstream": {"connect": "4s", "per_vmid": 1}})
    upstream = gw.upstream(begins_and_lasts)
    session = gw.launch(upstream.vmid)
    with gw.client(upstream.vmid) as long:
        long.open("GET", "/long", FETCH, cookie=session).head()
        begin = time.monotonic()
        assert gw.request(upstream.vmid, "/", FETCH, cookie=session).status == 200
        assert 1 < time.monotonic() - begin < 3.5


@over_both
def test_tunnels_do_not_count_as_exchanges(gw):
    def both(connection):
        request = connection.read_head()
        if request.get("upgrade"):
            connection.send(rogue.switching(request))
            echoes_bytes(connection)
        else:
            connection.send(rogue.answer())

    upstream = gw.upstream(both)
    session = gw.launch(upstream.vmid)
    raws = [opened(gw.client(upstream.vmid), cookie=session) for _ in range(3)]
    assert gw.request(upstream.vmid, cookie=session).status == 200
    for raw in raws:
        raw.close()


def test_idle_upstream_connections_are_closed(gw, up, cookie):
    assert gw.request(up.vmid, cookie=cookie).status == 200
    wait_for(lambda: not [c for c in up.connections if c.sock.fileno() >= 0], 4)


# --- sources ---

def limited(make_gateway, **limits):
    return make_gateway(limits={"exempt": [], **limits})


def test_https_connects(make_gateway):
    gw = limited(make_gateway, https={"connects": "2/s", "burst": 5})
    opened_, refused = 0, 0
    for _ in range(15):
        try:
            with gw.raw(1101, source="127.9.0.1", timeout=3) as raw:
                raw.request(headers=FETCH)
                opened_ += 1
        except (OSError, Closed):
            refused += 1
    assert 5 <= opened_ <= 8 and refused, (opened_, refused)
    with gw.raw(1101, source="127.9.0.2") as raw:
        assert raw.request(headers=FETCH).status == 401, "another source is another bucket"
    counted(gw, "https.connects", by=refused)
    time.sleep(1.2)
    with gw.raw(1101, source="127.9.0.1") as raw:
        assert raw.request(headers=FETCH).status == 401, "the bucket fills again"


def test_https_connections(make_gateway):
    gw = limited(make_gateway, https={"connections": 4})
    raws = [gw.raw(1101, source="127.9.0.1") for _ in range(4)]
    with pytest.raises((OSError, Closed)):
        with gw.raw(1101, source="127.9.0.1", timeout=3) as raw:
            raw.request(headers=FETCH)
    with gw.raw(1101, source="127.9.0.2") as raw:
        assert raw.request(headers=FETCH).status == 401
    counted(gw, "https.connections")
    raws.pop().close()
    time.sleep(0.2)
    with gw.raw(1101, source="127.9.0.1") as raw:
        assert raw.request(headers=FETCH).status == 401
    for raw in raws:
        raw.close()


@over_both
def test_unauthenticated(make_gateway):
    gw = limited(make_gateway, https={"unauthenticated": "1/s", "unauthenticated_burst": 5})
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    with gw.client(upstream.vmid, source="127.9.0.1") as raw:
        answers = [raw.request(headers=FETCH) for _ in range(10)]
        assert [a.status for a in answers[:5]] == [401] * 5
        assert {a.status for a in answers[7:]} == {429}
        last = answers[-1]
        assert last.json()["error"] == "limited" and 1 <= int(last.one("retry-after")) <= 2
        page = raw.request(headers=NAVIGATION)
        assert page.status == 429 and page.one("content-type").startswith("text/html")
        assert raw.request(cookie=cookie).status == 200, "a session is never limited by it"
        for _ in range(20):
            assert raw.request(cookie=cookie).status == 200
    assert gw.request(upstream.vmid, headers=FETCH, source="127.9.0.2").status == 401
    counted(gw, "https.unauthenticated")
    time.sleep(1.3)
    assert gw.request(upstream.vmid, headers=FETCH, source="127.9.0.1").status == 401


@over_both
def test_launches_that_succeed_are_not_counted(make_gateway):
    gw = limited(make_gateway, https={"unauthenticated": "1/s", "unauthenticated_burst": 3})
    for _ in range(10):
        assert gw.redeem(1101, gw.token(1101), source="127.9.0.1").status == 303


@over_both
def test_who_is_sent_to_log_in_is_not_counted(make_gateway):
    """Many people behind one address, or one whose tabs all open again."""
    gw = make_gateway(limits={"exempt": [], "https": {"unauthenticated": "1/s", "unauthenticated_burst": 3}},
                      ide={"login_url": "https://portal.example/{vmid}"})
    for vmid in range(1101, 1121):
        assert gw.request(vmid, headers=NAVIGATION, source="127.9.0.1").status == 303
    assert {gw.request(1101, headers=FETCH, source="127.9.0.1").status for _ in range(8)} == {401, 429}


def test_sources_are_prefixes(make_gateway):
    gw = limited(make_gateway, source={"ipv4": 24}, https={"unauthenticated": "1/s", "unauthenticated_burst": 4})
    statuses = [gw.request(1101, headers=FETCH, source=f"127.9.0.{n}").status for n in range(1, 9)]
    assert statuses[:4] == [401] * 4 and 429 in statuses[4:]
    assert gw.request(1101, headers=FETCH, source="127.9.1.1").status == 401


def test_penalty_block(make_gateway):
    gw = limited(make_gateway, penalty={"score": 20, "half_life": "60s", "block": "2s"})
    keeps = gw.raw(1101, source="127.9.0.1")
    keeps.request(headers=FETCH)
    for n in range(8):  # malformed: 4 each
        try:
            with gw.raw(1101, source="127.9.0.1", timeout=3) as raw:
                raw.send(b"nonsense\r\n\r\n").answer()
        except (OSError, Closed):
            break
    else:
        pytest.fail("eight malformed requests and no block")
    assert n >= 4
    with pytest.raises((OSError, Closed)):
        with gw.raw(1101, source="127.9.0.1", timeout=3) as raw:
            raw.request(headers=FETCH)
    assert keeps.request(headers=FETCH).status == 401, "a block is for new connections only"
    with gw.raw(1101, source="127.9.0.2") as raw:
        assert raw.request(headers=FETCH).status == 401
    counted(gw, "penalty")
    time.sleep(2.3)
    with gw.raw(1101, source="127.9.0.1") as raw:
        assert raw.request(headers=FETCH).status == 401, "and it ends"
    keeps.close()


@over_both
def test_forged_signatures_are_penalised(make_gateway):
    gw = limited(make_gateway, penalty={"score": 20, "half_life": "60s", "block": "2s"})
    stranger = tokens.SigningKey("EdDSA", kid=gw.key.kid)
    with pytest.raises((OSError, Closed)):
        for _ in range(8):
            assert gw.redeem(1101, gw.token(1101, key=stranger), source="127.9.0.1", timeout=3).status == 403


FOREIGN = {"Sec-Fetch-Site": "cross-site", "Referer": "https://evil.example/"}
TOP = NAVIGATION | FOREIGN
CAUSED = {
    "image of a launch": ("GET", "/.zlh/launch?token={bad}", FOREIGN | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
    "image of the hosted link": ("GET", "/?token={bad}", FOREIGN | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
    "popup": ("GET", "/.zlh/launch?token={bad}", TOP),
    "popup of a sibling": ("GET", "/?token={bad}", NAVIGATION | {"Sec-Fetch-Site": "same-site"}),
    "frame": ("GET", "/?token={bad}", TOP | {"Sec-Fetch-Dest": "iframe"}),
    "form in a frame": ("POST", "/.zlh/launch", TOP | {"Sec-Fetch-Dest": "iframe"}),
    "form": ("POST", "/.zlh/launch", TOP | {"Origin": "https://evil.example"}),
    "form of an old browser": ("POST", "/.zlh/launch", {"Accept": "text/html", "Origin": "https://evil.example"}),
    "link of an old browser": ("GET", "/?token={bad}", {"Accept": "text/html", "Referer": "https://evil.example/"}),
    "image": ("GET", "/favicon.ico", FOREIGN | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
    "speculation": ("GET", "/", NAVIGATION | {"Sec-Purpose": "prefetch"}),
    "fetch": ("POST", "/", FOREIGN | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}),
    "long address": ("GET", "/" + "x" * 40_000, FOREIGN | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
}


@over_both
def test_what_another_site_causes_is_not_held_against_its_visitor(make_gateway):
    """Images, frames, forms and popups of any page are asked for from its visitor's address."""
    gw = limited(make_gateway, https={"unauthenticated": "1/s", "unauthenticated_burst": 3},
                 penalty={"score": 20, "half_life": "60s", "block": "60s"})
    stranger = tokens.SigningKey("EdDSA", kid=gw.key.kid)
    session = gw.launch(1101)
    for name, (method, target, headers) in CAUSED.items():
        bad = gw.token(1101, key=stranger)
        body = f"token={bad}".encode() if method == "POST" else None
        for cookie in (None, session) if target == "/favicon.ico" else (None,):
            for _ in range(7 if method == "POST" or "token" in target else 4):
                answer = gw.request(1101, target.replace("{bad}", bad), headers, method=method, body=body, cookie=cookie,
                                    source="127.9.0.1", timeout=3)
                assert answer.status in (401, 403, 431), (name, answer)
    for _ in range(7):
        with gw.client(1101, source="127.9.0.1", timeout=3) as raw:
            assert websocket.upgrade(raw, origin="https://evil.example").status in (401, 403)
    assert gw.request(1101, headers=FETCH, source="127.9.0.1", timeout=3).status == 401
    assert not gw.refused("penalty") and not gw.refused("https.unauthenticated")


@over_both
def test_launch_tokens_that_another_site_is_said_to_bring_are_bounded(make_gateway):
    """Who only claims to be such a browser meets a bound (500 at once, 100 a second), and no block."""
    gw = limited(make_gateway)
    stranger = tokens.SigningKey("EdDSA", kid=gw.key.kid)
    bad = gw.token(1101, key=stranger)
    with gw.client(1101, source="127.9.0.1", timeout=3) as raw:
        answers = [raw.request(target=f"/?token={bad}", headers=TOP)]
        while answers[-1].status == 403 and len(answers) < 5000:
            answers.append(raw.request(target=f"/?token={bad}", headers=TOP))
        assert len(answers) > 500 and answers[-1].status == 429 and answers[-1].one("retry-after") == "1"
        assert raw.request(headers={"X-ZLH-Token": bad} | FOREIGN).status == 429
        assert raw.request(headers=FETCH).status == 401
    assert gw.redeem(1101, gw.token(1101), source="127.9.0.1").status == 303
    counted(gw, "https.unauthenticated")
    assert gw.metric("zlh_edge_launches_total", result="limited") > 0
    assert not gw.refused("penalty")


def test_a_page_that_makes_a_browser_speak_turn_blocks_nobody(make_gateway):
    """`new RTCPeerConnection({iceServers: [{urls: "turns:…:443?transport=tcp"}]})` speaks to any host."""
    gw = limited(make_gateway)
    allocate = bytes.fromhex("000300082112a442") + bytes(range(12)) + bytes.fromhex("0019000411000000")
    for _ in range(8):
        with gw.raw(1101, source="127.9.0.1", timeout=3) as raw:
            assert raw.send(allocate).answer().status == 400
    assert gw.request(1101, headers=FETCH, source="127.9.0.1", timeout=3).status == 401


def test_an_address_too_long_to_unpack_blocks_nobody(make_gateway):
    """Over HTTP/2 nghttp2 gives the connection up; a page's image can have such an address."""
    gw = limited(make_gateway)
    for size in (100_000, 400_000) * 6:
        with Frames(gw, 1101, source="127.9.0.1", timeout=5) as client:
            with contextlib.suppress(OSError):
                client.raw(f.head_block(1, b"\x82\x87" + f.literal(b":authority", client.host.encode())
                                             + f.literal(b":path", b"/" + b"x" * size)))
            assert client.is_closed(5)
    assert gw.request(1101, headers=FETCH, source="127.9.0.1", timeout=3).status == 401
    assert not gw.refused("penalty")


def test_exempt(make_gateway):
    gw = make_gateway(limits={"exempt": ["127.9.0.0/24"], "https": {
        "unauthenticated": "1/s", "unauthenticated_burst": 2, "connects": "1/s", "burst": 2, "connections": 1}})
    for _ in range(10):
        assert gw.request(1101, headers=FETCH, source="127.9.0.7").status == 401


def test_bounded_source_table_overflows_into_one_bucket(make_gateway):
    gw = limited(make_gateway, source={"tracked": 64}, https={"unauthenticated": "1/s", "unauthenticated_burst": 3})
    statuses = [gw.request(1101, headers=FETCH, source=f"127.9.{n >> 7}.{n % 127 + 1}").status for n in range(200)]
    assert set(statuses) <= {401, 429}
    assert statuses[:60] == [401] * 60


# --- the whole process ---

def test_connections_cap_closes_oldest_idle_first(make_gateway):
    gw = make_gateway(limits={"connections": 16})
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    tunnel = opened(gw.raw(upstream.vmid), cookie=cookie)
    # Fifteen connections are one less than the limit.
    idle = []
    for _ in range(14):
        idle.append(gw.raw(1101))
        assert idle[-1].request(headers=FETCH).status == 401
        time.sleep(0.02)
    with gw.raw(1101, timeout=5) as raw:
        assert raw.request(headers=FETCH).status == 401
        assert not idle[0].is_closed(0.3), "the last place is taken without a victim"
    wait_for(lambda: gw.metric("zlh_edge_connections", listener="https") == 15)
    for _ in range(2):
        idle.append(gw.raw(1101, timeout=5))
        assert idle[-1].request(headers=FETCH).status == 401
    assert idle[0].is_closed(1), "the oldest keep-alive made room"
    tunnel.send(b"x")
    assert tunnel.read_exactly(1) == b"x"
    for raw in (*idle, tunnel):
        raw.close()
    counted(gw, "connections")


def idle_ones(gw, count: int) -> list:
    """Keep-alive connections, each of a source of its own, the oldest first."""
    idle = []
    for number in range(count):
        idle.append(gw.raw(1101, source=f"127.9.1.{number + 1}"))
        assert idle[-1].request(headers=FETCH).status == 401
        time.sleep(0.02)
    return idle


def test_the_oldest_idle_connection_of_the_process_makes_room(make_gateway):
    """Whichever loop the newcomer reaches."""
    gw = limited(make_gateway, connections=16)
    idle = idle_ones(gw, 16)
    # The second oldest was used since.
    assert idle[1].request(headers=FETCH).status == 401
    expected = [idle[0], *idle[2:], idle[1]]
    for turn in range(8):
        newcomer = gw.raw(1101, source=f"127.9.2.{turn + 1}", timeout=5)
        assert newcomer.request(headers=FETCH).status == 401
        assert expected[turn].is_closed(1), f"the oldest of the process, at newcomer {turn}"
        assert not expected[turn + 1].is_closed(0.05)
        idle.append(newcomer)
    for raw in idle:
        raw.close()


def test_handshakes_that_never_end_make_room(make_gateway):
    gw = limited(make_gateway, connections=16)
    silent = []
    for number in range(16):
        sock = socket.socket()
        sock.bind((f"127.9.1.{number + 1}", 0))
        sock.connect((gw.address, gw.port))
        silent.append(sock)
    time.sleep(1.2)
    begin = time.monotonic()
    for number in range(6):
        assert gw.request(1101, headers=FETCH, source=f"127.9.2.{number + 1}", timeout=5).status == 401
    assert time.monotonic() - begin < 3, "long before `tls.handshake`"
    for sock in silent:
        sock.close()


@pytest.mark.parametrize("length", [30_000, 10 << 20], ids=["small", "large"])
def test_bodies_that_were_refused_make_room(make_gateway, length):
    """Whether the connection is kept for when the little that is left has come, or only read to its end."""
    gw = limited(make_gateway, connections=16)
    refused = []
    for number in range(16):
        raw = gw.raw(1101, source=f"127.9.1.{number + 1}")
        raw.open("POST", length=length)
        raw.write(bytes(1000))
        assert raw.answer().status == 401
        refused.append(raw)
    begin = time.monotonic()
    while time.monotonic() - begin < 1.2:  # they still come
        for raw in refused:
            raw.write(bytes(100))
        time.sleep(0.1)
    for number in range(6):
        assert gw.request(1101, headers=FETCH, source=f"127.9.2.{number + 1}", timeout=1).status == 401
    for raw in refused:
        raw.close()
    counted(gw, "connections")


def test_a_place_given_back_is_taken_at_once_and_waiting_costs_nothing(make_gateway):
    gw = limited(make_gateway, connections=16)
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    wait_for(lambda: gw.metric("zlh_edge_connections", listener="https") == 0)
    tunnels = [opened(gw.raw(upstream.vmid, source=f"127.9.1.{number + 1}"), cookie=cookie) for number in range(16)]
    statuses = []
    newcomers = [threading.Thread(target=lambda n=number: statuses.append(
        gw.request(1101, headers=FETCH, source=f"127.9.2.{n + 1}", timeout=20).status)) for number in range(6)]
    for newcomer in newcomers:
        newcomer.start()
    time.sleep(0.3)
    cpu = gw.cpu()
    time.sleep(1)
    assert not statuses and gw.cpu() - cpu < 0.3, "accept waits instead of spinning"
    tunnels.pop().close()
    wait_for(lambda: len(statuses) == 6, 5, "one place to serve all in turn")
    assert statuses == [401] * 6
    for newcomer in newcomers:
        newcomer.join()
    for tunnel in tunnels:
        tunnel.close()
    counted(gw, "connections")


def test_a_newcomer_does_not_close_another_before_it_asked(make_gateway):
    """A place for one: it is out of its handshake and silent when the next one comes."""
    gw = limited(make_gateway, connections=16)
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    wait_for(lambda: gw.metric("zlh_edge_connections", listener="https") == 0)
    tunnels = [opened(gw.raw(upstream.vmid, source=f"127.9.1.{number + 1}"), cookie=cookie) for number in range(15)]
    first = gw.raw(1101, source="127.9.2.1")
    with socket.socket() as second:
        second.bind(("127.9.2.2", 0))
        second.connect((gw.address, gw.port))
        time.sleep(0.4)
        assert first.request(headers=FETCH).status == 401
    for raw in [first, *tunnels]:
        raw.close()


def test_one_source_never_takes_more_than_half_of_the_places(make_gateway):
    gw = limited(make_gateway, connections=16)
    held = [gw.raw(1101, source="127.9.0.1") for _ in range(8)]
    was = gw.refused("connections")
    with pytest.raises((OSError, Closed)):
        gw.raw(1101, source="127.9.0.1", timeout=3)
    assert gw.refused("connections") == was + 1
    assert gw.request(1101, headers=FETCH, source="127.9.0.2").status == 401
    # A reload moves the half.
    gw.write_config(limits={"connections": 20})
    gw.signal(1)
    gw.wait_log(lambda entry: entry["event"] == "config_loaded")
    held += [gw.raw(1101, source="127.9.0.1") for _ in range(2)]
    with pytest.raises((OSError, Closed)):
        gw.raw(1101, source="127.9.0.1", timeout=3)
    held.pop().close()
    wait_for(lambda: gw.metric("zlh_edge_connections", listener="https") == 9)
    held.append(gw.raw(1101, source="127.9.0.1"))
    for raw in held:
        raw.close()


def test_streams_of_one_source_leave_descriptors_to_others(make_gateway):
    """Each tunnel of an HTTP/2 connection has a descriptor of its own towards its container."""
    gw = make_gateway(start=False, limits={"exempt": []})
    gw.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)))
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    # 400 descriptors carry 72 connections.
    held = [Connection(gw, upstream.vmid, source="127.9.0.1") for _ in range(2)]
    statuses = [upgrade(connection, cookie=cookie).status for connection in held for _ in range(200)]
    assert statuses.count(200) == 36 and set(statuses) == {200, 503}
    assert gw.request(1101, headers=FETCH, source="127.9.0.2", timeout=3).status == 401
    with gw.raw(upstream.vmid, source="127.9.0.2") as other:
        assert upgrade(other, cookie=cookie).status == 101
    counted(gw, "connections")
    # What ends is given back.
    for connection in held:
        connection.close()
    wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == 0)
    with Connection(gw, upstream.vmid, source="127.9.0.1") as again:
        assert [upgrade(again, cookie=cookie).status for _ in range(37)] == [200] * 36 + [503]


def test_a_shortage_of_descriptors_never_spins_or_kills(make_gateway):
    gw = make_gateway(start=False, limits={"connections": 5000, "keep_alive": "60s"})
    gw.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150)))
    plain = []
    for _ in range(300):
        sock = socket.socket()
        sock.settimeout(2)
        sock.connect((gw.address, gw.port))
        plain.append(sock)
    time.sleep(0.5)
    cpu = gw.cpu()
    time.sleep(1)
    assert gw.cpu() - cpu < 0.3, "accept waits instead of spinning"
    assert gw.running()
    for sock in plain:
        sock.close()
    wait_for(lambda: gw.redeem(1101, gw.token(1101), timeout=3).status == 303, 8)


def test_memory_budget_sheds_bodies_before_it_dies(make_gateway):
    """A small budget: many half-read answers must not take the process beyond it."""
    gw = make_gateway(limits={"memory": "64m", "response_stall": "5m"})

    upstream = gw.upstream(rogue.pours_without_end)
    cookie = gw.launch(upstream.vmid)
    raws = []
    for _ in range(60):
        try:
            raw = gw.raw(upstream.vmid, receive_buffer=4096, timeout=3)
            raw.send(head(raw, f"Cookie: __Host-zlh_s={cookie}"))
            raws.append(raw)
        except OSError:
            break
    time.sleep(1)
    assert gw.rss() < 160 << 20
    for raw in raws:
        raw.close()
    wait_for(lambda: gw.redeem(1101, gw.token(1101), timeout=3).status == 303, 8)


def test_an_upload_goes_on_when_memory_is_no_longer_short(make_gateway):
    gw = make_gateway(limits={"memory": "32m", "upstream": {"per_vmid": 1000}})

    upstream, taker = gw.upstream(rogue.pours_without_end), gw.upstream(rogue.counts_bytes)
    cookie, other = gw.launch(upstream.vmid), gw.launch(taker.vmid)
    with gw.raw(taker.vmid) as raw:
        raw.send(head(raw, f"Cookie: __Host-zlh_s={other}", "Content-Length: 3000", start="POST / HTTP/1.1"))
        raw.send(bytes(1000))
        taker.wait_requests(1)
        readers = []
        while not any(entry["event"] == "memory" for entry in gw.log):
            reader = gw.raw(upstream.vmid, receive_buffer=4096)
            reader.send(head(reader, f"Cookie: __Host-zlh_s={cookie}"))
            readers.append(reader)
            time.sleep(0.02)
            assert len(readers) < 400, "no shortage"
        raw.send(bytes(1000))
        time.sleep(0.5)
        raw.send(bytes(1000))
        for reader in readers:
            reader.close()
        answer = raw.answer()
        assert answer.status == 200 and answer.body.startswith(b"3000 ")


def test_every_reason_is_printed_from_the_start(gw):
    reasons = {dict(labels)["reason"] for (name, labels) in gw.metrics() if name == "zlh_edge_refused_total"}
    assert not [reason for reason in REASONS if not any(r == reason or r.startswith(reason + ".") for r in reasons)], \
        sorted(reasons)
