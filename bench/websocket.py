#!/usr/bin/env python3
"""WebSockets over TLS through nginx, HAProxy and zlh-edge in one run: what an idle one holds, and what traffic costs.

idle       memory of the proxy process for each of many connections that said something once and then nothing
roundtrip  CPU time for a message of 100 bytes to the container and back, on several connections
bulk       CPU time for 10 MB from the container to the client
"""

import json
import pathlib
import resource
import socket
import ssl
import sys
import time

import side_by_side as bench
from websocket_backend import BULK

WORKS = ("idle", "roundtrip", "bulk")
# A FIN binary frame under the masking key zero, and as it comes back.
MESSAGE = b"\x82" + bytes((0x80 | 100,)) + bytes(4) + b"x" * 100
ECHO = b"\x82" + bytes((100,)) + b"x" * 100
ASK_FOR_BULK = b"\x82\x81" + bytes(4) + b"b"


def start_backend(folder: pathlib.Path) -> int:
    port = bench.free_port()
    bench.Peer("backend", folder, [sys.executable, str(bench.ROOT / "bench/websocket_backend.py"), str(port)], port, {})
    return port


def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


TLS = tls_context()


class Client:
    """One WebSocket through a peer."""

    def __init__(self, peer: bench.Peer, headers: dict[str, str]):
        plain = socket.create_connection(("127.0.0.1", peer.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = TLS.wrap_socket(plain, server_hostname=bench.HOST)
        host = f"{bench.HOST}:{peer.port}"
        lines = ["GET /ws HTTP/1.1", f"Host: {host}", f"Origin: https://{host}", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                 *(f"{name}: {value}" for name, value in headers.items())]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.receive()
        if not answer.startswith(b"HTTP/1.1 101"):
            raise SystemExit(f"{peer.name} did not upgrade:\n{answer.decode(errors='replace')}")

    def receive(self) -> bytes:
        got = self.socket.recv(65536)
        if not got:
            raise SystemExit("a WebSocket was closed")
        return got

    def await_echo(self) -> None:
        answer = self.receive()
        while len(answer) < len(ECHO):
            answer += self.receive()
        if answer != ECHO:
            raise SystemExit("an echo differs from what was sent")

    def run(self, count: int) -> int:
        for _ in range(count):
            round_trips([self])
        return count

    def take_bulk(self, buffer: memoryview) -> None:
        self.socket.sendall(ASK_FOR_BULK)
        left = len(BULK)
        while left > 0:
            got = self.socket.recv_into(buffer)
            if not got:
                raise SystemExit("a WebSocket was closed")
            left -= got


def round_trips(clients: list[Client]) -> int:
    for client in clients:
        client.socket.sendall(MESSAGE)
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


def idle(peer: bench.Peer, headers: dict[str, str], count: int, seconds: float) -> dict[str, float]:
    """KiB for each of `count` idle WebSockets."""
    first = Client(peer, headers)
    round_trips([first])
    time.sleep(seconds)
    before = memory_kib(peer.process.pid)
    clients = [Client(peer, headers) for _ in range(count)]
    round_trips(clients)
    time.sleep(seconds)
    after = memory_kib(peer.process.pid)
    for client in [first, *clients]:
        client.socket.close()
    return {kind: (after[kind] - before[kind]) / count for kind in before}


def show_idle(count: int, results: dict[str, dict[str, float]]) -> None:
    print(f"\nidle: KiB of process memory for each of {count} WebSockets")
    print(f"{'':10}{'anonymous':>12}{'resident':>12}")
    for name, kib in results.items():
        print(f"{name:10}{kib['Anonymous']:12.1f}{kib['Rss']:12.1f}")


def allow_descriptors(count: int) -> None:
    """A proxy has two for each WebSocket. Those that are started later inherit the limit."""
    needed = 2 * count + 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 20_000 if hard == resource.RLIM_INFINITY else min(hard, 20_000)
    if needed > allowed:
        raise SystemExit(f"{count} WebSockets need {needed} descriptors, {allowed} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def main() -> None:
    parser = bench.arguments(__doc__)
    parser.add_argument("--work", choices=WORKS, action="append", help="only this; may be repeated")
    parser.add_argument("--connections", type=int, default=2000, help="of the idle ones")
    parser.add_argument("--quiet", type=float, default=3, help="seconds without traffic before memory is read")
    parser.add_argument("--parallel", type=int, default=16, help="connections of roundtrip")
    options = parser.parse_args()
    works = options.work or WORKS
    if "idle" in works:
        allow_descriptors(options.connections)
    report = {}
    with bench.running(options, backend=start_backend) as peers:
        headers = peers[-1].headers
        if "idle" in works:
            report["idle"] = {
                peer.name: idle(peer, headers, options.connections, options.quiet) for peer in peers}
            show_idle(options.connections, report["idle"])
        for name, unit, parallel, work in (
            ("roundtrip", "round trip", options.parallel, round_trips), ("bulk", "10 MB", 1, bulk_once)):
            if name not in works:
                continue
            clients = {peer.name: [Client(peer, headers) for _ in range(parallel)] for peer in peers}
            for peer in peers:
                measure(peer, clients[peer.name], work, 0.5)
            report[name] = bench.take_turns(
                peers, options.rounds, lambda peer: measure(peer, clients[peer.name], work, options.seconds))
            bench.show(name, unit, peers, report[name])
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
