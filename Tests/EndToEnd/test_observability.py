"""Metrics, logs, health."""

import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from harness import over_both, websocket
from harness.gateway import FETCH, NAVIGATION, parse_metrics, wait_for
from harness.raw import Raw
from harness.upstreams import answer as reply
from harness.upstreams import echoes_bytes, replies, upgrades_and

GATEWAY = {}

NAMES = [
    "requests_total", "request_seconds_bucket", "request_seconds_sum", "request_seconds_count",
    "upstream_seconds_bucket", "connections", "tunnels", "bytes_total", "tls_handshakes_total", "launches_total",
    "sessions", "refused_total", "route_conflicts", "routes", "routes_generation", "reloads_total",
    "certificate_expiry_seconds", "certificate_lifetime_seconds", "loop_lag_seconds",
]
ERRORS = ["bad_request", "misdirected", "limited", "too_large", "timeout", "unauthorized", "forbidden", "no_such_ide",
          "route_conflict", "unreachable", "bad_gateway", "upstream_timeout", "not_found", "method_not_allowed"]


def test_every_name_is_there_from_the_start(make_gateway):
    gw = make_gateway()
    _, text = gw.plain("/metrics")
    names = {name for name, _ in parse_metrics(text)}
    # A counter by method and code has no sample before the first request, but says what it is.
    declared = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    missing = [name for name in NAMES if f"zlh_edge_{name}" not in names | declared]
    assert not missing, sorted(names)
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
            "process_start_time_seconds"} <= names
    for name in {re.sub(r"_(bucket|sum|count)$", "", n) for n in names}:
        assert f"# TYPE {name} " in text or f"# TYPE {name}" in text, name
        assert f"# HELP {name} " in text, name
    reasons = {dict(labels)["reason"] for (name, labels) in gw.metrics() if name == "zlh_edge_refused_total"}
    assert set(ERRORS) <= reasons, set(ERRORS) - reasons
    assert all(value == 0 for (name, _), value in gw.metrics().items() if name == "zlh_edge_refused_total")


@over_both
def test_requests_are_counted_with_bounded_labels(gw, http):
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    before = gw.metric("zlh_edge_requests_total", method="GET", code="200", protocol=http)
    odd = gw.metric("zlh_edge_requests_total", method="other", protocol=http)
    for _ in range(3):
        assert gw.request(upstream.vmid, cookie=cookie).status == 200
    gw.request(upstream.vmid, method="BREW", cookie=cookie)
    gw.request(upstream.vmid, method="get", cookie=cookie)
    wait_for(lambda: gw.metric("zlh_edge_requests_total", method="GET", code="200", protocol=http) == before + 3)
    wait_for(lambda: gw.metric("zlh_edge_requests_total", method="other", protocol=http) == odd + 2)
    everything = "\n".join(f"{name}{sorted(labels)}" for name, labels in gw.metrics())
    for secret in (str(upstream.vmid), "alice", gw.host(upstream.vmid), "127.0.0.1"):
        assert secret not in everything.replace(f"127.0.0.1:{gw.port}", ""), secret


@over_both
@pytest.mark.parametrize("method, logged", [
    ("GET", "GET"), ("PROPFIND", "PROPFIND"), ("get", "get"), ("x-odd!", "x-odd!"), ("M" * 100, "M" * 32),
])
def test_the_log_says_the_method_as_it_was_sent(gw, method, logged):
    upstream = gw.upstream(replies())
    for cookie in (gw.launch(upstream.vmid), None):
        answer = gw.request(upstream.vmid, method=method, cookie=cookie)
        assert gw.access(answer.one("x-request-id"))["method"] == logged


@over_both
def test_gauges_and_launches(gw):
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    launches = gw.metric("zlh_edge_launches_total")
    cookie = gw.launch(upstream.vmid)
    assert gw.metric("zlh_edge_launches_total") == launches + 1
    wait_for(lambda: gw.metric("zlh_edge_sessions") >= 1)
    before = gw.metric("zlh_edge_tunnels", kind="websocket")
    with gw.client(upstream.vmid) as raw:
        websocket.opened(raw, cookie=cookie)
        wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == before + 1)
        assert gw.metric("zlh_edge_connections", listener="https") >= 1
    wait_for(lambda: gw.metric("zlh_edge_tunnels", kind="websocket") == before)
    assert gw.metric("zlh_edge_routes", kind="ide") == len(gw.routes["ide"])


@over_both
def test_bytes_are_counted(gw):
    upstream = gw.upstream(replies(reply(b"x" * 500_000)))
    cookie = gw.launch(upstream.vmid)
    before = gw.metric("zlh_edge_bytes_total", listener="https")
    gw.request(upstream.vmid, method="POST", body=b"y" * 300_000, cookie=cookie)
    wait_for(lambda: gw.metric("zlh_edge_bytes_total", listener="https") - before > 800_000)


@over_both
def test_access_line(gw, http):
    upstream = gw.upstream(replies(reply(b"x" * 1000, "201 Created")))
    cookie = gw.launch(upstream.vmid, "dora")
    answer = gw.request(upstream.vmid, "/path/a%20b?secret=query", method="POST", body=b"y" * 500, cookie=cookie)
    entry = gw.access(answer.one("x-request-id"))
    assert {"ts", "level", "event", "request_id", "client", "vmid", "user", "method", "host", "path", "status",
            "bytes_in", "bytes_out", "ms", "upstream_ms", "protocol", "reason"} - entry.keys() <= {"reason"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["ts"])
    assert (entry["vmid"], entry["user"], entry["method"], entry["status"]) == (upstream.vmid, "dora", "POST", 201)
    assert entry["path"] == "/path/a%20b" and entry["host"] == gw.host(upstream.vmid)
    assert entry["client"].startswith("127.0.0.1") and entry["protocol"] == http
    assert entry["bytes_in"] >= 500 and entry["bytes_out"] >= 1000
    assert 0 <= entry["ms"] < 5000


@over_both
def test_access_line_of_a_refusal_says_why(gw):
    for headers, host, reason in [(FETCH, None, "unauthorized"), (FETCH, "other.example", "misdirected")]:
        answer = gw.request(1101, "/x?y", headers, host=host)
        entry = gw.access(answer.one("x-request-id"))
        assert entry["reason"] == reason and entry["status"] == answer.status


@over_both
def test_a_tunnel_logs_open_and_close(gw, http):
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    since, before = len(gw.log), gw.metric("zlh_edge_requests_total", method="GET", code="101", protocol=http)
    with gw.client(upstream.vmid) as raw:
        tunnel = websocket.opened(raw, cookie=cookie)
        tunnel.send(b"x" * 1000)
        tunnel.read_exactly(1000)
    lines = []

    def both():
        lines[:] = [e for e in gw.log[since:] if "tunnel" in e["event"] and e.get("vmid") == upstream.vmid]
        return len(lines) >= 2

    wait_for(both, 3, "two tunnel lines")
    opens, close = lines[0], lines[-1]
    assert opens["method"] == close["method"] == "GET", "whichever protocol brought it"
    if http == "h2":
        assert opens["protocol"] == close["protocol"] == "h2"
    wait_for(lambda: gw.metric("zlh_edge_requests_total", method="GET", code="101", protocol=http) > before, 3)
    assert close["bytes_in"] >= 1000 and close["bytes_out"] >= 1000 and close.get("reason")


@over_both
def test_no_secret_is_ever_logged(gw):
    """Tokens, cookies and queries of everything above and of some attacks, against every line so far."""
    upstream = gw.upstream(replies())
    token = gw.token(upstream.vmid)
    answer = gw.redeem(upstream.vmid, token, "/somewhere?private=next")
    cookie = answer.cookies["__Host-zlh_s"].split(";")[0].split("=", 1)[1]
    gw.request(upstream.vmid, "/?token=" + gw.token(upstream.vmid), NAVIGATION)
    gw.request(upstream.vmid, "/p?private=query", {"Authorization": "Bearer private-bearer"}, cookie=cookie)
    gw.request(upstream.vmid, "/", {"X-ZLH-Token": token})
    gw.redeem(upstream.vmid, "private." + token)
    with Raw(gw, upstream.vmid) as raw:
        raw.send(b"GET /p?private=query HTTP/1.1\r\nCookie: private\r\nbroken\r\n\r\n").answer()
    time.sleep(0.3)
    everything = "\n".join(gw.raw_log)
    signature = token.rsplit(".", 1)[1]
    for secret in (token, signature, token.split(".")[1], cookie, cookie.split(".")[-1], "private"):
        assert secret not in everything, secret[:40]


@pytest.mark.parametrize("data", [
    b"GET /\"},{\"event\":\"forged\"} HTTP/1.1", b"GET /a\\u0000\\n HTTP/1.1", b"G\x1b[31mT / HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1", b"GET /\xe2\x80\xa8 HTTP/1.1", b"GET / HTTP/1.1\r\nHost: a\"b\xff\x1b"])
def test_client_bytes_are_escaped(gw, data):
    since = len(gw.raw_log)
    with gw.raw(1101) as raw:
        raw.send(data + b"\r\nHost: dev-1101.zlh.localhost\r\n\r\n").answer()
    time.sleep(0.1)
    assert not gw.malformed
    assert not [line for line in gw.raw_log[since:] if any(ord(c) < 32 or c in "\x7f\u2028" for c in line)]
    assert not [entry for entry in gw.log if entry["event"] == "forged"]


def test_a_flood_of_one_reason_is_summarised(make_gateway):
    gw = make_gateway(log={"access": False})
    for _ in range(200):
        with gw.raw(1101) as raw:
            raw.send(b"nonsense\r\n\r\n").answer()
    time.sleep(0.5)
    assert len(gw.log) < 100
    assert gw.metric("zlh_edge_refused_total", reason="bad_request") >= 200


def test_health(gw):
    assert gw.plain("/healthz")[0] == 200
    assert gw.plain("/readyz")[0] == 200
    assert gw.plain("/other")[0] == 404
    with socket.create_connection(("127.0.0.1", gw.metrics_port), timeout=3) as plain:
        plain.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert plain.recv(100)[9:12] in (b"404", b"405", b"400")


def test_a_stuck_metrics_client_hurts_nobody(gw):
    held = [socket.create_connection(("127.0.0.1", gw.metrics_port)) for _ in range(20)]
    for sock in held:
        sock.sendall(b"GET /met")
    assert gw.request(1101, headers=FETCH).status == 401
    assert gw.plain("/healthz")[0] == 200
    for sock in held:
        sock.close()


def test_a_stuck_stdout_blocks_nothing(make_gateway):
    gw = make_gateway(start=False)
    reader, writer = os.pipe()
    gw.start(stdout=writer)
    os.close(writer)
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    slowest = 0.0
    with gw.raw(upstream.vmid) as raw:
        for _ in range(3000):  # a pipe holds 64 KiB, far less than these lines
            begin = time.monotonic()
            assert raw.request(cookie=cookie).status == 200
            slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 0.5
    assert any("dropped" in name for name, _ in gw.metrics()), "lost lines are counted"
    text = []
    drain = threading.Thread(target=lambda: text.append(_read_all(reader)))
    drain.start()
    gw.stop()
    drain.join(5)
    for line in text[0].decode().splitlines():
        json.loads(line)


def _read_all(descriptor: int) -> bytes:
    parts = []
    while data := os.read(descriptor, 65536):
        parts.append(data)
    os.close(descriptor)
    return b"".join(parts)


def test_a_closed_stdout_does_not_kill(make_gateway):
    gw = make_gateway(start=False)
    reader, writer = os.pipe()
    gw.start(stdout=writer)
    os.close(writer)
    os.close(reader)
    for _ in range(50):
        assert gw.request(1101, headers=FETCH).status == 401
    gw.stop()


def test_access_lines_can_be_off(make_gateway):
    gw = make_gateway(log={"access": False})
    since = len(gw.log)
    gw.request(1101, headers=FETCH)
    time.sleep(0.3)
    assert not [entry for entry in gw.log[since:] if "status" in entry]


def test_scrapes_are_valid_prometheus(gw):
    promtool = subprocess.run(["which", "promtool"], capture_output=True)
    _, text = gw.plain("/metrics")
    parse_metrics(text)
    buckets = [(labels, value) for (name, labels), value in parse_metrics(text).items()
               if name == "zlh_edge_request_seconds_bucket"]
    groups: dict = {}
    for labels, value in buckets:
        fields = dict(labels)
        groups.setdefault(frozenset((k, v) for k, v in fields.items() if k != "le"), []).append(
            (float(fields["le"].replace("+Inf", "inf")), value))
    for series in groups.values():
        counts = [value for _, value in sorted(series)]
        assert counts == sorted(counts) and max(series)[0] == float("inf")
    if promtool.returncode == 0:
        assert subprocess.run(["promtool", "check", "metrics"], input=text.encode()).returncode == 0
