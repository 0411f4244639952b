"""The Minecraft front: players, server lists, scanners."""

import hashlib
import json
import os
import random
import resource
import socket
import threading
import time

import pytest

from harness.gateway import free_port, wait_for
from harness.minecraft import (
    STATUS, Client, Server, frame, handshake, kick, legacy_16, login_start, ping, status, string, varint)
from harness.upstreams import Blackhole

HEALTH = {"interval": "500ms", "timeout": "400ms", "fall": 2, "rise": 1, "slow_start": "1s"}


def route(host, *servers, **more):
    return {"host": host, "kind": "direct", "backends": [{"address": getattr(s, "address", s)} for s in servers], **more}


@pytest.fixture
def servers():
    made = []

    def make(**how):
        made.append(Server(**how))
        return made[-1]

    yield make
    for server in made:
        try:
            server.close()
        except OSError:
            pass


@pytest.fixture
def play(make_gateway):
    """A gateway with these Minecraft routes; its port is `mc`."""

    def make(*routes, **config):
        port = free_port()
        health = {**HEALTH, **config.pop("health", {})}
        minecraft = {"health": health, **config.pop("minecraft", {})}
        listen = config.pop("listen", {"minecraft": [f"127.0.0.1:{port}"]})
        gateway = make_gateway(start=False, routes=1, listen=listen, minecraft=minecraft, **config)
        gateway.routes["minecraft"] = list(routes)
        gateway.save_routes()
        gateway.start()
        gateway.mc = port
        return gateway

    return make


def join(gateway, host="play.test", version=767, name="Steve", intent=2, **how):
    client = Client(gateway.mc, **how)
    client.send(handshake(host, intent, version) + login_start(name, version))
    return client


def greeting(client) -> str:
    line = b""
    while not line.endswith(b"\n"):
        line += client.exactly(1)
    return line.decode().removeprefix("hello from ").strip()


# --- the way in ---

@pytest.mark.parametrize("version", [4, 5, 47, 340, 758, 767, 775, 0x40000100, -1])
@pytest.mark.parametrize("intent", [2, 3])
def test_login_bytes_arrive_as_they_were_sent(play, servers, version, intent):
    server = servers()
    gateway = play(route("play.test", server))
    raw = handshake("PLAY.test.\0FML3\0", intent, version)
    with Client(gateway.mc) as client:
        client.drip(raw + login_start("Alex", version) + b"early")
        assert greeting(client) == "one"
        assert client.exactly(5) == b"early"
    entry = server.connections[0]
    assert frame(entry["handshake"]) == raw
    assert frame(entry["login"]) == login_start("Alex", version)


def test_names_are_found(play, servers):
    exact, wild, rest = servers(name="exact"), servers(name="wild"), servers(name="rest")
    gateway = play(route("play.test", exact), route("*.play.test", wild), route("*", rest))
    for host, name in [("play.test", "exact"), ("Play.Test.", "exact"), ("play.test\0FML\0", "exact"),
                       ("play.test\0FML2\0", "exact"), ("play.test\0FORGE", "exact"), ("a.play.test", "wild"),
                       ("a.b.play.test", "wild"), ("other", "rest"), ("", "rest"), ("127.0.0.1", "rest"),
                       ("not a name", "rest"), ("play.test///1.2.3.4:5///1///s", "exact")]:
        with join(gateway, host) as client:
            assert greeting(client) == name, host


def test_a_handshake_of_254_bytes_is_no_legacy_ping(play, servers):
    server = servers()
    gateway = play(route("*", server))
    raw = handshake("a" * 246, 2)
    assert raw[:3] == b"\xfe\x01\x00"
    with Client(gateway.mc) as client:
        client.drip(raw[:3], 0.1)
        # Longer than a legacy ping would be waited for.
        time.sleep(0.8)
        client.send(raw[3:] + login_start())
        assert greeting(client) == "one"


@pytest.mark.parametrize("junk", [
    b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0", b"\x01\x00", b"SSH-2.0-x\r\n", b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x01\x00", b"\x06\x00\x2f\x00\x63\xdd\x09", b"\x0b\x00\x2f\xff\xff\xff\xff\x0f\x63\xdd\x01\x00",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)])
def test_what_is_not_minecraft_is_closed_at_once(play, servers, junk):
    gateway = play(route("*", servers()))
    with Client(gateway.mc) as client:
        client.send(junk)
        start = time.monotonic()
        assert client.ended()
        assert time.monotonic() - start < 1
    assert gateway.metric("zlh_edge_minecraft_connections_total", result="malformed") == 1


def test_a_claimed_length_costs_nothing(play, servers):
    gateway = play(route("*", servers()))
    before = gateway.rss()
    clients = [Client(gateway.mc) for _ in range(200)]
    for client in clients:
        client.send(varint(2097151) + b"\0")
    assert all(client.ended() for client in clients)
    assert gateway.rss() - before < 8 << 20


def test_a_drip_feed_has_five_seconds_in_all(play, servers):
    gateway = play(route("*", servers()), limits={"minecraft": {"handshake": "2s"}})
    start = time.monotonic()
    with Client(gateway.mc) as client:
        with pytest.raises(OSError):
            for byte in handshake("play.test", 2) + login_start():
                client.send(bytes([byte]))
                time.sleep(0.3)
        assert 1.5 < time.monotonic() - start < 4
    assert gateway.refused("minecraft.handshake") == 1


def test_forged_forwarding_is_refused_and_punished(play, servers):
    server = servers()
    gateway = play(route("*", server), limits={"exempt": []})
    host = "play.test\0" + "10.0.0.1\0" + "069a79f444e94726a5befca90e38aaf5"
    assert "Unknown server" in kick(gateway.mc, host)
    assert "Unknown server" in kick(gateway.mc, host + '\0[{"name":"textures"}]')
    with Client(gateway.mc) as client:
        assert client.ended()
    assert server.connections == []
    assert gateway.metric("zlh_edge_minecraft_connections_total", result="forged") == 2
    assert gateway.refused("penalty") >= 1


# --- refusals in the game's own words ---

def test_refusals(play, servers):
    server = servers()
    gateway = play(route("full.test", server, max=1), route("off.test", f"127.0.0.1:{free_port()}"),
                   route("texts.test", f"127.0.0.1:{free_port()}",
                         offline={"motd": {"text": "gone", "color": "red"}, "kick": "Back soon"}))
    for version in (5, 47, 340, 760, 767, 775):
        assert kick(gateway.mc, "nowhere.test", version) == "Unknown server: check the address"
        assert kick(gateway.mc, "off.test", version) == "This server is offline"
        assert kick(gateway.mc, "texts.test", version) == "Back soon"
    with join(gateway, "full.test") as first:
        assert greeting(first) == "one"
        assert kick(gateway.mc, "full.test") == "This server is full"
    wait_for(lambda: gateway.metric("zlh_edge_tunnels", kind="minecraft") == 0)
    with join(gateway, "full.test") as again:
        assert greeting(again) == "one"
    answer = status(gateway.mc, "nowhere.test", version=-1)
    assert answer["version"]["protocol"] == -1 and "Unknown server" in answer["description"]["text"]
    assert status(gateway.mc, "texts.test", version=775)["description"] == {"text": "gone", "color": "red"}


def test_limits_tell_how_long_to_wait(play, servers):
    gateway = play(route("play.test", servers()), limits={
        "exempt": [], "minecraft": {"login": "1/s", "login_burst": 3, "status": "1/s", "status_burst": 2}})
    texts = [kick(gateway.mc, "nowhere.test") for _ in range(4)]
    assert texts[:3] == ["Unknown server: check the address"] * 3
    assert texts[3] == "Too many connections, try again in 1 s"
    answers = [status(gateway.mc) for _ in range(3)]
    assert "Too many" in answers[2]["description"]["text"] and "motd" in answers[0]["description"]["text"]
    # Another source is not concerned.
    assert kick(gateway.mc, "nowhere.test", source="127.0.0.77") == "Unknown server: check the address"
    assert gateway.refused("minecraft.login") == 1 and gateway.refused("minecraft.status") == 1


def test_too_many_connections_of_one_source(play, servers):
    gateway = play(route("play.test", servers()), limits={"exempt": [], "minecraft": {"connections": 3}})
    held = [join(gateway) for _ in range(3)]
    assert [greeting(client) for client in held] == ["one"] * 3
    assert "Too many connections" in kick(gateway.mc)
    assert "Too many connections" in status(gateway.mc)["description"]["text"]
    with join(gateway, source="127.0.0.9") as other:
        assert greeting(other) == "one"
    for client in held:
        client.close()


def test_thirty_players_behind_one_address(play, servers):
    gateway = play(route("play.test", servers()), limits={"exempt": []})
    start = time.monotonic()
    inside = []

    def player():
        while time.monotonic() - start < 20:
            client = join(gateway)
            first = client.exactly(1)
            if first == b"h":
                return inside.append((time.monotonic() - start, client))
            client.buffer = first + client.buffer
            text = json.loads(client.text())["text"]
            client.close()
            time.sleep(int("".join(filter(str.isdigit, text))))

    threads = [threading.Thread(target=player) for _ in range(30)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(inside) == 30 and max(when for when, _ in inside) < 15, sorted(when for when, _ in inside)
    [client.close() for _, client in inside]


# --- status ---

def test_status_is_cached_and_served_stale(play, servers):
    server = servers(favicon="data:image/png;base64,AAAA")
    gateway = play(route("play.test", server, offline={"motd": "Restarting"}), health={"interval": "60s", "fall": 1})
    wait_for(lambda: server.status_requests == 1)
    answers = [status(gateway.mc, version=767) for _ in range(50)]
    assert all(answer["description"]["text"] == "motd of one" for answer in answers)
    assert server.status_requests <= 2
    # Other protocols get the newest answer with their own number.
    numbers = {status(gateway.mc, version=number)["version"]["protocol"] for number in range(100, 140)}
    assert len(numbers) >= 38 and server.status_requests <= 6
    server.close()
    time.sleep(5.2)
    stale = status(gateway.mc, version=767)
    assert stale["description"] == {"text": "Restarting"} and stale["favicon"] == "data:image/png;base64,AAAA"


def test_one_question_at_a_time(play, servers):
    server = servers()
    gateway = play(route("play.test", server), health={"interval": "60s"})
    wait_for(lambda: server.status_requests == 1)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(status(gateway.mc))) for _ in range(40)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(answers) == 40 and server.status_requests == 2


def test_ping_without_request_and_second_request(play, servers):
    gateway = play(route("play.test", servers()))
    with Client(gateway.mc) as client:
        client.send(handshake("play.test", 1) + ping(b"abcdefgh"))
        assert client.packet() == b"\1abcdefgh" and client.rest() == b""
    with Client(gateway.mc) as client:
        client.drip(handshake("play.test", 1) + STATUS + STATUS)
        client.text()
        assert client.ended()


@pytest.mark.parametrize("request_bytes", [b"\xfe", b"\xfe\x01", b"\xfe\x01\xfa", legacy_16("play.test")])
def test_legacy_pings(play, servers, request_bytes):
    server = servers()
    gateway = play(route("*", server), route("play.test", server))
    wait_for(lambda: server.status_requests >= 2)
    for drip in (False, True):
        with Client(gateway.mc) as client:
            (client.drip if drip else client.send)(request_bytes)
            answer = client.rest()
            assert answer[0] == 0xFF and len(answer) == 3 + 2 * int.from_bytes(answer[1:3], "big")
            text = answer[3:].decode("utf-16-be")
            if request_bytes == b"\xfe":
                assert text == "motd of one§0§20"
            else:
                assert text.split("\0") == ["§1", "127", "stub one", "motd of one", "0", "20"]


def test_old_logins_read_why(play, servers):
    gateway = play(route("*", servers()))
    with Client(gateway.mc) as client:
        client.send(b"\x02\x4a\x00\x05" + "Steve".encode("utf-16-be"))
        answer = client.rest()
        assert answer[0] == 0xFF and "Outdated" in answer[3:].decode("utf-16-be")


# --- backends ---

@pytest.mark.parametrize("balance", ["least_connections", "round_robin"])
def test_eight_joins_on_two_backends(play, servers, balance):
    a, b = servers(name="a"), servers(name="b")
    gateway = play(route("play.test", a, b, balance=balance))
    held = [join(gateway) for _ in range(8)]
    names = [greeting(client) for client in held]
    assert sorted(names) == ["a"] * 4 + ["b"] * 4
    [client.close() for client in held]


def test_a_source_keeps_its_backend(play, servers):
    a, b, c = servers(name="a"), servers(name="b"), servers(name="c")
    gateway = play(route("play.test", a, b, c, balance="source_hash"))

    def choice(n):
        with join(gateway, source=f"127.0.1.{n}") as client:
            return greeting(client)

    before = {n: choice(n) for n in range(1, 40)}
    assert set(before.values()) == {"a", "b", "c"} and all(choice(n) == before[n] for n in range(1, 10))
    c.close()
    wait_for(lambda: gateway.metric("zlh_edge_backend_up", backend=c.address) == 0)
    assert all(choice(n) == before[n] for n in before if before[n] != "c")


def test_failover_and_health(play, servers):
    a, dead = servers(name="a"), free_port()
    gateway = play(route("play.test", f"127.0.0.1:{dead}", a, balance="round_robin"), health={"interval": "60s"})
    for _ in range(4):
        with join(gateway) as client:
            assert greeting(client) == "a"


def test_a_backend_that_hangs_leaves_and_comes_back(play, servers):
    a, b = servers(name="a"), servers(name="b")
    gateway = play(route("play.test", a, b), health={"interval": "5s", "timeout": "2s", "slow_start": "0s"})
    with join(gateway) as one, join(gateway) as two:
        keep = {greeting(one): one, greeting(two): two}
        assert set(keep) == {"a", "b"}
        b.hang = True
        wait_for(lambda: gateway.metric("zlh_edge_backend_up", backend=b.address) == 0, 12)
        for _ in range(4):
            with join(gateway) as client:
                assert greeting(client) == "a"
        # Who is there stays there.
        keep["b"].send(b"still")
        assert keep["b"].exactly(5) == b"still"
        b.hang = False
        wait_for(lambda: gateway.metric("zlh_edge_backend_up", backend=b.address) == 1, 8)


@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_proxy_header_to_the_backend(play, servers, kind):
    server = servers(proxy=kind)
    gateway = play(route("play.test", server, proxy_protocol=kind))
    wait_for(lambda: server.status_requests >= 1)
    with join(gateway, source="127.0.0.5") as client:
        assert greeting(client) == "one"
        port = client.socket.getsockname()[1]
    header = server.connections[0]["proxy"]
    if kind == "v1":
        assert header == f"PROXY TCP4 127.0.0.5 127.0.0.1 {port} {gateway.mc}\r\n".encode()
    else:
        assert header[12:16] == b"\x21\x11\x00\x0c"
        assert header[16:] == (socket.inet_aton("127.0.0.5") + socket.inet_aton("127.0.0.1")
                               + port.to_bytes(2, "big") + gateway.mc.to_bytes(2, "big"))
    assert gateway.metric("zlh_edge_backend_up", backend=server.address) == 1


def test_proxy_header_from_a_trusted_proxy(play, servers):
    server = servers(proxy="v2")
    gateway = play(route("play.test", server, proxy_protocol="v2"), trusted_proxies=["127.0.0.3/32"])
    for header in (b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 25565\r\n",
                   b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("203.0.113.9") + bytes(4)
                   + (4711).to_bytes(2, "big") + bytes(2)):
        with Client(gateway.mc, source="127.0.0.3") as client:
            client.drip(header + handshake("play.test", 2) + login_start())
            assert greeting(client) == "one"
        assert server.connections[-1]["proxy"][16:20] == socket.inet_aton("203.0.113.9")
    # It must speak it, and nobody else may.
    with Client(gateway.mc, source="127.0.0.3") as client:
        client.send(handshake("play.test", 2) + login_start())
        assert client.ended()


def test_an_ipv6_player_is_told_of_as_one(play, servers):
    port = free_port()
    server = servers(proxy="v2")
    gateway = play(route("play.test", server, proxy_protocol="v2"), listen={"minecraft": [f"[::1]:{port}"]})
    try:
        connection = socket.create_connection(("::1", port), 5)
    except OSError:
        pytest.skip("no IPv6 here")
    client = Client.__new__(Client)
    client.socket, client.buffer = connection, b""
    client.send(handshake("play.test", 2) + login_start())
    assert greeting(client) == "one"
    header = server.connections[0]["proxy"]
    loopback = bytes(15) + b"\1"
    assert header[12:48] == b"\x21\x21\x00\x24" + loopback + loopback
    client.close()
    assert gateway.refused("penalty") == 0


@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_spray_of_sources_leaves_memory_flat(play, servers, count):
    server = servers()
    gateway = play(route("play.test", server), trusted_proxies=["127.0.0.3/32"],
                   limits={"exempt": [], "source": {"tracked": 4096}})

    def spray(number):
        for _ in range(number):
            address = b"\x20\x01" + random.randbytes(14)
            with Client(gateway.mc, source="127.0.0.3") as client:
                client.send(b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + address + bytes(20) + b"\x47\x45\x54 /")
                assert client.ended()

    spray(6000)
    before = gateway.rss()
    spray(count)
    assert gateway.rss() - before < 4 << 20
    start = time.monotonic()
    with join(gateway, source="127.0.0.99") as client:
        assert greeting(client) == "one"
        assert time.monotonic() - start < 0.1


# --- the pipe ---

def test_bytes_survive_both_ways(play, servers):
    server = servers()
    gateway = play(route("play.test", server))
    data = random.randbytes(24 << 20)
    with join(gateway) as client:
        assert greeting(client) == "one"

        def send():
            at = 0
            while at < len(data):
                step = random.choice((1, 7, 100, 1500, 65536, 1 << 20))
                client.send(data[at:at + step])
                at += step
            client.socket.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        digest, count = hashlib.sha256(), 0
        while more := client.socket.recv(1 << 18):
            digest.update(more)
            count += len(more)
        thread.join()
    assert count == len(data) and digest.digest() == hashlib.sha256(data).digest()


def test_a_reader_that_does_not_read_is_not_buffered_for(play, servers):
    server = servers()
    gateway = play(route("play.test", server))
    before = gateway.rss()
    with join(gateway) as client:
        assert greeting(client) == "one"
        client.socket.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 << 20:
                sent += client.socket.send(bytes(1 << 20))
        assert gateway.rss() - before < 6 << 20


def test_half_close_and_idle(play, servers):
    gateway = play(route("play.test", servers()), limits={"tunnel_idle": {"minecraft": "1s"}})
    with join(gateway) as client:
        assert greeting(client) == "one"
        client.send(b"last words")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b"last words"
    with join(gateway) as client:
        assert greeting(client) == "one"
        start = time.monotonic()
        assert client.rest() == b""
        assert 0.8 < time.monotonic() - start < 3
    gateway.wait_log(lambda line: line["event"] == "tunnel_close" and line.get("reason") == "tunnel_idle.minecraft")


# --- operating ---

def test_reload_keeps_players(play, servers):
    a, b = servers(name="a"), servers(name="b")
    gateway = play(route("play.test", a), limits={"reload_removes": "100%"})
    with join(gateway) as client:
        assert greeting(client) == "a"
        gateway.write_routes(lambda routes: routes.update(minecraft=[route("new.test", b)]))
        client.send(b"x")
        assert client.exactly(1) == b"x"
        wait_for(lambda: kick(gateway.mc) == "Unknown server: check the address")
        with join(gateway, "new.test") as other:
            assert greeting(other) == "b"
        client.send(b"y")
        assert client.exactly(1) == b"y"


def test_drain_ends_with_zero(play, servers):
    gateway = play(route("play.test", servers()), limits={"drain": "1s"})
    clients = [join(gateway) for _ in range(4)]
    assert [greeting(client) for client in clients] == ["one"] * 4
    gateway.process.terminate()
    assert [client.rest() for client in clients] == [b""] * 4
    assert gateway.process.wait(5) == 0


def test_logs_and_metrics(play, servers):
    gateway = play(route("play.test", servers()), minecraft={"log_player_names": True})
    with join(gateway, name="Alex") as client:
        assert greeting(client) == "one"
        client.send(b"12345")
        assert client.exactly(5) == b"12345"
        assert gateway.metric("zlh_edge_tunnels", kind="minecraft") == 1
        assert gateway.metric("zlh_edge_connections", listener="minecraft") == 1
    line = gateway.wait_log(lambda line: line["event"] == "tunnel_close")
    start = len(handshake("play.test", 2) + login_start("Alex"))
    assert line["route"] == "play.test" and line["player"] == "Alex" and line["protocol"] == 767
    assert line["intent"] == "login" and line["bytes_in"] == start + 5
    assert line["bytes_out"] == len("hello from one\n") + 5 and line["ms"] > 0
    for _ in range(40):
        with Client(gateway.mc) as client:
            client.send(b"GET")
            assert client.ended()
    wait_for(lambda: gateway.metric("zlh_edge_minecraft_connections_total", result="malformed") == 40)
    gateway.wait_log(lambda line: line["event"] == "minecraft" and line["result"] == "malformed")
    time.sleep(0.2)
    lines = [line for line in gateway.log if line["event"] == "minecraft" and line["result"] == "malformed"]
    assert len(lines) <= 20
    assert gateway.metric("zlh_edge_bytes_total", listener="minecraft", direction="in") >= start + 5
    assert gateway.metric("zlh_edge_minecraft_connections_total", intent="login", result="ok") == 1


# --- reloads while somebody is on the way ---

class Silent:
    """Takes connections into its backlog and keeps what they send until it is asked."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def heard(self) -> bytes:
        """Everything that came so far."""
        self.listener.settimeout(0.3)
        data = b""
        while True:
            try:
                peer, _ = self.listener.accept()
            except TimeoutError:
                return data
            peer.settimeout(0.3)
            try:
                while more := peer.recv(65536):
                    data += more
            except (TimeoutError, ConnectionError):
                pass
            peer.close()

    def close(self):
        self.listener.close()


@pytest.mark.parametrize("after", ["other backend", "gone", "other host has it"])
def test_a_login_does_not_reach_a_backend_that_left_the_route(play, servers, after):
    """The connect is under way when the routes change: its end is another's by then."""
    hole = Blackhole("127.0.0.1", free_port())
    where = "127.0.0.1:%d" % hole.listener.getsockname()[1]
    new = servers(name="new")
    # No check has found it out of service yet: a backend counts as up until two have failed.
    gateway = play(route("play.test", where), health={"interval": "60s", "timeout": "30s"})
    try:
        with join(gateway) as client:
            time.sleep(0.3)
            gateway.write_routes(lambda routes: routes.update(minecraft={
                "other backend": [route("play.test", new)],
                "gone": [route("else.test", new)],
                "other host has it": [route("play.test", new), route("else.test", where)]}[after]))
            hole.listener.settimeout(0.3)
            heard = []
            for _ in range(7):  # lets the connect come about
                try:
                    peer, _ = hole.listener.accept()
                except TimeoutError:
                    continue
                peer.settimeout(0.3)
                try:
                    heard.append(peer.recv(4096))
                except (TimeoutError, ConnectionError):
                    pass
            if after == "gone":
                assert "Unknown server" in client.text()
            else:
                assert greeting(client) == "new"
            assert not [data for data in heard if b"Steve" in data], heard
    finally:
        hole.close()


def test_a_second_backend_is_chosen_by_the_routes_in_force(play, servers):
    """The first does not answer; by the time the second is to be tried, another has its address."""
    hole = Blackhole("127.0.0.1", free_port())
    where = "127.0.0.1:%d" % hole.listener.getsockname()[1]
    old, new = servers(name="old"), servers(name="new")
    gateway = play(route("play.test", where, old, balance="round_robin"), health={"interval": "60s", "timeout": "30s"})
    try:
        for _ in range(2):  # one of two in turn begins with the hole
            gateway.write_routes(lambda routes: routes.update(
                minecraft=[route("play.test", where, old, balance="round_robin")]))
            logins = len([c for c in old.connections if "login" in c])
            with join(gateway) as client:
                time.sleep(0.3)
                if len([c for c in old.connections if "login" in c]) > logins:
                    continue
                gateway.write_routes(lambda routes: routes.update(
                    minecraft=[route("play.test", where, new), route("else.test", old)]))
                assert greeting(client) == "new"
                assert len([c for c in old.connections if "login" in c]) == logins
                return
        raise AssertionError("the hole was never tried first")
    finally:
        hole.close()


def test_a_status_of_a_former_backend_is_not_shown(play, servers):
    old, new = servers(name="old"), servers(name="new")
    gateway = play(route("play.test", old))
    assert "old" in json.dumps(status(gateway.mc))
    gateway.write_routes(lambda routes: routes.update(minecraft=[route("play.test", new), route("else.test", old)]))
    assert "new" in json.dumps(status(gateway.mc)), "the cached answer is of a backend that is another's"
    gateway.write_routes(lambda routes: routes.update(minecraft=[route("play.test", new, old)]))
    asked = len(new.connections)
    assert "new" in json.dumps(status(gateway.mc))
    assert len(new.connections) <= asked + 1, "one that joins takes nothing away"


def test_a_status_that_is_awaited_is_asked_of_who_is_there_now(play, servers):
    silent, new = Silent(), servers(name="new")
    gateway = play(route("play.test", silent), health={"interval": "60s", "timeout": "3s"})
    try:
        with Client(gateway.mc) as client:
            client.send(handshake("play.test", 1) + STATUS)
            time.sleep(0.3)
            gateway.write_routes(lambda routes: routes.update(minecraft=[route("play.test", new)]))
            # The former backend answers at last: too late.
            silent.heard()
            assert "new" in client.text()
    finally:
        silent.close()


# --- nobody is kept out ---

def test_every_backend_is_checked_however_many_are_silent(play, servers):
    """Silent: the kernel takes the connections, and nobody answers."""
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as silent:
        port = silent.getsockname()[1]
        late = free_port()
        gateway = play(
            *[route(f"s{n}.test", f"127.1.{n >> 7}.{n % 128 + 1}:{port}") for n in range(260)],
            route("late.test", f"127.0.0.1:{late}"))
        label = f"127.0.0.1:{late}"
        wait_for(lambda: gateway.metric("zlh_edge_backend_up", backend=label) == 0, 15, "the last one to be found down")
        servers(port=late)
        wait_for(lambda: gateway.metric("zlh_edge_backend_up", backend=label) == 1, 10, "and up again")
        with join(gateway, "late.test") as client:
            assert greeting(client) == "one"


def test_one_source_does_not_take_all_refusals(play, servers):
    """Nor do refusals take places of the process."""
    gateway = play(route("play.test", servers()), limits={
        "exempt": [], "connections": 16, "minecraft": {"connects": "1/s", "burst": 1}})
    flood = [Client(gateway.mc, source="127.0.0.9") for _ in range(60)]
    wait_for(lambda: gateway.refused("minecraft.connects") >= 58)
    time.sleep(0.1)
    assert gateway.metric("zlh_edge_connections", listener="minecraft") <= 1 + 16
    # Sources with no fault still play, and are still told what is wrong.
    players = [join(gateway, source=f"127.0.0.{number + 20}") for number in range(15)]
    assert [greeting(player) for player in players] == ["one"] * 15
    for player in players[5:]:
        player.close()
    assert kick(gateway.mc, "nowhere.test", source="127.0.0.60").startswith("Unknown server")
    for client in flood + players[:5]:
        client.close()
    wait_for(lambda: gateway.metric("zlh_edge_connections", listener="minecraft") == 0)
    gateway.stop()


@pytest.mark.parametrize("misdeed", ["closes", "too much", "one version"])
def test_a_backend_that_answers_no_ping_still_gets_players(play, misdeed):
    """It is tried before a player is told that the server is offline, once a second at most."""
    logins = []

    def serve(peer):
        client = Client.__new__(Client)
        client.socket, client.buffer = peer, b""
        try:
            body = client.packet()
            if body[-1] == 1:
                if misdeed == "too much":
                    client.send(frame(b"\0" + string("x" * 150_000)))
            elif misdeed != "one version" or b"\xff\x05" in body:
                client.packet()
                logins.append(time.monotonic())
                client.send(b"hello from odd\n")
                time.sleep(0.3)
        except (OSError, EOFError, AssertionError):
            pass
        finally:
            peer.close()

    def accept():
        while True:
            try:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        threading.Thread(target=accept, daemon=True).start()
        label = "127.0.0.1:%d" % listener.getsockname()[1]
        gateway = play(route("odd.test", label))
        wait_for(lambda: gateway.metric("zlh_edge_backend_up", backend=label) == 0, 5)
        with join(gateway, "odd.test") as client:
            assert greeting(client) == "odd"
        assert kick(gateway.mc, "odd.test") == "This server is offline", "the second within a second"
        assert len(logins) == 1
        time.sleep(1.1)
        with join(gateway, "odd.test") as client:
            assert greeting(client) == "odd"
        gateway.stop()
        listener.shutdown(socket.SHUT_RDWR)


def test_health_by_connect_or_not_at_all(play, servers):
    with socket.create_server(("127.0.0.1", 0), backlog=512) as mute:
        address = "127.0.0.1:%d" % mute.getsockname()[1]
        dead = f"127.0.0.1:{free_port()}"
        gateway = play(route("status.test", address), route("connect.test", address, health="connect"),
                       route("gone.test", dead, health="connect"), route("none.test", dead, health="none"))
        up = lambda host: gateway.metric("zlh_edge_backend_up", route=host)  # noqa: E731
        wait_for(lambda: up("status.test") == 0 and up("gone.test") == 0, 5)
        time.sleep(1)
        assert up("connect.test") == 1 and up("none.test") == 1
        # What is checked no more counts as there; what is checked again does not.
        gateway.write_routes(lambda routes: [entry.update(health={
            "gone.test": "none", "none.test": "connect"}.get(entry["host"], entry.get("health", "status")))
            for entry in routes["minecraft"]])
        wait_for(lambda: up("gone.test") == 1 and up("none.test") == 0, 5)
        gateway.stop()


@pytest.mark.parametrize("reset", [False, True])
def test_a_probe_that_connects_and_leaves_is_quiet(play, servers, reset):
    gateway = play(route("play.test", servers()))
    for _ in range(20):
        with Client(gateway.mc) as probe:
            if reset:
                probe.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for(lambda: gateway.metric("zlh_edge_minecraft_connections_total", result="closed") == 20)
    assert gateway.metric("zlh_edge_minecraft_connections_total", result="timeout") == 0
    gateway.stop()
    assert not [entry for entry in gateway.log if entry["event"] in ("minecraft", "suppressed")]


def test_idle_https_connections_make_room_for_players(play, servers):
    gateway = play(route("play.test", servers()), limits={"exempt": [], "connections": 16, "keep_alive": "60s"})
    idle = [gateway.raw(1101, source=f"127.9.1.{number + 1}") for number in range(16)]
    for raw in idle:
        assert raw.request().status == 401
    players = [join(gateway, source=f"127.9.2.{number + 1}") for number in range(4)]
    assert [greeting(player) for player in players] == ["one"] * 4
    for connection in (*idle, *players):
        connection.close()


def test_a_legacy_ping_is_answered_with_a_fresh_status(play, servers):
    """Also on a route whose backends nobody else asks."""
    one = servers()
    gateway = play(route("play.test", one, health="none"))

    def legacy() -> str:
        with Client(gateway.mc) as client:
            client.send(legacy_16("play.test"))
            return client.rest()[1:].decode("utf-16be")

    assert "motd of one" in legacy()
    one.motd = "another day"
    assert "motd of one" in legacy() and one.status_requests == 1
    time.sleep(5.1)
    assert "another day" in legacy() and one.status_requests == 2
    one.close()
    time.sleep(5.1)
    assert "This server is offline" in legacy()
    gateway.stop()


def test_a_drained_backend_does_not_hide_one_that_answers_no_ping(play, servers):
    drained = servers()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as mute:
        label = "127.0.0.1:%d" % mute.getsockname()[1]
        backends = [{"address": drained.address, "weight": 0}, {"address": label}]
        gateway = play({"host": "play.test", "kind": "direct", "backends": backends})
        wait_for(lambda: gateway.metric("zlh_edge_backend_up", backend=label) == 0, 5)
        mute.settimeout(5)
        got = []
        with join(gateway):
            while not any(b"Steve" in data for data in got):
                peer, _ = mute.accept()
                with peer:
                    peer.settimeout(0.3)
                    try:
                        got.append(peer.recv(4096))
                    except TimeoutError:
                        pass
        gateway.stop()


def test_second_attempts_count_as_dials(play):
    """Two a second of a route, however many of its backends fail."""
    dials = []

    def accept(listener):
        while True:
            try:
                listener.accept()[0].close()
                dials.append(time.monotonic())
            except OSError:
                return

    listeners = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(3)]
    for listener in listeners:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
    gateway = play(route("play.test", *("127.0.0.1:%d" % one.getsockname()[1] for one in listeners), health="none"))
    end = time.monotonic() + 3
    version = 100
    while time.monotonic() < end:
        status(gateway.mc, version=100 + version % 40)
        version += 1
    gateway.stop()
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    assert 4 <= len(dials) <= 8


def test_a_shortage_of_descriptors_says_nothing_of_backends(play, servers):
    gateway = play(route("play.test", servers()))
    _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (8, hard))
    time.sleep(3)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (1024, hard))
    with join(gateway) as client:
        assert greeting(client) == "one"
    gateway.stop()
    assert not [entry for entry in gateway.log if entry["event"] == "backend_down"]
