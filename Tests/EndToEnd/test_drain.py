"""A drain ends what is open in its own way, spread out, and is over within `limits.drain`."""

import ctypes
import os
import signal
import socket
import threading
import time

import pytest

from harness import over_both
from harness.gateway import FETCH, free_port
from harness.minecraft import Client, Server, handshake, login_start
from harness.upstreams import drips, echoes_bytes, never_answers, upgrades_and
from harness.websocket import opened, read_close

# What a loaded machine may add.
GRACE = 1.0


def streams_events(connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        connection.send(b"data: x\n\n")
        time.sleep(0.1)


def pours(connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while True:
        connection.send(bytes(65536))


def reads_to_the_end(client):
    """A thread that reads all that comes."""

    def read():
        try:
            client.read_to_end()
        except (OSError, RuntimeError):
            pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def play(make_gateway):
    server = Server()

    def make(**config):
        port = free_port()
        gateway = make_gateway(start=False, listen={"minecraft": [f"127.0.0.1:{port}"]},
                               minecraft={"health": {"interval": "500ms"}}, **config)
        gateway.routes["minecraft"] = [{"host": "play.test", "kind": "direct", "backends": [{"address": server.address}]}]
        gateway.save_routes()
        gateway.start()
        gateway.mc = port
        return gateway

    yield make
    server.close()


def player(gateway) -> Client:
    client = Client(gateway.mc)
    client.send(handshake("play.test", 2) + login_start("Steve"))
    assert client.exactly(len("hello from one\n")) == b"hello from one\n"
    return client


def ends_within(gw, begin: float, seconds: float):
    assert gw.process.wait(seconds + 5) == 0
    took = time.monotonic() - begin
    assert took < seconds + GRACE, f"{took:.2f} s"
    return took


@over_both
def test_the_whole_drain_is_over_in_its_time(play):
    """With an event stream, a stalled download, a queued request, a handshake under way, tunnels and players."""
    gw = play(limits={"drain": "4s", "upstream": {"per_vmid": 1, "connect": "30s", "response": "60s"}})
    events, bulk, sockets = gw.upstream(streams_events), gw.upstream(pours), gw.upstream(upgrades_and(echoes_bytes))
    silent = gw.upstream(never_answers)
    cookies = {up.vmid: gw.launch(up.vmid) for up in (events, bulk, sockets, silent)}
    stream = gw.client(events.vmid).open(cookie=cookies[events.vmid])
    stream.head()
    reader = reads_to_the_end(stream)
    stalled = gw.client(bulk.vmid, receive_buffer=4096).open(cookie=cookies[bulk.vmid])
    stalled.head()
    asked = gw.client(silent.vmid).open(cookie=cookies[silent.vmid])
    queued = gw.client(silent.vmid).open(cookie=cookies[silent.vmid])
    half = socket.create_connection((gw.address, gw.port))
    half.sendall(b"\x16\x03\x01\x02\x00")
    tunnels = [opened(gw.client(sockets.vmid), cookie=cookies[sockets.vmid]) for _ in range(8)]
    silent_tunnel = opened(gw.client(sockets.vmid), cookie=cookies[sockets.vmid])
    players = [player(gw) for _ in range(4)]
    begin = time.monotonic()
    gw.signal(signal.SIGTERM)
    times = []
    for tunnel in tunnels:
        assert read_close(tunnel.timeout(6)) == 1001
        times.append(time.monotonic() - begin)
        tunnel.close()
    assert [client.rest() for client in players] == [b""] * 4, "an end, not a reset"
    assert max(times) > 0.5, "the ends are spread"
    ends_within(gw, begin, 4)
    reader.join(5)
    for connection in (stream, stalled, asked, queued, half, silent_tunnel):
        connection.close()
    assert not gw.malformed


@over_both
def test_an_answer_that_ends_in_time_is_whole(make_gateway):
    gw = make_gateway(limits={"drain": "6s"})
    upstream = gw.upstream(drips(b"x" * 15, pause=0.02))
    client = gw.client(upstream.vmid).open(cookie=gw.launch(upstream.vmid), headers=FETCH)
    begin = time.monotonic()
    gw.signal(signal.SIGTERM)
    assert client.answer().body == b"x" * 15
    client.close()
    assert ends_within(gw, begin, 6) < 5, "nothing is waited for when nothing is left"


@pytest.mark.parametrize("seconds", ["0s", "1s"])
def test_a_short_drain_says_goodbye_all_the_same(play, seconds):
    gw = play(limits={"drain": seconds})
    sockets = gw.upstream(upgrades_and(echoes_bytes))
    cookie = gw.launch(sockets.vmid)
    tunnels = [opened(gw.client(sockets.vmid), cookie=cookie) for _ in range(4)]
    players = [player(gw) for _ in range(2)]
    begin = time.monotonic()
    gw.signal(signal.SIGTERM)
    if seconds != "0s":
        assert [read_close(tunnel) for tunnel in tunnels] == [1001] * 4
    assert [client.rest() for client in players] == [b""] * 2
    ends_within(gw, begin, float(seconds[:-1]))
    for tunnel in tunnels:
        tunnel.close()


def test_a_drain_that_is_overdue_ends_players_that_do_not_take_part(play):
    """Players whose computers are gone: they neither read nor close."""
    gw = play(limits={"drain": "1s"})
    players = [player(gw) for _ in range(3)]
    for client in players:
        client.send(b"x" * 2_000_000)  # echoed, and never read
    begin = time.monotonic()
    gw.signal(signal.SIGTERM)
    ends_within(gw, begin, 1)
    for client in players:
        client.close()


def test_the_second_signal_ends_everything_at_once(play):
    gw = play(limits={"drain": "30s"})
    events = gw.upstream(streams_events)
    stream = gw.raw(events.vmid).open(cookie=gw.launch(events.vmid))
    stream.head()
    client = player(gw)
    gw.signal(signal.SIGTERM)
    time.sleep(0.3)
    begin = time.monotonic()
    gw.signal(signal.SIGTERM)
    ends_within(gw, begin, 0.5)
    stream.close()
    client.close()


def test_a_loop_that_is_stuck_does_not_keep_the_process(play):
    """One loop's thread is held by a debugger."""
    ptrace, every_thread = ctypes.CDLL(None).ptrace, 0x40000000
    attach, go_on_with_signal = 16, 7
    gw = play(limits={"drain": "1s"})
    thread = next(int(task) for task in os.listdir(f"/proc/{gw.process.pid}/task")
                  if open(f"/proc/{gw.process.pid}/task/{task}/comm").read() == "loop-1\n")
    if ptrace(attach, thread, None, None) != 0:
        pytest.skip("no ptrace here")
    os.waitpid(thread, every_thread)
    begin = time.monotonic()
    gw.signal(signal.SIGTERM)
    while True:
        ended, status = os.waitpid(thread, every_thread)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            break
        assert time.monotonic() - begin < 10
        ptrace(go_on_with_signal, thread, None, os.WSTOPSIG(status))
    ends_within(gw, begin, 2)
    assert any(entry["event"] == "stop" and "loop" in entry["message"] for entry in gw.log)
