"""What websocket.py and minecraft.py have in common: many tunnels through a peer, quiet or busy, and what they cost.

idle       memory of the proxy process for each of many tunnels that said something once and then nothing
roundtrip  CPU time for 100 bytes to the backend and back, on several tunnels
bulk       CPU time for 10 MB from the backend to the client
"""

import argparse
import json
import pathlib
import resource
import socket
import time

import side_by_side as bench

WORKS = ("idle", "roundtrip", "bulk")


class Client:
    """One tunnel through a peer. Who inherits says what is sent there, and opens `socket`."""

    message: bytes
    echo: bytes
    ask_for_bulk: bytes
    bulk_bytes: int
    socket: socket.socket

    def receive(self) -> bytes:
        got = self.socket.recv(65536)
        if not got:
            raise SystemExit("a tunnel was closed")
        return got

    def await_echo(self) -> None:
        answer = self.receive()
        while len(answer) < len(self.echo):
            answer += self.receive()
        if answer != self.echo:
            raise SystemExit("an echo differs from what was sent")

    def run(self, count: int) -> int:
        for _ in range(count):
            round_trips([self])
        return count

    def take_bulk(self, buffer: memoryview) -> None:
        self.socket.sendall(self.ask_for_bulk)
        left = self.bulk_bytes
        while left > 0:
            got = self.socket.recv_into(buffer)
            if not got:
                raise SystemExit("a tunnel was closed")
            left -= got


def round_trips(clients: list[Client]) -> int:
    for client in clients:
        client.socket.sendall(client.message)
    for client in clients:
        client.await_echo()
    return len(clients)


def bulk_once(clients: list[Client], buffer=memoryview(bytearray(1 << 20))) -> int:
    for client in clients:
        client.take_bulk(buffer)
    return len(clients)


def measure(peer: bench.Peer, clients: list[Client], work, seconds: float) -> bench.Round:
    """Repeats `work(clients)`, which says how many units it did, for so long."""
    done = 0
    before, start = bench.cpu_us(peer.process.pid), time.monotonic()
    while time.monotonic() < start + seconds:
        done += work(clients)
    used, elapsed = bench.cpu_us(peer.process.pid) - before, time.monotonic() - start
    return done / elapsed, used / done, used / 1e6 / elapsed


def memory_kib(pid: int) -> dict[str, int]:
    """Resident memory, and how much of it is the process's own: not a file's (proc_pid_smaps(5))."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("Rss:", "Anonymous:"))}


def idle(peer: bench.Peer, connect, count: int, quiet: float) -> dict[str, float]:
    """KiB for each of `count` idle tunnels that `connect` opens."""
    first = connect()
    round_trips([first])
    time.sleep(quiet)
    before = memory_kib(peer.process.pid)
    clients = [connect() for _ in range(count)]
    round_trips(clients)
    time.sleep(quiet)
    after = memory_kib(peer.process.pid)
    for client in [first, *clients]:
        client.socket.close()
    return {kind: (after[kind] - before[kind]) / count for kind in before}


def show_idle(what: str, count: int, results: dict[str, dict[str, float]]) -> None:
    print(f"\nidle: KiB of process memory for each of {count} {what}")
    print(f"{'':10}{'anonymous':>12}{'resident':>12}")
    for name, kib in results.items():
        print(f"{name:10}{kib['Anonymous']:12.2f}{kib['Rss']:12.2f}")


def allow_descriptors(count: int) -> None:
    """A proxy has two for each tunnel. Those that are started later inherit the limit."""
    needed = 2 * count + 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 20_000 if hard == resource.RLIM_INFINITY else min(hard, 20_000)
    if needed > allowed:
        raise SystemExit(f"{count} tunnels need {needed} descriptors, {allowed} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def arguments(description: str, works: tuple[str, ...] = WORKS) -> argparse.ArgumentParser:
    parser = bench.arguments(description)
    parser.add_argument("--work", choices=works, action="append", help="only this; may be repeated")
    parser.add_argument("--connections", type=int, default=2000, help="of the idle ones")
    parser.add_argument("--quiet", type=float, default=3, help="seconds without traffic before memory is read")
    parser.add_argument("--parallel", type=int, default=16, help="connections of roundtrip")
    return parser


def compare(options: argparse.Namespace, what: str, connect, backend, more: dict | None = None) -> None:
    """Does what was asked for with tunnels that `connect(peer, headers)` opens. `more` has works of the caller's own,
    which are given the peers and the report that they add to."""
    more = more or {}
    works = options.work or [*WORKS, *more]
    if "idle" in works:
        allow_descriptors(options.connections)
    report = {}
    with bench.running(options, backend=backend) as peers:
        headers = peers[-1].headers
        if "idle" in works:
            report["idle"] = {
                peer.name: idle(peer, lambda: connect(peer, headers), options.connections, options.quiet)
                for peer in peers}
            show_idle(what, options.connections, report["idle"])
        for name, unit, parallel, work in (
            ("roundtrip", "round trip", options.parallel, round_trips), ("bulk", "10 MB", 1, bulk_once)):
            if name not in works:
                continue
            clients = {peer.name: [connect(peer, headers) for _ in range(parallel)] for peer in peers}
            for peer in peers:
                measure(peer, clients[peer.name], work, 0.5)
            report[name] = bench.take_turns(
                peers, options.rounds, lambda peer: measure(peer, clients[peer.name], work, options.seconds))
            bench.show(name, unit, peers, report[name])
        for name in more:
            if name in works:
                more[name](peers, report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
