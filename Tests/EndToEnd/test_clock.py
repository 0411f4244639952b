"""A wall clock that jumps opens no second session, ends none for good, and shuts nobody out."""

import shutil
import time

import pytest

from harness.clock import WallClock
from harness.gateway import FETCH, session_cookie
from harness.upstreams import echoes_bytes, replies, upgrades_and
from harness.websocket import opened

HOUR = 3600
pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


@pytest.fixture
def clock(tmp_path):
    return WallClock(tmp_path)


@pytest.fixture
def stepped(make_gateway, clock):
    """A gateway with a wall clock of its own."""
    def make(**how):
        return make_gateway(environment=clock.environment, **how)
    return make


def use(gw, vmid: int, answer):
    """Shows the cookie, so that the launch counts as arrived."""
    assert gw.request(vmid, "/.zlh/session", FETCH, cookie=session_cookie(answer)).status == 200


def spent(gw, vmid: int = 1101, **claims) -> str:
    token = gw.token(vmid, **claims)
    answer = gw.redeem(vmid, token)
    assert answer.status == 303
    use(gw, vmid, answer)
    return token


@pytest.mark.parametrize("ahead", [120, 3 * HOUR, -120])
def test_a_clock_that_was_off_for_a_moment_opens_no_second_session(stepped, clock, ahead):
    gw = stepped()
    token = spent(gw)
    with clock.ahead(ahead, lasting=2.3):
        pass
    assert gw.redeem(1101, token).status == 403
    assert gw.request(1101, "/", {"X-ZLH-Token": token}).status == 401
    assert gw.redeem(1101, gw.token(1101)).status == 303, "and nobody is shut out"


def test_a_restart_while_the_clock_is_ahead_opens_no_second_session(stepped, clock):
    gw = stepped()
    token = spent(gw)
    gw.stop()
    with clock.ahead(120, lasting=0):
        gw.start()
        time.sleep(1.3)
        assert gw.redeem(1101, token).status == 403
    assert gw.redeem(1101, token).status == 403
    gw.restart()
    assert gw.redeem(1101, token).status == 403


def test_what_was_spent_under_a_clock_that_was_ahead_stays_spent(stepped, clock):
    gw = stepped()
    with clock.ahead(20):
        token = spent(gw, iat=int(time.time()) + 20, exp=int(time.time()) + 80)
    assert gw.redeem(1101, token).status == 403


@pytest.mark.parametrize("ahead", [3 * HOUR, 13 * HOUR, -3 * HOUR])
def test_a_clock_that_was_off_for_a_moment_ends_no_session(stepped, clock, ahead):
    gw = stepped()
    upstream = gw.upstream(replies())
    cookie, busy = gw.launch(upstream.vmid), gw.launch(upstream.vmid, "bob")
    with gw.raw(upstream.vmid) as held:
        assert held.request("GET", "/", FETCH, cookie=busy).status == 200
        with clock.ahead(ahead, lasting=2.3):
            answer = held.request("GET", "/", FETCH, cookie=busy)
            assert answer.status == (401 if ahead > 12 * HOUR else 200)
            assert "__Host-zlh_s" not in answer.cookies, "the browser keeps the cookie"
        assert held.request("GET", "/", FETCH, cookie=busy).status == 200
    assert gw.request(upstream.vmid, "/", FETCH, cookie=cookie).status == 200
    gw.restart()
    assert gw.request(upstream.vmid, "/", FETCH, cookie=cookie).status == 200
    assert gw.request(upstream.vmid, "/", FETCH, cookie=busy).status == 200


def test_a_clock_that_was_off_for_a_moment_ends_no_tunnel(stepped, clock):
    gw = stepped()
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    with opened(gw.raw(upstream.vmid), cookie=gw.launch(upstream.vmid)) as tunnel:
        for ahead in [3 * HOUR, -3 * HOUR]:
            with clock.ahead(ahead, lasting=1.3):
                pass
            tunnel.send(b"ping")
            assert tunnel.read_exactly(4) == b"ping"


def test_a_clock_that_was_days_ahead_for_a_moment_takes_no_session_key(stepped, clock):
    gw = stepped()
    cookie = gw.launch(1101)
    with clock.ahead(30 * 24 * HOUR, lasting=2.3):
        pass
    gw.restart()
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200


def test_a_logout_is_remembered_by_a_start_whose_clock_is_ahead(stepped, clock):
    gw = stepped()
    cookie = gw.launch(1101)
    assert gw.request(1101, "/.zlh/logout", method="POST", body=b"", cookie=cookie).status == 204
    gw.stop()
    with clock.ahead(13 * HOUR, lasting=0):
        gw.start()
        time.sleep(1.3)
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 401


def test_a_state_that_was_begun_under_a_clock_ahead_refuses_no_launch(stepped, clock):
    gw = stepped(start=False)
    with clock.ahead(3 * HOUR, lasting=0):
        gw.start()
    time.sleep(1.2)
    assert gw.redeem(1101, gw.token(1101)).status == 303, "in the same process"
    waiting = gw.token(1101)
    time.sleep(1.1)
    gw.restart()
    assert gw.redeem(1101, waiting).status == 303, "and no restart refuses what came before it"


def test_a_start_after_one_whose_clock_was_ahead_refuses_no_launch(stepped, clock):
    gw = stepped(start=False)
    with clock.ahead(3 * HOUR, lasting=0):
        gw.start()
        gw.stop()
    gw.start()
    assert gw.redeem(1101, gw.token(1101)).status == 303


def test_a_session_begun_under_a_clock_behind_ends_by_the_right_one(stepped, clock):
    """`sabs` is a moment that was agreed on with others, not a duration."""
    gw = stepped()
    now = int(time.time())
    with clock.ahead(-20, lasting=0):
        cookie = gw.launch(1101, sabs=now + 3)
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200
    time.sleep(4)
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 401


def test_idle_time_goes_on_whatever_the_clock_does(stepped, clock):
    gw = stepped(ide={"session": {"absolute": "1h", "idle": "3s"}})
    cookie = gw.launch(1101)
    with clock.ahead(-600, lasting=4.5):
        time.sleep(4.5)
        assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 401
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 401
