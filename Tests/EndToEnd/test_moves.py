"""What changes while a request is on its way. Nothing goes to an address that is another vmid's by then, nor
from a session that has ended."""

import itertools
import threading
import time

import pytest

from harness import over_both
from harness import upstreams as rogue
from harness.gateway import FETCH, NAVIGATION, wait_for
from harness.raw import Closed
from harness.upstreams import Blackhole, answer, echoes_bytes, replies, upgrades_and
from harness.websocket import asked, close_frame, frame, opened, read_close

@pytest.fixture(autouse=True)
def nobody_stays_revoked(gw):
    yield
    if gw.routes.pop("revoked", None):
        gw.write_routes()


GATEWAY = {"limits": {"upstream": {"connect": "4s", "response": "8s", "per_vmid": 1}}}


def reroute(gw, change):
    """Changes the routes and waits until that very change is in force: a file may be read twice."""
    since = len(gw.log)
    gw.write_routes(change, wait=False)
    line = gw.wait_log(lambda e: e.get("ok") and e["added"] + e["changed"] + e["removed"] > 0, 5, since)
    wait_for(lambda: gw.generation() >= line["generation"])


_spare = itertools.count(1)


def spare_address() -> str:
    """An address that no route has."""
    return f"127.250.1.{next(_spare)}"


def give_away(gw, vmid: int) -> int:
    """A reload: the vmid moves, and a vmid that is new has the address from now on. That vmid."""
    other = max(gw.routes["ide"]) + 1

    def change(routes):
        former = routes["ide"][vmid]["address"]
        routes["ide"][vmid]["address"] = spare_address()
        routes["ide"][other] = {"address": former, "port": 6000, "generation": "new"}

    reroute(gw, change)
    return other


def only_moves(gw, vmid: int):
    reroute(gw, lambda routes: routes["ide"][vmid].update(address=spare_address()))


def is_removed(gw, vmid: int):
    reroute(gw, lambda routes: routes["ide"].pop(vmid))


def is_made_again(gw, vmid: int):
    reroute(gw, lambda routes: routes["ide"][vmid].update(generation="again"))


def is_claimed_twice(gw, vmid: int):
    other = max(gw.routes["ide"]) + 1
    reroute(gw, lambda routes: routes["ide"].update({other: dict(routes["ide"][vmid])}))


def is_revoked(gw, vmid: int, **rule):
    def change(routes):
        routes["revoked"] = [rule or {"vmid": vmid}]
        routes["ide"][max(routes["ide"]) + 1] = {"address": spare_address(), "generation": "seen"}

    reroute(gw, change)


CHANGES = [
    (give_away, 503, "unreachable"), (only_moves, 503, "unreachable"), (is_removed, 503, "no_such_ide"),
    (is_made_again, 401, "unauthorized"), (is_claimed_twice, 503, "route_conflict"),
    (is_revoked, 401, "unauthorized"),
]
changes = pytest.mark.parametrize("change, status, error", CHANGES, ids=[change.__name__ for change, _, _ in CHANGES])


def refused(got, status: int, error: str):
    assert (got.status, got.json()["error"]) == (status, error), got
    assert (got.all("retry-after") == ["2"]) == (status == 503), got


def queued(gw, container):
    """A client whose request waits for the only place, which another's has until `go`. The vmid must be the test's."""
    cookie = gw.launch(container.vmid)
    first = gw.client(container.vmid)
    first_stream = first.open("GET", "/first", FETCH, cookie=cookie)
    container.wait_requests(1)
    second = gw.client(container.vmid)
    stream = second.open("GET", "/second", FETCH, cookie=cookie)
    time.sleep(0.15)
    assert len(container.requests) == 1
    return first_stream, stream


# --- before anything was sent ---

@over_both
@changes
def test_a_queued_request_is_looked_at_again(gw, change, status, error):
    go = threading.Event()
    container = gw.upstream(rogue.holds(go))
    first, second = queued(gw, container)
    change(gw, container.vmid)
    go.set()
    refused(second.answer(), status, error)
    time.sleep(0.1)
    assert len(container.requests) == 1, "the second never went there"


@over_both
@pytest.mark.parametrize("what, change, status, error", [
    *(("request", *CHANGES[n]) for n in (0, 2, 3)), ("websocket", *CHANGES[0]), ("websocket", *CHANGES[3])])
def test_a_connect_under_way_is_looked_at_again(gw, what, change, status, error):
    vmid = gw.claim_vmid()
    cookie = gw.launch(vmid)
    hole = Blackhole(gw.routes["ide"][vmid]["address"], 6000)
    try:
        with gw.client(vmid) as client:
            begin = time.monotonic()
            if what == "request":
                stream = client.open("POST", "/secret", FETCH, cookie=cookie, length=6)
                stream.write(b"secret")
                threading.Timer(0.2, change, (gw, vmid)).start()
                refused(stream.answer(), status, error)
            else:
                threading.Timer(0.2, change, (gw, vmid)).start()
                refused(asked(client, cookie=cookie).opening, status, error)
            assert time.monotonic() - begin < 3, "it does not wait for the connect"
        # Whoever has the address now lets all in, and hears nothing.
        hole.listener.settimeout(0.3)
        heard = b""
        for _ in range(6):
            try:
                peer, _ = hole.listener.accept()
            except TimeoutError:
                break
            peer.setblocking(False)
            try:
                heard += peer.recv(1000)
            except BlockingIOError:
                pass
            peer.close()
        assert heard == b""
    finally:
        hole.close()


@over_both
def test_a_retry_is_looked_at_again(gw):
    go = threading.Event()

    def closes_second(connection):
        connection.read()
        connection.send(answer(b"%d" % connection.number))
        if connection.number == 1 and connection.read():
            go.wait(10)
        # Closed: the request is sent again, if it may be.

    container = gw.upstream(closes_second)
    cookie = gw.launch(container.vmid)
    with gw.client(container.vmid) as client:
        assert client.request(cookie=cookie).body == b"1"
        stream = client.open("GET", "/", FETCH, cookie=cookie)
        container.wait_requests(2)
        only_moves(gw, container.vmid)
        go.set()
        refused(stream.answer(), 503, "unreachable")
    assert len(container.connections) == 1


@over_both
def test_a_pooled_connection_of_a_former_owner_is_not_used(gw):
    """The container that was there keeps its connection open; the vmid that has the address now gets a new one."""
    container = gw.upstream(replies(lambda request: answer(request.get("x-forwarded-host").encode())))
    cookie = gw.launch(container.vmid)
    for _ in range(3):
        gw.request(container.vmid, cookie=cookie)
    was = len(container.connections)
    other = give_away(gw, container.vmid)
    wait_for(lambda: all(c.sock.fileno() < 0 for c in container.connections), 3)
    assert gw.request(other, cookie=gw.launch(other)).body.decode().startswith(f"dev-{other}.")
    assert len(container.connections) == was + 1
    refused(gw.request(container.vmid, "/", FETCH, cookie=cookie), 503, "unreachable")


@over_both
@pytest.mark.parametrize("how", ["logout", "expired", "spent", "revoked token"])
def test_a_session_that_ends_while_its_request_waits(gw, how):
    go = threading.Event()
    container = gw.upstream(rogue.holds(go))
    vmid = container.vmid
    blocker = gw.client(vmid)
    blocker.open("GET", "/first", FETCH, cookie=gw.launch(vmid, "other"))
    container.wait_requests(1)
    end = int(time.time()) + 2
    token = gw.token(vmid, "dora", **({"sabs": end} if how == "expired" else {}))
    with gw.client(vmid) as client:
        if how == "logout":
            cookie = gw.launch(vmid, "dora")
            stream = client.open("GET", "/second", FETCH, cookie=cookie)
            time.sleep(0.15)
            assert gw.request(vmid, "/.zlh/logout", FETCH, method="POST", body=b"", cookie=cookie).status == 204
        else:
            stream = client.open("GET", "/second", {**FETCH, "X-ZLH-Token": token})
            time.sleep(0.15)
            if how == "spent":
                assert gw.redeem(vmid, token).status == 303
            elif how == "revoked token":
                is_revoked(gw, vmid, user="dora")
            else:
                time.sleep(max(0, end - time.time()) + 0.2)
        go.set()
        refused(stream.answer(), 401, "unauthorized")
    assert [request.target for request in container.requests] == ["/first"]
    blocker.close()


# --- under way ---

@over_both
@pytest.mark.parametrize("change, goes_on", [
    (give_away, False), (is_made_again, False), (is_claimed_twice, False), (only_moves, True), (is_removed, True)])
def test_an_upload_stops_where_another_may_read_it(gw, change, goes_on):
    """What merely moved may complete what it has begun; an address that is another's gets not a byte more."""
    container = gw.upstream(replies(lambda request: answer(request.body)))
    cookie = gw.launch(container.vmid)
    with gw.client(container.vmid) as client:
        stream = client.open("PUT", "/", FETCH, cookie=cookie, length=11)
        stream.write(b"first")
        wait_for(lambda: container.connections and b"first" in container.connections[0].received)
        change(gw, container.vmid)
        if goes_on:
            stream.write(b"second")
            stream.finish()
            assert stream.answer().body == b"firstsecond"
        else:
            got = stream.answer()
            assert got.status in (401, 503), got
            wait_for(lambda: container.connections[0].sock.fileno() < 0, 3)
            assert container.connections[0].received.endswith(b"first")


@over_both
@pytest.mark.parametrize("change, goes_on", [
    (give_away, False), (is_made_again, False), (is_claimed_twice, False), (only_moves, True), (is_removed, True)])
def test_an_answer_is_cut_where_it_may_be_anothers(gw, change, goes_on):
    go = threading.Event()

    def halves(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst")
        go.wait(10)
        connection.send(b"second")

    container = gw.upstream(halves)
    cookie = gw.launch(container.vmid)
    with gw.client(container.vmid) as client:
        stream = client.open("GET", "/", cookie=cookie)
        request_id = stream.head().one("x-request-id")
        assert stream.read_until(b"first")
        change(gw, container.vmid)
        time.sleep(0.1)
        go.set()
        if goes_on:
            assert stream.read_exactly(6) == b"second"
        else:
            with pytest.raises(Closed):
                stream.read_exactly(6)
            assert gw.access(request_id)["reason"] == "route_changed"


@over_both
def test_a_tunnel_that_is_being_closed_sends_nothing_more(gw):
    """The container is inside a frame, so that the close frame waits a second; the client's bytes do not go on meanwhile."""
    def half_a_frame(connection):
        connection.send(frame(2, b"x" * 100)[:50])
        connection.wait_closed(5)

    container = gw.upstream(upgrades_and(half_a_frame))
    tunnel = opened(gw.client(container.vmid), cookie=gw.launch(container.vmid))
    assert tunnel.read_exactly(50)
    tunnel.send(b"before")
    wait_for(lambda: container.connections[0].received.endswith(b"before"))
    give_away(gw, container.vmid)
    time.sleep(0.1)
    for _ in range(5):
        tunnel.send(b"after")
        time.sleep(0.05)
    wait_for(lambda: container.connections[0].sock.fileno() < 0, 3)
    assert b"after" not in container.connections[0].received
    tunnel.close()


# --- sessions that no registry knows ---

@over_both
@pytest.mark.parametrize("how", ["token", "cookie"])
def test_an_endless_answer_ends_with_its_session(gw, how):
    def ticks(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            connection.send(b"data: x\n\n")
            time.sleep(0.1)

    container = gw.upstream(ticks)
    end = int(time.time()) + 2
    with gw.client(container.vmid) as client:
        if how == "token":
            stream = client.open("GET", "/", {"X-ZLH-Token": gw.token(container.vmid, sabs=end)})
        else:
            stream = client.open("GET", "/", cookie=gw.launch(container.vmid, sabs=end))
        request_id = stream.head().one("x-request-id")
        with pytest.raises(Closed):
            stream.skip(1 << 20)
        assert end - 0.5 < time.time() < end + 2
    assert gw.access(request_id)["reason"] == "expired"
    wait_for(lambda: container.connections[0].sock.fileno() < 0, 3)


@over_both
def test_an_upload_ends_with_its_session(gw):
    container = gw.upstream(replies())
    end = int(time.time()) + 2
    with gw.client(container.vmid) as client:
        stream = client.open("PUT", "/", {**FETCH, "X-ZLH-Token": gw.token(container.vmid, sabs=end)}, length=1000)
        stream.write(b"x")
        refused(stream.answer(), 401, "unauthorized")
        assert end - 0.5 < time.time() < end + 2


@over_both
def test_a_revoked_token_ends_what_it_authorised(gw):
    container = gw.upstream(rogue.pours_without_end)
    with gw.client(container.vmid) as client:
        stream = client.open("GET", "/", {"X-ZLH-Token": gw.token(container.vmid, "mallory")})
        stream.head()
        is_revoked(gw, container.vmid, user="mallory")
        begin = time.monotonic()
        with pytest.raises(Closed):
            stream.skip(1 << 40)
        assert time.monotonic() - begin < 2


@over_both
def test_a_stalled_tunnel_of_a_token_ends_with_its_session(gw):
    """Its client takes nothing, so that another deadline is watched than the session's."""
    def floods(connection):
        connection.send(frame(2, bytes(60000)) * 400)
        connection.wait_closed(10)

    container = gw.upstream(upgrades_and(floods))
    end = int(time.time()) + 2
    token = {"X-ZLH-Token": gw.token(container.vmid, sabs=end)}
    client = gw.client(container.vmid, receive_buffer=4096)
    opened(client, headers=token, origin=None)
    wait_for(lambda: container.connections[0].sock.fileno() < 0, 6)
    assert time.time() > end - 0.5
    client.close()
