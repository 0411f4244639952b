"""The Minecraft front with programs that speak the game: quarry, botmine, mcstatus, minestat, HAProxy."""

import contextlib
import queue
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from harness.gateway import free_port, wait_for
from harness.minecraft import Server
from test_minecraft import join, greeting, play, route, servers  # noqa: F401 (fixtures)

mcstatus = pytest.importorskip("mcstatus")
minestat = pytest.importorskip("minestat")
botmine = pytest.importorskip("botmine")
pytest.importorskip("quarry")

PEERS = Path(__file__).parent / "harness/quarry_peers.py"


class Process:
    """A quarry process and what it says."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([sys.executable, str(PEERS), *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines: list[list[str]] = []
        self.said = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.wait("up")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.split())
            self.said.put(self.lines[-1])

    def wait(self, word, seconds: float = 20):
        deadline = time.monotonic() + seconds
        while True:
            line = self.said.get(timeout=max(0.01, deadline - time.monotonic()))
            if line[0] == word:
                return line

    def count(self, word) -> int:
        return sum(line[0] == word for line in self.lines)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


@pytest.fixture
def quarry():
    made = []

    def make(*arguments):
        made.append(Process(*arguments))
        return made[-1]

    yield make
    for process in made:
        process.close()


def quarry_server(quarry):
    port = free_port()
    server = quarry("server", port)
    server.address = f"127.0.0.1:{port}"
    return server


@pytest.mark.parametrize("version", [47, 754, 757, 760])
def test_quarry_joins_quarry(play, quarry, version):  # noqa: F811
    server = quarry_server(quarry)
    gateway = play(route("127.0.0.1", server))
    fleet = quarry("fleet", gateway.mc, "127.0.0.1", 3, version)
    for _ in range(3):
        assert server.wait("joined")[2] == str(version)
    wait_for(lambda: fleet.count("in") == 3)
    time.sleep(1.5)
    assert fleet.count("lost") == 0


@pytest.mark.parametrize("version", [5, 47, 340, 754, 758, 759, 760])
def test_quarry_reads_the_kick(play, quarry, version):  # noqa: F811
    gateway = play(route("other.test", f"127.0.0.1:{free_port()}"))
    fleet = quarry("fleet", gateway.mc, "127.0.0.1", 1, version)
    assert " ".join(fleet.wait("kicked")[1:]) == "Unknown server: check the address"


@pytest.mark.timeout(900)
def test_a_fleet_stays_through_reloads(play, quarry, request):  # noqa: F811
    reloads = 1000 if request.config.getoption("--soak") else 60
    server = quarry_server(quarry)
    other = route("other.test", f"127.0.0.1:{free_port()}")
    gateway = play(route("127.0.0.1", server), other, limits={"reload_removes": "100%"})
    fleet = quarry("fleet", gateway.mc, "127.0.0.1", 150, 754)
    wait_for(lambda: fleet.count("in") == 150, 30)
    for number in range(reloads):
        routes = [other] if number % 3 == 2 else [route("127.0.0.1", server, max=1000 + number), other]
        gateway.write_routes(lambda all: all.update(minecraft=routes))
    time.sleep(1)
    assert fleet.count("lost") == 0 and gateway.metric("zlh_edge_tunnels", kind="minecraft") == 150


@pytest.mark.parametrize("version", ["1.20.1", "1.20.4", "1.21.11", "26.1"])
def test_botmine_reads_the_kick(play, version):  # noqa: F811
    gateway = play(route("off.test", f"127.0.0.1:{free_port()}"))
    with pytest.raises(botmine.BotError) as kicked:
        botmine.Bot(host="127.0.0.1", port=gateway.mc, nickname="Alex", version=version)
    assert "Unknown server: check the address" in str(kicked.value)


def test_mcstatus(play, servers):  # noqa: F811
    server = servers()
    gateway = play(route("*", server))
    wait_for(lambda: server.status_requests)
    java = mcstatus.JavaServer("127.0.0.1", gateway.mc)
    answer = java.status(version=767)
    assert answer.motd.to_plain() == "motd of one" and answer.players.max == 20 and answer.version.protocol == 767
    assert java.ping() > 0
    legacy = mcstatus.LegacyServer("127.0.0.1", gateway.mc).status()
    assert legacy.motd.to_plain() == "motd of one" and legacy.players.max == 20


def test_minestat_in_all_four_forms(play, servers):  # noqa: F811
    server = servers()
    gateway = play(route("*", server))
    wait_for(lambda: server.status_requests)
    for form in ("JSON", "EXTENDED_LEGACY", "LEGACY", "BETA"):
        found = minestat.MineStat("127.0.0.1", gateway.mc, timeout=5, resolve_srv=False,
                                  query_protocol=minestat.SlpProtocols[form])
        assert found.online, form
        assert found.stripped_motd == "motd of one" and found.max_players == 20, form


def test_haproxy_in_front(play, servers, tmp_path):  # noqa: F811
    if not shutil.which("haproxy"):
        pytest.skip("no HAProxy")
    server = servers(proxy="v1")
    gateway = play(route("play.test", server, proxy_protocol="v1"), trusted_proxies=["127.0.0.1/32"])
    port = free_port()
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(textwrap.dedent(f"""\
        defaults
          mode tcp
          timeout connect 5s
          timeout client 60s
          timeout server 60s
        listen game
          bind 127.0.0.1:{port}
          server edge 127.0.0.1:{gateway.mc} send-proxy-v2
        """))
    process = subprocess.Popen(["haproxy", "-f", str(configuration), "-db"], stderr=subprocess.DEVNULL)
    try:
        def client():
            with contextlib.suppress(OSError):
                gateway.mc = port
                return join(gateway, source="127.0.0.44")

        with wait_for(client, 10) as player:
            assert greeting(player) == "one"
            player.send(b"abc")
            assert player.exactly(3) == b"abc"
        assert server.connections[0]["proxy"].startswith(b"PROXY TCP4 127.0.0.44 ")
    finally:
        process.terminate()
        process.wait(5)
