"""Reloads that drop nothing, files that are refused, certificates that change under way."""

import json
import os
import shutil
import signal
import ssl
import threading
import time
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from harness import over_both, tokens
from harness.gateway import DOMAIN, FETCH, wait_for
from harness.upstreams import echoes_bytes, replies, upgrades_and
from harness.websocket import opened, read_close


def refused_line(gw, file: str, line: int | None, since: int) -> dict:
    """The log line of a refused file; it names `file:line` either so or in two fields."""

    def match(entry):
        text = json.dumps(entry)
        return file in text and entry["level"] in ("warn", "warning", "error") and (
            line is None or f"{file}:{line}" in text or entry.get("line") == line)

    return gw.wait_log(match, 5, since)


def served_serial(gw) -> int:
    with gw.raw(1101) as raw:
        return x509.load_der_x509_certificate(raw.sock.getpeercert(binary_form=True)).serial_number


def replace(path: Path, data: bytes | str):
    part = path.with_name(path.name + ".new")
    part.write_bytes(data if isinstance(data, bytes) else data.encode())
    os.replace(part, path)


# --- routes ---

@pytest.mark.timeout(150)
def test_200_reloads_under_load_lose_nothing(make_gateway):
    gw = make_gateway(log={"access": False})
    upstream = gw.upstream(replies())
    sockets = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    tunnels = [opened(gw.raw(sockets.vmid), cookie=gw.launch(sockets.vmid)) for _ in range(10)]
    stop, failures, done = threading.Event(), [], [0]

    def load():
        try:
            while not stop.is_set():
                with gw.raw(upstream.vmid) as raw:
                    for _ in range(50):
                        answer = raw.request(cookie=cookie)
                        if answer.status != 200:
                            failures.append(answer)
                        done[0] += 1
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=load) for _ in range(2)]
    for worker in workers:
        worker.start()
    begin = time.monotonic()
    for n in range(200):
        gw.write_routes(lambda routes: routes["ide"][1130].update(generation=f"n{n}"))
        tunnels[n % 10].send(b"x")
        assert tunnels[n % 10].read_exactly(1) == b"x"
        assert not failures, failures[:1]
        assert time.monotonic() - begin < 120
    stop.set()
    for worker in workers:
        worker.join()
    assert not failures and done[0] > 500
    assert gw.metric("zlh_edge_reloads_total", result="ok") >= 200
    for raw in tunnels:
        raw.send(b"y")
        assert raw.read_exactly(1) == b"y"
        raw.close()


def routes_text(*entries: str, more: str = "") -> str:
    return "ide:\n" + "".join(f"  {entry}\n" for entry in entries) + more


GOOD = "1101: { address: 127.60.0.1, generation: a }"

# The file, the line that is to blame, and a word of the reason, so that each is refused for its own.
BAD_ROUTES = {
    "no YAML": ("ide:\n  1101: { address: [\n", None, "YAML"),
    "unknown key": (routes_text(GOOD, "1102: { address: 127.60.0.2, generatoin: b }"), 3, "generation"),
    "no generation": (routes_text(GOOD, "1102: { address: 127.60.0.2 }"), 3, "generation"),
    "unknown section": (routes_text(GOOD, more="idee: {}\n"), 3, "ide"),
    "neither section": ("revoked: []\n", None, "ide"),
    "empty": ("", None, "empty"),
    "host name": (routes_text("1101: { address: example.com, generation: a }"), 2, "example.com"),
    "outside upstreams": (routes_text(GOOD, "1102: { address: 10.0.0.1, generation: a }"), 3, "upstreams"),
    "mapped address outside": (routes_text("1101: { address: '::ffff:10.0.0.1', generation: a }"), 2, "upstreams"),
    "agent port": (routes_text("1101: { address: 127.60.0.1, port: 18888, generation: a }"), 2, "agent"),
    "port 0": (routes_text("1101: { address: 127.60.0.1, port: 0, generation: a }"), 2, "port"),
    "port too high": (routes_text("1101: { address: 127.60.0.1, port: 70000, generation: a }"), 2, "port"),
    "own listener": (routes_text("1101: { address: 127.0.0.1, port: %PORT%, generation: a }"), 2, "listen"),
    "vmid outside": (routes_text("1000000000: { address: 127.60.0.1, generation: a }"), 2, "vmids"),
    "vmid text": (routes_text("abc: { address: 127.60.0.1, generation: a }"), 2, "vmid"),
    "vmid twice": (routes_text(GOOD, GOOD), 3, "twice"),
    "list instead of map": ("ide:\n  - 1101\n", None, "list"),
    "octal-looking address": (routes_text("1101: { address: 0127.60.0.1, generation: a }"), 2, "0127.60.0.1"),
    "not UTF-8": (b"ide:\n  1101: { address: 127.60.0.1, generation: \xff }\n", None, "UTF-8"),
}


@pytest.fixture(scope="module")
def gw(tmp_path_factory, authority):
    from harness.gateway import Gateway

    # Twelve routes: below the twenty that `reload_removes` guards.
    gateway = Gateway(tmp_path_factory.mktemp("reload"), authority, routes=12).start()
    yield gateway
    gateway.close()


@pytest.mark.parametrize("name", BAD_ROUTES)
def test_a_bad_file_is_refused_with_its_line_and_the_old_one_goes_on(gw, name):
    text, line, word = BAD_ROUTES[name]
    text = text.replace("%PORT%", str(gw.port)) if isinstance(text, str) else text
    cookie = gw.launch(1101)
    before, since = gw.generation(), len(gw.log)
    failed = gw.metric("zlh_edge_reloads_total") - gw.metric("zlh_edge_reloads_total", result="ok")
    replace(gw.routes_file, text)
    assert word in refused_line(gw, "routes.yaml", line, since)["message"]
    assert gw.generation() == before
    assert gw.metric("zlh_edge_reloads_total") - gw.metric("zlh_edge_reloads_total", result="ok") == failed + 1
    assert gw.request(1101, headers=FETCH, cookie=cookie).json()["error"] == "unreachable", "the old route serves"
    gw.save_routes()


def test_a_file_that_vanishes_changes_nothing(gw):
    before = gw.generation()
    gw.routes_file.unlink()
    time.sleep(0.4)
    assert gw.generation() == before and gw.plain("/readyz")[0] == 200
    gw.write_routes(lambda routes: routes["ide"][1110].update(generation="back"))


@over_both
def test_the_list_of_a_refused_file_still_revokes(gw, http):
    sid = f"sid-in-bad-file-{http}"
    cookie = gw.launch(1101, sid=sid)
    since = len(gw.log)
    gw.routes["revoked"] = [{"session": sid}]
    gw.routes["ide"][1105]["port"] = 18888
    gw.save_routes()
    refused_line(gw, "routes.yaml", None, since)
    wait_for(lambda: gw.request(1101, "/.zlh/session", cookie=cookie).status == 401, 2)
    gw.routes["ide"][1105]["port"] = 6000


def test_revoked_entries_as_people_write_them(gw):
    issued = int(time.time())
    cookie = gw.launch(1102, "dora", iat=issued)
    text = gw.routes_file.read_text()
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(issued + 1))
    replace(gw.routes_file, text + ("" if "revoked:" in text else "revoked:\n")
            + f"- {{ user: dora, before: {moment} }}\n")
    wait_for(lambda: gw.request(1102, "/.zlh/session", cookie=cookie).status == 401, 2)
    assert gw.request(1102, "/.zlh/session", cookie=gw.launch(1102, "dora", iat=issued + 1)).status == 200


@pytest.mark.parametrize("how", ["in place", "rename", "vim", "symlink", "new folder"])
def test_every_way_of_writing_a_file_is_seen(make_gateway, how):
    gw = make_gateway(start=False, routes=5)
    if how == "symlink":  # as Kubernetes mounts configuration: a link to a directory that is exchanged
        for stem in ("a", "b"):
            (gw.directory / stem).mkdir()
        shutil.copy(gw.routes_file, gw.directory / "a/routes.yaml")
        gw.routes_file.unlink()
        (gw.directory / "current").symlink_to("a")
        gw.routes_file.symlink_to("current/routes.yaml")
    if how == "new folder":
        (gw.directory / "api").mkdir()
        gw.routes_file = gw.routes_file.rename(gw.directory / "api/routes.yaml")
        gw.config["routes"] = "api/routes.yaml"
        gw.config_file.write_text(yaml.safe_dump(gw.config))
    gw.start()
    before = gw.generation()
    text = gw.routes_file.read_text().replace("generation: g1101", "generation: other")
    if how == "in place":
        with open(gw.routes_file, "w") as file:
            for piece in (text[:50], text[50:]):
                file.write(piece)
                file.flush()
                time.sleep(0.02)
    elif how == "rename":
        replace(gw.routes_file, text)
    elif how == "vim":
        gw.routes_file.rename(gw.directory / "routes.yaml~")
        gw.routes_file.write_text(text)
        (gw.directory / "routes.yaml~").unlink()
    elif how == "new folder":
        shutil.rmtree(gw.routes_file.parent)
        gw.routes_file.parent.mkdir()
        gw.routes_file.write_text(text)
    else:
        (gw.directory / "b/routes.yaml").write_text(text)
        (gw.directory / "next").symlink_to("b")
        os.replace(gw.directory / "next", gw.directory / "current")
    wait_for(lambda: gw.generation() != before, 3)
    gw.request(1101)
    assert gw.redeem(1101, gw.token(1101, gen="other")).status == 303


def test_bursts_of_writes_are_debounced(gw):
    before = gw.metric("zlh_edge_reloads_total")
    for n in range(20):
        gw.routes["ide"][1109]["generation"] = f"burst{n}"
        gw.save_routes()
    wait_for(lambda: gw.redeem(1109, gw.token(1109, gen="burst19")).status == 303, 3)
    time.sleep(0.3)
    assert gw.metric("zlh_edge_reloads_total") - before <= 5


def test_the_log_carries_the_diff_and_the_generation(gw):
    since = len(gw.log)

    def change(routes):
        routes["ide"].pop(1108)
        routes["ide"][1107]["generation"] = "changed"
        routes["ide"][1199] = {"address": "127.77.1.99", "generation": "new"}

    gw.write_routes(change)
    entry = gw.wait_log(lambda e: "added" in e and "removed" in e and "changed" in e, 3, since)
    for name, vmid in (("added", 1199), ("changed", 1107), ("removed", 1108)):
        value = entry[name]
        assert value == 1 or str(vmid) in json.dumps(value), entry
    assert str(int(gw.generation())) in json.dumps(entry)


def test_a_json_routes_file(make_gateway):
    gw = make_gateway(start=False)
    gw.write_config(routes="routes.json")
    path = gw.directory / "routes.json"
    path.write_text(json.dumps({"ide": {str(k): v for k, v in gw.routes["ide"].items()}}, indent=1))
    gw.start()
    assert gw.redeem(1101, gw.token(1101)).status == 303
    since = len(gw.log)
    replace(path, '{\n "ide": {\n  "1101": { "address": "127.60.0.1", "port": 18888, "generation": "a" }\n }\n}\n')
    refused_line(gw, "routes.json", 3, since)


def test_a_file_that_removes_half_of_the_routes_is_refused(make_gateway):
    gw = make_gateway(routes=30)
    before, since = gw.generation(), len(gw.log)
    for vmid in range(1101, 1121):
        gw.routes["ide"].pop(vmid)
    gw.save_routes()
    refused_line(gw, "routes.yaml", None, since)
    assert gw.generation() == before
    gw.routes["ide"].update({vmid: {"address": f"127.60.1.{vmid - 1100}", "generation": "x"} for vmid in range(1101, 1111)})
    gw.write_routes()


@pytest.mark.timeout(90)
def test_100_000_routes_serve_within_3_seconds(make_gateway):
    gw = make_gateway()
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    rss = gw.rss()
    lines = [gw.routes_file.read_text()] + [
        f"  {100_000 + n}: {{ address: 127.{100 + (n >> 16)}.{n >> 8 & 255}.{n & 255}, generation: g{n} }}\n"
        for n in range(1, 100_000)]
    part = gw.directory / "part"
    part.write_text("".join(lines))
    before, slowest, stop = gw.generation(), [0.0], threading.Event()

    def watch():
        with gw.raw(upstream.vmid) as raw:
            while not stop.is_set():
                begin = time.monotonic()
                assert raw.request(cookie=cookie).status == 200
                slowest[0] = max(slowest[0], time.monotonic() - begin)
                time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    os.replace(part, gw.routes_file)
    begin = time.monotonic()
    wait_for(lambda: gw.generation() != before, 10)
    took = time.monotonic() - begin
    assert gw.redeem(199_999, gw.token(199_999)).status == 303
    stop.set()
    watcher.join()
    assert took < 3, f"{took:.2f} s"
    assert slowest[0] < 0.3, f"a request waited {slowest[0]:.3f} s: the loops stalled"
    assert gw.metric("zlh_edge_routes", kind="ide") == 100_039
    time.sleep(0.5)
    grown = (gw.rss() - rss) / 100_000
    assert grown < 600, f"{grown:.0f} B of process memory a route"


def test_sighup_rereads_edge_yaml(make_gateway):
    gw = make_gateway()
    assert gw.request(1101, "/", {"Accept": "text/html"}).status == 401
    gw.write_config(ide={"login_url": "https://portal.example/{vmid}"})
    time.sleep(0.5)
    assert gw.request(1101, "/", {"Accept": "text/html"}).status == 401, "edge.yaml itself waits for a signal"
    gw.signal(signal.SIGHUP)
    wait_for(lambda: gw.request(1101, "/", {"Accept": "text/html"}).status == 303, 3)


def test_sighup_with_a_bad_edge_yaml_changes_nothing(make_gateway):
    gw = make_gateway()
    since = len(gw.log)
    gw.config_file.write_text(gw.config_file.read_text() + "nonsense: 1\n")
    gw.signal(signal.SIGHUP)
    refused_line(gw, "edge.yaml", len(gw.config_file.read_text().splitlines()), since)
    assert gw.redeem(1101, gw.token(1101)).status == 303


def test_sighup_names_what_needs_a_restart(make_gateway):
    gw = make_gateway()
    since = len(gw.log)
    gw.write_config(threads=1)
    gw.signal(signal.SIGHUP)
    gw.wait_log(lambda entry: "threads" in json.dumps(entry) and "restart" in json.dumps(entry), 3, since)


def reloaded(gw, since: int):
    """SIGHUP, and the reload's end."""
    gw.signal(signal.SIGHUP)
    gw.wait_log(lambda entry: entry["event"] in ("reload", "config_loaded"), 5, since)
    gw.wait_log(lambda entry: entry["event"] == "reload", 5, since)


@pytest.mark.parametrize("what", ["upstreams", "vmids", "upstreams of a game"])
def test_an_edge_yaml_that_forbids_routes_in_force_is_refused(make_gateway, what):
    """Whole, and with the routes that would stay: they would go on being dialled."""
    gw = make_gateway(start=False, routes=10)
    gw.routes["minecraft"] = [{"host": "*", "kind": "direct", "backends": [{"address": "127.251.0.1:25565"}]}]
    gw.save_routes()
    gw.start()
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    since, taken = len(gw.log), gw.metric("zlh_edge_reloads_total", result="ok")
    network = gw.routes["ide"][upstream.vmid]["address"].rsplit(".", 1)[0] + ".0/24"
    gw.write_config(ide={"login_url": "https://portal.example/"})
    gw.write_config(**{
        "upstreams": {"upstreams": ["127.251.0.0/16", "10.0.0.0/8"]},
        "vmids": {"ide": {"vmids": "2000-3000"}, "upstreams": ["127.0.0.0/8", "10.0.0.0/8"]},
        "upstreams of a game": {"upstreams": [network, "10.0.0.0/8"]}}[what])
    reloaded(gw, since)
    line = gw.wait_log(lambda entry: entry["event"] == "reload" and not entry.get("ok"), 3, since)
    assert line["file"].endswith("routes.yaml") and line["line"] > 1, line
    assert ("ide.vmids" if what == "vmids" else "upstreams") in line["message"]
    assert not [e for e in gw.log[since:] if e["event"] == "config_loaded" or e.get("ok")], "nothing of it was taken"
    assert gw.request(upstream.vmid, cookie=cookie).status == 200
    assert gw.request(upstream.vmid, "/", {"Accept": "text/html"}).status == 401, "no login_url: refused as a whole"
    assert gw.metric("zlh_edge_reloads_total", result="ok") == taken
    # With routes that it allows it is taken, and so are they, together.
    since = len(gw.log)
    gw.routes = {"ide": {2500: {"address": "10.255.255.1", "generation": "a"}}}
    gw.routes_file.write_text(yaml.safe_dump(gw.routes))
    gw.signal(signal.SIGHUP)
    gw.wait_log(lambda entry: entry["event"] == "config_loaded", 5, since)


def test_routes_that_a_new_edge_yaml_forbids_stay_refused_though_their_file_is_broken(make_gateway):
    """The routes file cannot say which of its lines is to blame; what is in force is judged all the same."""
    gw = make_gateway()
    upstream = gw.upstream(replies())
    cookie = gw.launch(upstream.vmid)
    since = len(gw.log)
    gw.routes_file.write_text("ide: [\n")
    gw.wait_log(lambda entry: entry["event"] == "reload" and not entry.get("ok"), 5, since)
    since = len(gw.log)
    gw.write_config(upstreams=["10.0.0.0/8"])
    gw.signal(signal.SIGHUP)
    place = gw.config_file.read_text().splitlines().index("upstreams:") + 1
    refused_line(gw, "edge.yaml", place, since)
    assert gw.request(upstream.vmid, cookie=cookie).status == 200
    # A broken routes file alone keeps no change of edge.yaml out.
    since = len(gw.log)
    gw.write_config(upstreams=["127.0.0.0/8"], ide={"login_url": "https://portal.example/"})
    gw.signal(signal.SIGHUP)
    gw.wait_log(lambda entry: entry["event"] == "config_loaded", 5, since)
    assert gw.request(upstream.vmid, cookie=cookie).status == 200


def test_routes_are_judged_by_the_listeners_there_are(make_gateway):
    """A listener that is gone from edge.yaml stays until a restart, and is not dialled."""
    gw = make_gateway()
    since, port = len(gw.log), gw.port
    gw.write_config(listen={"https": ["127.0.0.1:1"]})
    gw.routes["ide"][1105] = {"address": "127.0.0.1", "port": port, "generation": "a"}
    gw.save_routes()
    refused_line(gw, "routes.yaml", None, since)
    since = len(gw.log)
    gw.signal(signal.SIGHUP)
    assert "listener" in refused_line(gw, "routes.yaml", None, since)["message"]


def test_a_last_good_snapshot_that_edge_yaml_forbids_is_not_used(make_gateway):
    gw = make_gateway()
    gw.stop()
    gw.routes_file.write_text("ide: [\n")
    gw.write_config(upstreams=["10.0.0.0/8"])
    gw.start(ready=False)
    assert gw.process.wait(5) == 78
    gw.stop(expect=78)


# --- start ---

def test_start_with_a_broken_file_and_no_snapshot_is_refused(make_gateway):
    gw = make_gateway(start=False)
    gw.routes_file.write_text("ide:\n  1101: { adress: x }\n")
    gw.start(ready=False)
    assert gw.process.wait(5) == 78
    assert "routes.yaml:2" in gw.tail()
    gw.stop(expect=78)


def test_start_with_a_broken_file_uses_the_last_good_snapshot(make_gateway):
    gw = make_gateway()
    cookie = gw.launch(1101)
    gw.stop()
    gw.routes_file.write_text("ide: [\n")
    since = len(gw.log)
    gw.start()
    gw.wait_log(lambda entry: entry["level"] in ("warn", "warning", "error") and "snapshot" in json.dumps(entry), 3,
                since)
    assert gw.request(1101, headers=FETCH, cookie=cookie).json()["error"] == "unreachable"
    assert gw.redeem(1102, gw.token(1102)).status == 303
    gw.write_routes(lambda routes: routes["ide"][1103].update(generation="mended"))
    assert gw.redeem(1103, gw.token(1103, gen="mended")).status == 303


# --- certificates and keys ---

def paths(gw) -> tuple[Path, Path]:
    entry = gw.config["tls"]["certificates"][0]
    return Path(entry["certificate"]), Path(entry["key"])


@over_both
def test_a_new_certificate_is_served_and_nothing_drops(make_gateway):
    gw = make_gateway()
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(upstream.vmid)
    tunnel = opened(gw.client(upstream.vmid), cookie=cookie)
    old = served_serial(gw)
    certificate, key, serial = gw.authority.make([f"*.{DOMAIN}"])
    certificate_path, key_path = paths(gw)
    replace(key_path, key)  # for a moment the two do not match: nobody must notice
    assert served_serial(gw) == old
    replace(certificate_path, certificate)
    wait_for(lambda: served_serial(gw) == serial, 3)
    tunnel.send(b"x")
    assert tunnel.read_exactly(1) == b"x"
    tunnel.close()
    assert 19 * 86400 < gw.metric("zlh_edge_certificate_expiry_seconds") < 21 * 86400


@pytest.mark.parametrize("bad", ["garbage", "mismatch", "empty", "expired"])
def test_a_bad_certificate_is_refused_and_the_old_one_serves(make_gateway, bad):
    gw = make_gateway()
    old, since = served_serial(gw), len(gw.log)
    certificate, key, serial = gw.authority.make([f"*.{DOMAIN}"], days=-0.02 if bad == "expired" else 20)
    certificate_path, key_path = paths(gw)
    if bad in ("mismatch",):
        replace(certificate_path, certificate)
    elif bad == "expired":
        replace(key_path, key)
        replace(certificate_path, certificate)
    else:
        replace(certificate_path, b"" if bad == "empty" else b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    refused_line(gw, certificate_path.name if bad != "mismatch" else "wild-", None, since)
    if bad != "expired":  # an expired one is worth a warning, whichever is served
        assert served_serial(gw) == old
        assert gw.redeem(1101, gw.token(1101)).status == 303


def test_by_server_name_exact_before_wildcard_else_the_first(make_gateway):
    gw = make_gateway(start=False)
    extra_crt, extra_key, exact = gw.authority.issue([f"dev-1102.{DOMAIN}"], f"exact-{gw.port}")
    gw.write_config(tls={"certificates": gw.config["tls"]["certificates"] + [
        {"certificate": str(extra_crt), "key": str(extra_key)}]})
    gw.start()
    wild = served_serial(gw)

    def serial(sni):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with gw.raw(1101, sni=sni, context=context) as raw:
            return x509.load_der_x509_certificate(raw.sock.getpeercert(binary_form=True)).serial_number

    assert serial(f"dev-1102.{DOMAIN}") == exact != wild
    assert serial(f"DEV-1102.{DOMAIN.upper()}") == exact
    assert serial(f"dev-1101.{DOMAIN}") == wild
    assert serial("example.com") == wild


def test_new_launch_keys_are_taken_and_old_ones_go(make_gateway):
    gw = make_gateway()
    old, new = gw.key, tokens.SigningKey("ES256")
    assert gw.redeem(1101, gw.token(1101, key=new)).status == 403
    replace(gw.keys_file, tokens.jwks(old, new))
    wait_for(lambda: gw.redeem(1101, gw.token(1101, key=new)).status == 303, 3)
    assert gw.redeem(1101, gw.token(1101, key=old)).status == 303
    replace(gw.keys_file, tokens.jwks(new))
    wait_for(lambda: gw.redeem(1101, gw.token(1101, key=old)).status == 403, 3)


def test_a_bad_key_file_keeps_the_old_keys(make_gateway):
    gw = make_gateway()
    since = len(gw.log)
    replace(gw.keys_file, '{"keys": [{"kty": "oct", "kid": "short", "alg": "HS256", "k": "c2hvcnQ"}]}\n')
    refused_line(gw, "keys.jwks.json", None, since)
    assert gw.redeem(1101, gw.token(1101)).status == 303


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_1000_reloads_leak_nothing(make_gateway):
    gw = make_gateway(log={"access": False})
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    tunnel = opened(gw.raw(upstream.vmid), cookie=gw.launch(upstream.vmid))
    sizes = []
    for n in range(1000):
        gw.write_routes(lambda routes: routes["ide"][1130].update(generation=f"n{n}"))
        if n % 200 == 199:
            sizes.append((gw.rss(), gw.descriptors()))
    tunnel.send(b"x")
    assert tunnel.read_exactly(1) == b"x"
    assert sizes[-1][0] - sizes[0][0] < 4 << 20 and sizes[-1][1] <= sizes[0][1] + 2, sizes
    tunnel.close()


@over_both
def test_a_moved_route_ends_only_its_own_tunnels(gw):
    """One of two vmids moves; the other's tunnel never notices."""
    one, two = gw.upstream(upgrades_and(echoes_bytes)), gw.upstream(upgrades_and(echoes_bytes))
    moved = opened(gw.client(one.vmid), cookie=gw.launch(one.vmid))
    stays = opened(gw.client(two.vmid), cookie=gw.launch(two.vmid))
    gw.write_routes(lambda routes: routes["ide"][one.vmid].update(port=6001))
    assert read_close(moved.timeout(2)) == 1012
    stays.send(b"x")
    assert stays.read_exactly(1) == b"x"
    stays.close()
    moved.close()
