"""Two processes on one `state`, as during an upgrade or with a standby, are one gateway to their users."""

import json
import time

import pytest

from harness import over_both
from harness.gateway import FETCH, session_cookie, wait_for
from harness.upstreams import echoes_bytes, pages, replies, streams_events, upgrades_and
from harness.websocket import opened, read_close

SOON = 1.5  # one second, and what a busy machine adds


@pytest.fixture
def pair(make_gateway):
    """Two gateways on one state, with the same keys, routes and containers."""
    def make(**config):
        first = make_gateway(**config)
        second = make_gateway(start=False, keys=first.keys, **config)
        second.routes = first.routes
        second.write_config(state=str(first.directory / "state"))
        second.save_routes()
        return first, second.start()
    return make


def logout(gw, vmid: int, cookie: str):
    assert gw.request(vmid, "/.zlh/logout", method="POST", body=b"", cookie=cookie).status == 204


def status(gw, vmid: int, cookie: str) -> int:
    return gw.request(vmid, "/.zlh/session", FETCH, cookie=cookie).status


@over_both
def test_a_logout_at_one_ends_the_session_at_the_other(pair):
    first, second = pair()
    upstream = first.upstream(replies())
    cookie = first.launch(upstream.vmid)
    with second.client(upstream.vmid) as held:
        assert held.request("GET", "/", FETCH, cookie=cookie).status == 200
        logout(first, upstream.vmid, cookie)
        time.sleep(SOON)
        assert held.request("GET", "/", FETCH, cookie=cookie).status == 401, "on a connection that knew the cookie"
    assert status(second, upstream.vmid, cookie) == 401


@over_both
def test_a_logout_at_one_closes_the_others_websockets_with_1008(pair):
    first, second = pair()
    upstream = first.upstream(upgrades_and(echoes_bytes))
    cookie, other = first.launch(upstream.vmid), first.launch(upstream.vmid, "bob")
    with opened(second.client(upstream.vmid), cookie=cookie) as tunnel, \
            opened(second.client(upstream.vmid), cookie=other) as bystander:
        begin = time.monotonic()
        logout(first, upstream.vmid, cookie)
        assert read_close(tunnel.timeout(3)) == 1008
        assert time.monotonic() - begin < SOON
        bystander.send(b"still here")
        assert bystander.read_exactly(10) == b"still here"


@over_both
def test_a_logout_at_one_ends_the_others_streams(pair, http):
    first, second = pair()
    upstream = first.upstream(streams_events)
    cookie = first.launch(upstream.vmid)
    since = len(second.log)
    with second.client(upstream.vmid, timeout=5) as client:
        client.open("GET", "/", FETCH, cookie=cookie)
        wait_for(lambda: upstream.requests, what="the stream to begin")
        time.sleep(0.3)
        logout(first, upstream.vmid, cookie)
        line = second.wait_log(lambda entry: entry.get("vmid") == upstream.vmid and entry.get("path") == "/", SOON, since)
        assert line["reason"] == "logged_out"


def test_a_revocation_at_one_ends_the_session_at_the_other(pair):
    """Each watches its own copy of the routes; an ended session is told of by `state` as well."""
    first, second = pair()
    upstream = first.upstream(upgrades_and(echoes_bytes))
    cookie = first.launch(upstream.vmid, sid="sid-gone")
    assert status(first, upstream.vmid, cookie) == 200
    with opened(second.raw(upstream.vmid), cookie=cookie) as tunnel:
        first.write_routes(lambda routes: routes.update(revoked=[{"session": "sid-gone"}]))
        assert read_close(tunnel.timeout(3)) == 1008
    assert status(second, upstream.vmid, cookie) == 401


def test_a_token_spent_at_one_is_spent_at_the_other(pair):
    first, second = pair()
    token = first.token(1101)
    answer = first.redeem(1101, token)
    assert answer.status == 303
    assert status(first, 1101, session_cookie(answer)) == 200
    assert second.redeem(1101, token).status == 403
    other = second.token(1101)
    assert second.redeem(1101, other).status == 303
    time.sleep(SOON)
    assert first.request(1101, "/", {"X-ZLH-Token": other}).status == 401


def test_what_is_idle_at_one_and_busy_at_the_other_goes_on_at_both(pair):
    first, second = pair(ide={"session": {"absolute": "1h", "idle": "4s"}})
    upstream = first.upstream(pages({"/": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}))
    cookie = first.launch(upstream.vmid)
    with first.raw(upstream.vmid) as held:
        assert held.request("GET", "/", FETCH, cookie=cookie).status == 200
        end = time.monotonic() + 9
        while time.monotonic() < end:
            assert second.request(upstream.vmid, "/", FETCH, cookie=cookie).status == 200
            time.sleep(0.5)
        assert held.request("GET", "/", FETCH, cookie=cookie).status == 200
    second.restart()
    assert second.request(upstream.vmid, "/", FETCH, cookie=cookie).status == 200


def test_a_tunnel_that_is_silent_at_one_lives_by_the_others_traffic(pair):
    first, second = pair(ide={"session": {"absolute": "1h", "idle": "4s"}})
    upstream = first.upstream(upgrades_and(echoes_bytes))
    cookie = first.launch(upstream.vmid)
    with opened(first.raw(upstream.vmid), cookie=cookie) as silent, \
            opened(second.raw(upstream.vmid), cookie=cookie) as busy:
        end = time.monotonic() + 9
        while time.monotonic() < end:
            busy.send(b"x")
            assert busy.read_exactly(1) == b"x"
            time.sleep(0.5)
        silent.send(b"x")
        assert silent.read_exactly(1) == b"x"


def test_what_is_idle_at_both_ends_at_both_and_stays_ended(pair):
    first, second = pair(ide={"session": {"absolute": "1h", "idle": "3s"}})
    cookie = first.launch(1101)
    assert status(second, 1101, cookie) == 200
    time.sleep(5)
    assert status(first, 1101, cookie) == 401
    assert status(second, 1101, cookie) == 401
    first.restart()
    assert status(first, 1101, cookie) == 401, "nor does a restart bring it back"


def test_a_session_key_made_by_one_opens_cookies_at_the_other(pair):
    """Rotation as the gateway does it, brought forward by an old ring."""
    first, second = pair()
    ring = first.directory / "state" / "session-keys.json"
    keys = json.loads(ring.read_text())
    old = first.launch(1101)
    keys["keys"][-1]["created"] -= 25 * 3600
    part = ring.with_name("ring.tmp")
    part.write_text(json.dumps(keys))
    part.chmod(0o600)
    part.rename(ring)
    wait_for(lambda: len(json.loads(ring.read_text())["keys"]) == 2, 5, "the rotation")
    kinds = set()
    end = time.monotonic() + 6
    while time.monotonic() < end:
        for one, other in [(first, second), (second, first)]:
            cookie = one.launch(1101)
            kinds.add(cookie.split(".")[1])
            assert status(other, 1101, cookie) == 200
            assert status(other, 1101, old) == 200
        time.sleep(0.2)
    assert len(kinds) == 2, "the new key seals in the end"


@over_both
def test_a_session_used_at_the_other_is_used(pair):
    """The second click may get the cookie again only while nobody has used it."""
    first, second = pair()
    token = first.token(1101)
    answer = first.redeem(1101, token)
    upstream = first.upstream(vmid=1101)
    assert second.request(1101, "/", FETCH, cookie=session_cookie(answer)).status == 200
    time.sleep(SOON + 0.5)
    assert first.redeem(1101, token).status == 403
    assert upstream.requests
