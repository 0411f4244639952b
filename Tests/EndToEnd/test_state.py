"""CONTRACT §1, §5: what survives a restart, and what goes on when the control plane is gone."""

import stat
import time

from harness.gateway import FETCH, run
from harness.upstreams import replies


def test_a_restart_logs_nobody_out(make_gateway):
    gw = make_gateway()
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    gw.restart()
    assert gw.request(upstream.vmid, cookie=cookie).status == 200


def test_a_restart_after_kill_logs_nobody_out(make_gateway):
    gw = make_gateway()
    cookie = gw.launch(1101)
    token = gw.token(1101)
    assert gw.redeem(1101, token).status == 303
    gw.kill()
    gw.start()
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 200
    assert gw.redeem(1101, token).status == 403, "nor does a crash forget what is spent"


def test_spent_tokens_survive_a_restart(make_gateway):
    gw = make_gateway()
    token = gw.token(1101)
    assert gw.redeem(1101, token).status == 303
    gw.restart()
    assert gw.redeem(1101, token).status == 403
    assert gw.redeem(1101, gw.token(1101)).status == 303


def test_unspent_tokens_from_before_a_restart_still_work(make_gateway):
    gw = make_gateway()
    token = gw.token(1101)
    time.sleep(1.1)
    gw.restart()
    assert gw.redeem(1101, token).status == 303


def spent(gw):
    """A token that was redeemed before the gateway stopped, and the file that remembers it."""
    token = gw.token(1101)
    assert gw.redeem(1101, token).status == 303
    gw.stop()
    (path,) = [path for path in (gw.directory / "state").rglob("*") if "spent" in path.name]
    return token, path


def start_later(gw):
    """In another second than the one in which tokens were issued before."""
    time.sleep(1.1)
    gw.start()


def test_without_the_spent_file_older_tokens_are_refused(make_gateway):
    gw = make_gateway()
    _, path = spent(gw)
    before = gw.token(1101, iat=int(time.time()) - 3)
    path.unlink()
    start_later(gw)
    assert gw.redeem(1101, before).status == 403
    assert gw.redeem(1101, gw.token(1101)).status == 303


def test_a_broken_spent_file_is_no_way_to_replay(make_gateway):
    """It names the file and what to do about it; once moved away it is missing, as above."""
    gw = make_gateway()
    token, path = spent(gw)
    path.write_bytes(b"\xff" * 100)
    refused = run("run", config=gw.config_file)
    assert refused.returncode == 78 and path.name in refused.stderr and "move it away" in refused.stderr, refused
    path.rename(path.with_name("elsewhere"))
    start_later(gw)
    assert gw.redeem(1101, token).status == 403


def test_a_damaged_line_of_the_spent_file_is_no_way_to_replay(make_gateway):
    gw = make_gateway()
    token, path = spent(gw)
    head, *lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1
    path.write_bytes(head + b"\0" * (len(lines[0]) - 1) + b"\n")
    start_later(gw)
    assert gw.redeem(1101, token).status == 403
    assert gw.redeem(1101, gw.token(1101)).status == 303


def test_logged_out_sessions_stay_out_after_a_restart(make_gateway):
    gw = make_gateway()
    cookie = gw.launch(1101)
    assert gw.request(1101, "/.zlh/logout", method="POST", body=b"", cookie=cookie).status == 204
    gw.restart()
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 401


def test_revoked_sessions_stay_out_after_a_restart(make_gateway):
    gw = make_gateway()
    cookie = gw.launch(1101, sid="sid-gone")
    gw.write_routes(lambda routes: routes.update(revoked=[{"session": "sid-gone"}]), wait=False)
    time.sleep(0.5)
    gw.restart()
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 401


def test_without_the_control_plane_sessions_go_on(make_gateway):
    """The API gone is: nobody touches any file, and no new tokens come. Even files that vanish change nothing."""
    gw = make_gateway()
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    gw.keys_file.unlink()
    gw.routes_file.unlink()
    time.sleep(0.5)
    for _ in range(5):
        assert gw.request(upstream.vmid, cookie=cookie).status == 200
    assert gw.plain("/readyz")[0] == 200


def test_state_is_private(make_gateway):
    gw = make_gateway()
    gw.redeem(1101, gw.token(1101))
    state = gw.directory / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for path in state.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_standby_with_the_same_ring_takes_the_same_cookies(make_gateway):
    first = make_gateway()
    cookie = first.launch(1101)
    second = make_gateway(start=False)
    import shutil

    shutil.copytree(first.directory / "state", second.directory / "state", ignore=shutil.ignore_patterns("*.sock"))
    (second.directory / "state").chmod(0o700)
    second.start()
    assert second.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200


def test_another_gateways_cookie_is_nothing(make_gateway):
    first, second = make_gateway(), make_gateway()
    assert second.request(1101, "/.zlh/session", FETCH, cookie=first.launch(1101)).status == 401
