"""What survives a restart, and what goes on when the control plane is gone."""

import base64
import contextlib
import os
import resource
import shutil
import stat
import subprocess
import time

import pytest

from harness.gateway import BINARY, FETCH, run, wait_for
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


def test_a_damaged_line_of_the_ended_sessions_is_no_way_back(make_gateway):
    gw = make_gateway()
    cookie = gw.launch(1101)
    assert gw.request(1101, "/.zlh/logout", method="POST", body=b"", cookie=cookie).status == 204
    gw.stop()
    path = gw.directory / "state" / "ended-sessions"
    head, line = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + b"\0" * (len(line) - 1) + b"\n")
    start_later(gw)
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 401
    gw.wait_log(lambda entry: entry["event"] == "state_damaged" and entry["file"] == "ended-sessions")
    new = gw.launch(1101)
    gw.restart()
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=new).status == 200


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


# --- what cannot be recorded ---

@contextlib.contextmanager
def full_disk(gw, tmp_path):
    """`state` on a small disk without a free byte; yields what makes room again."""
    small = gw.directory / "state"
    small.mkdir(mode=0o700, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", small], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount: " + mounted.stderr.decode())
    ballast = small / "ballast"

    def fill():
        with open(ballast, "ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x")

    try:
        yield fill, ballast.unlink
    finally:
        try:
            if gw.process:
                gw.stop()
        finally:
            subprocess.run(["umount", "-l", small], check=True)


def failed(gw) -> float:
    return gw.metric("zlh_edge_state_failed")


def use_up(gw, attempts: int = 400) -> str:
    """Launches until one cannot be recorded; that one's token."""
    for _ in range(attempts):
        token = gw.token(1101)
        assert gw.redeem(1101, token).status == 303
        if failed(gw):
            return token
        time.sleep(0.01)
    raise AssertionError("everything was recorded")


def state_lines(gw, event: str, what: str, since: int) -> list[dict]:
    return [entry for entry in gw.log[since:] if entry["event"] == event and entry["what"] == what]


def test_on_a_full_disk_launches_go_on_and_it_is_said_once(make_gateway, tmp_path):
    gw = make_gateway(start=False)
    with full_disk(gw, tmp_path) as (fill, free):
        gw.start()
        assert failed(gw) == 0, "printed from the start"
        since = len(gw.log)
        fill()
        # A page of the file may be free still.
        tokens = [use_up(gw)]
        line = gw.wait_log(lambda entry: entry["event"] == "state_failed" and entry["what"] == "spent_tokens", 2, since)
        assert line["level"] == "error" and "No space left" in line["message"]
        for _ in range(20):
            tokens.append(gw.token(1101))
            assert gw.redeem(1101, tokens[-1]).status == 303
        time.sleep(3)
        assert len(state_lines(gw, "state_failed", "spent_tokens", since)) == 1
        gw.stop()
        fill()
        start_later(gw)
        assert failed(gw) == 1, "still full, and it starts all the same"
        assert {gw.redeem(1101, token).status for token in tokens} == {403}
        assert gw.redeem(1101, gw.token(1101)).status == 303
        since = len(gw.log)
        free()
        gw.wait_log(lambda entry: entry["event"] == "state_recovered" and entry["what"] == "spent_tokens", 3, since)
        wait_for(lambda: failed(gw) == 0, 10, "the routes to be kept too")


def test_what_was_spent_on_a_full_disk_is_recorded_once_there_is_room(make_gateway, tmp_path):
    gw = make_gateway(start=False)
    with full_disk(gw, tmp_path) as (fill, free):
        gw.start()
        fill()
        token, waiting = use_up(gw), gw.token(1101)
        free()
        wait_for(lambda: failed(gw) == 0, 3)
        time.sleep(1.1)
        gw.restart()
        assert gw.redeem(1101, token).status == 403
        assert gw.redeem(1101, waiting).status == 303, "nothing was lost, so nothing else is refused"


def test_a_file_that_may_not_grow_is_like_a_full_disk(make_gateway):
    """`ulimit -f`, whose signal would end the program."""
    gw = make_gateway(start=False, routes=2)
    gw.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)))
    token = use_up(gw)
    gw.stop()
    start_later(gw)
    assert gw.redeem(1101, token).status == 403


def test_room_that_comes_back_under_a_file_that_might_not_grow(make_gateway):
    gw = make_gateway(start=False, routes=2)
    gw.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)))
    token, waiting = use_up(gw), gw.token(1101)
    resource.prlimit(gw.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for(lambda: failed(gw) == 0, 3)
    gw.stop()
    start_later(gw)
    assert gw.redeem(1101, token).status == 403
    assert gw.redeem(1101, waiting).status == 303


def test_a_key_that_cannot_be_kept_stops_neither_a_start_nor_a_session(make_gateway, tmp_path):
    gw = make_gateway(start=False)
    with full_disk(gw, tmp_path) as (fill, free):
        gw.start()
        cookie = gw.launch(1101)
        gw.stop()
        ring = gw.directory / "state" / "session-keys.json"
        text = ring.read_text().replace('"created":17', '"created":16')
        with open(ring, "r+") as file:
            file.write(text)
        fill()
        gw.start()
        assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200
        gw.wait_log(lambda entry: entry["event"] == "state_failed" and entry["what"] == "key_ring", 3)
        free()
        gw.wait_log(lambda entry: entry["event"] == "key_ring_rotated", 3)
        gw.restart()
        assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200


def test_a_first_start_on_a_full_disk_serves(make_gateway, tmp_path):
    gw = make_gateway(start=False)
    with full_disk(gw, tmp_path) as (fill, free):
        fill()
        gw.start()
        assert failed(gw) == 1
        cookie, token = gw.launch(1101), gw.token(1101)
        assert gw.redeem(1101, token).status == 303
        free()
        wait_for(lambda: failed(gw) == 0, 10)
        gw.restart()
        assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200
        assert gw.redeem(1101, token).status == 403


def test_tokens_that_a_dead_process_could_not_record_are_refused_by_the_next(make_gateway, tmp_path):
    """The other process lives on, and writes a record that lacks them."""
    first = make_gateway(start=False)
    with full_disk(first, tmp_path) as (fill, free):
        first.start()
        second = make_gateway(start=False, keys=first.keys)
        second.write_config(state=str(first.directory / "state"))
        second.start()
        fill()
        token = use_up(first)
        first.kill()
        time.sleep(1.5)
        free()
        wait_for(lambda: failed(second) == 0, 10)
        time.sleep(1.1)
        second.restart()
        assert second.redeem(1101, token).status == 403
        assert second.redeem(1101, second.token(1101)).status == 303
        second.stop()


def log_out_until_unrecorded(gw) -> str:
    """The cookie of a session whose logout cannot have been recorded: the rest of a page holds less than 100."""
    cookies = [gw.launch(1101) for _ in range(100)]
    for cookie in cookies:
        assert gw.request(1101, "/.zlh/logout", method="POST", body=b"", cookie=cookie).status == 204
    assert failed(gw) == 1
    return cookies[-1]


def session_status(gw, cookie: str) -> int:
    return gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status


@pytest.mark.parametrize("full", [False, True], ids=["room", "still full"])
def test_a_logout_that_could_not_be_recorded_holds_after_a_restart(make_gateway, tmp_path, full):
    """The next start cannot tell which sessions ended, so it takes none from before it."""
    gw = make_gateway(start=False)
    with full_disk(gw, tmp_path) as (fill, free):
        gw.start()
        alive = gw.launch(1101)
        fill()
        ended = log_out_until_unrecorded(gw)
        assert [session_status(gw, cookie) for cookie in (alive, ended)] == [200, 401]
        waiting = gw.token(1101)
        gw.kill()
        if not full:
            free()
        start_later(gw)
        assert [session_status(gw, cookie) for cookie in (alive, ended)] == [401, 401]
        assert gw.redeem(1101, waiting).status == 403
        new = gw.launch(1101)
        assert session_status(gw, new) == 200
        if full:
            free()
        wait_for(lambda: failed(gw) == 0, 10)
        gw.restart()
        assert session_status(gw, new) == 200
        assert session_status(gw, ended) == 401


def test_a_logout_on_a_full_disk_is_recorded_once_there_is_room(make_gateway, tmp_path):
    gw = make_gateway(start=False)
    with full_disk(gw, tmp_path) as (fill, free):
        gw.start()
        alive = gw.launch(1101)
        fill()
        ended = log_out_until_unrecorded(gw)
        free()
        wait_for(lambda: failed(gw) == 0, 10)
        gw.stop()
        start_later(gw)
        assert [session_status(gw, cookie) for cookie in (alive, ended)] == [200, 401], "nobody else is logged out"


def test_a_logout_that_a_dead_process_could_not_record_holds(make_gateway, tmp_path):
    """The other process lives on, and writes a record that lacks it."""
    first = make_gateway(start=False)
    with full_disk(first, tmp_path) as (fill, free):
        first.start()
        second = make_gateway(start=False, keys=first.keys)
        second.write_config(state=str(first.directory / "state"))
        second.start()
        fill()
        ended = log_out_until_unrecorded(first)
        first.kill()
        time.sleep(1.5)
        free()
        wait_for(lambda: failed(second) == 0, 10)
        time.sleep(1.1)
        second.restart()
        assert session_status(second, ended) == 401
        assert session_status(second, second.launch(1101)) == 200
        second.stop()


def test_routes_that_cannot_be_kept_for_a_later_start_are_said(make_gateway, tmp_path):
    gw = make_gateway(start=False)
    with full_disk(gw, tmp_path) as (fill, free):
        gw.start()
        fill()
        gw.write_routes(lambda routes: routes["ide"].pop(1140))
        gw.wait_log(lambda entry: entry["event"] == "state_failed" and entry["what"] == "last_good_routes", 3)
        assert failed(gw) == 1
        free()
        gw.wait_log(lambda entry: entry["event"] == "state_recovered" and entry["what"] == "last_good_routes", 15)
        assert '"1139"' in (kept := (gw.directory / "state" / "routes.last-good.json").read_text())
        assert '"1140"' not in kept


def test_a_state_that_is_removed_under_it_is_said_and_made_whole_again(make_gateway):
    gw = make_gateway()
    cookie, token = gw.launch(1101), gw.token(1101)
    gw.request(1101, "/.zlh/logout", method="POST", body=b"", cookie=gw.launch(1101))
    assert gw.redeem(1101, token).status == 303
    state = gw.directory / "state"
    shutil.rmtree(state)
    for what in ["spent_tokens", "sessions", "revocations", "key_ring"]:
        gw.wait_log(lambda entry: entry["event"] == "state_failed" and entry["what"] == what, 3)
    assert failed(gw) == 1
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200
    assert gw.redeem(1101, gw.token(1101)).status == 303
    state.mkdir(mode=0o700)
    wait_for(lambda: failed(gw) == 0, 4)
    gw.restart()
    assert gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).status == 200, "the keys were put back"
    assert gw.redeem(1101, token).status == 403


# --- descriptors that the parent closed ---

@pytest.mark.parametrize("closed", [(0, 1, 2), (0,), (1,), (2,), (1, 2), (0, 2)], ids=str)
def test_closed_standard_descriptors_are_no_files_of_state(make_gateway, closed):
    gw = make_gateway(start=False)
    gw.start(ready=False, preexec=lambda: [os.close(descriptor) for descriptor in closed])
    gw.wait_ready()
    for descriptor in closed:
        assert os.readlink(f"/proc/{gw.process.pid}/fd/{descriptor}") == "/dev/null"
    assert gw.redeem(1101, gw.token(1101)).status == 303
    for path in (gw.directory / "state").iterdir():
        assert b'"event"' not in path.read_bytes(), path
    gw.restart()


@pytest.mark.parametrize("arguments", [["--help"], ["token", "inspect", "a.b.c"], ["check", "--config", "missing"]])
def test_a_command_with_closed_descriptors_ends_as_usual(arguments):
    def ended(**how):
        return subprocess.run([str(BINARY), *arguments], timeout=20, **how).returncode

    usual = ended(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert ended(preexec_fn=lambda: [os.close(descriptor) for descriptor in (0, 1, 2)]) == usual


@pytest.mark.parametrize("moment", [-(1 << 63), (1 << 63) - 1])
def test_a_damaged_record_of_a_session_s_use_ends_nothing(make_gateway, moment):
    """Whatever time it names, before a start and while the gateway runs."""
    gw = make_gateway()
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    assert gw.request(upstream.vmid, cookie=cookie).status == 200
    gw.stop()
    path = gw.directory / "state" / "session-activity"
    header, *records = path.read_text().splitlines()
    value = base64.urlsafe_b64encode(str(moment).encode()).decode().rstrip("=")
    damaged = [" ".join([*record.split(" ")[:2], value]) for record in records]
    assert damaged
    path.write_text("\n".join([header, *damaged, ""]))
    gw.start()
    assert gw.request(upstream.vmid, cookie=cookie).status in (200, 401)
    with open(path, "a") as file:
        file.write("\n".join([*damaged, ""]))
    time.sleep(0.6)
    assert gw.request(upstream.vmid).status == 401
