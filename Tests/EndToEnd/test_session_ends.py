"""How a session ended is said as it was: to the login page, to a WebSocket and in the log."""

import time

import pytest

from harness import over_both
from harness.gateway import FETCH, NAVIGATION
from harness.upstreams import echoes_bytes, streams_events, upgrades_and
from harness.websocket import opened, read_frame

IDLE_S = 3
GATEWAY = {"ide": {"login_url": "https://portal.example/s/{vmid}?why={reason}",
                   "session": {"absolute": "1h", "idle": f"{IDLE_S}s"}}}


def log_out(gw, vmid: int, cookie: str, sid: str):
    assert gw.request(vmid, "/.zlh/logout", method="POST", body=b"", cookie=cookie).status == 204


def revoke(gw, vmid: int, cookie: str, sid: str):
    gw.write_routes(lambda routes: routes.setdefault("revoked", []).append({"session": sid}))


def wait_for_the_end(gw, vmid: int, cookie: str, sid: str):
    time.sleep(2.2)


def stay_away(gw, vmid: int, cookie: str, sid: str):
    time.sleep(IDLE_S + 1.5)


# How it ends: what does it, claims, {reason} of the login page, reason of the close frame, reason in the log.
ENDS = {
    "logged out": (log_out, {}, "none", "logged out", "logged_out"),
    "revoked": (revoke, {}, "revoked", "session revoked", "revoked"),
    "expired": (wait_for_the_end, {"lasts": 2}, "expired", "session expired", "expired"),
    "idle": (stay_away, {}, "expired", "session idle", "idle"),
}
every_end = pytest.mark.parametrize("end", ENDS)


def launched(gw, vmid: int, end: str, http: str) -> tuple[str, str]:
    sid = f"{end}-{http}-{vmid}"
    lasts = ENDS[end][1].get("lasts")
    claims = {"sabs": int(time.time()) + lasts} if lasts else {}
    return gw.launch(vmid, sid=sid, **claims), sid


@over_both
@every_end
def test_the_login_page_is_told_why(gw, http, end):
    vmid = gw.claim_vmid()
    cookie, sid = launched(gw, vmid, end, http)
    ENDS[end][0](gw, vmid, cookie, sid)
    answer = gw.request(vmid, "/", NAVIGATION, cookie=cookie)
    assert (answer.status, answer.one("location")) == (303, f"https://portal.example/s/{vmid}?why={ENDS[end][2]}")


@over_both
@every_end
def test_a_websocket_is_told_why_and_so_is_the_log(gw, http, end):
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie, sid = launched(gw, upstream.vmid, end, http)
    since = len(gw.log)
    with opened(gw.client(upstream.vmid), cookie=cookie) as tunnel:
        ENDS[end][0](gw, upstream.vmid, cookie, sid)
        opcode, payload = read_frame(tunnel.timeout(5))
        assert (opcode, payload) == (8, (1008).to_bytes(2, "big") + ENDS[end][3].encode())
        line = gw.wait_log(lambda entry: entry["event"] == "tunnel_close" and entry["vmid"] == upstream.vmid, 3, since)
        assert line["reason"] == ENDS[end][4]


@over_both
@pytest.mark.parametrize("end", [end for end in ENDS if end != "idle"])
def test_a_stream_that_is_cut_says_why_in_the_log(gw, http, end):
    upstream = gw.upstream(streams_events)
    cookie, sid = launched(gw, upstream.vmid, end, http)
    since = len(gw.log)
    with gw.client(upstream.vmid) as client:
        client.open("GET", "/events", FETCH, cookie=cookie)
        time.sleep(0.3)
        ENDS[end][0](gw, upstream.vmid, cookie, sid)
        line = gw.wait_log(lambda entry: entry.get("path") == "/events" and entry["vmid"] == upstream.vmid, 3, since)
        assert line["reason"] == ENDS[end][4]
