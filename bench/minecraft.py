#!/usr/bin/env python3
"""Minecraft tunnels through nginx stream, HAProxy (splicing) and zlh-edge in one run.

idle       memory of the proxy process for each of many players that said something once and then nothing
roundtrip  CPU time for 100 bytes to the server and back, on several connections
bulk       CPU time for 10 MB from the server to the player
flood      connections a second that zlh-edge alone accepts and closes for not being Minecraft, and its CPU time for one
"""

import json
import pathlib
import socket
import subprocess
import sys
import time

import side_by_side as bench
import websocket as tunnels
from minecraft_backend import BULK, HELLO

WORKS = ("idle", "roundtrip", "bulk", "flood")
MESSAGE = b"x" * 100
PEERS = ("nginx", "haproxy", "zlh-edge")


def start_backend(folder: pathlib.Path) -> int:
    port = bench.free_port()
    bench.Peer("backend", folder, [sys.executable, str(bench.ROOT / "bench/minecraft_backend.py"), str(port)], port, {})
    return port


def start_nginx(folder: pathlib.Path, backend: int) -> bench.Peer:
    port = bench.free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 16384; }}
stream {{
    server {{
        listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{backend}; proxy_timeout 1h; tcp_nodelay on;
    }}
}}
""")
    return bench.Peer("nginx", folder, ["nginx", "-p", str(folder), "-c", str(config)], port, {})


def start_haproxy(folder: pathlib.Path, backend: int) -> bench.Peer:
    port = bench.free_port()
    config = folder / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 1
    maxconn 6000
defaults
    mode tcp
    option splice-auto
    timeout connect 3s
    timeout client 1h
    timeout server 1h
listen game
    bind 127.0.0.1:{port} backlog 4096
    server one 127.0.0.1:{backend}
""")
    return bench.Peer("haproxy", folder, ["haproxy", "-db", "-f", str(config)], port, {})


def start_edge(folder: pathlib.Path, backend: int, binary: str) -> bench.Peer:
    port = bench.free_port()
    keys = folder / "keys"
    subprocess.run([binary, "token", "keygen", "--out", str(keys)], check=True, stdout=subprocess.DEVNULL)
    public, = (path for path in keys.iterdir() if '"keys"' in path.read_text())
    config = folder / "edge.yaml"
    config.write_text(f"""
domain: {bench.DOMAIN}
state: {folder}/state
routes: routes.yaml
threads: 1
upstreams: [127.0.0.0/8]
listen:
  {{ https: ["127.0.0.1:{bench.free_port()}"], minecraft: ["127.0.0.1:{port}"], metrics: "", admin: "{folder}/admin.sock" }}
tls: {{ certificates: [{{ certificate: wildcard.crt, key: wildcard.key }}] }}
ide: {{ launch: {{ keys: "{public}" }} }}
log: {{ level: warning, access: false }}
limits: {{ exempt: [127.0.0.0/8], tunnel_idle: {{ minecraft: 1h }} }}
""")
    (folder / "routes.yaml").write_text(
        f'minecraft: [{{ host: bench.test, kind: direct, backends: [{{ address: "127.0.0.1:{backend}" }}] }}]\n')
    return bench.Peer("zlh-edge", folder, [binary, "run", "--config", str(config)], port, {})


class Client:
    """One player through a peer."""

    def __init__(self, peer: bench.Peer):
        self.socket = socket.create_connection(("127.0.0.1", peer.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(HELLO)
        if self.socket.recv(1) != b"+":
            raise SystemExit(f"{peer.name} let no player in")

    def await_echo(self) -> None:
        left = len(MESSAGE)
        while left > 0:
            got = len(self.socket.recv(left))
            if not got:
                raise SystemExit("a tunnel was closed")
            left -= got

    def take_bulk(self, buffer: memoryview) -> None:
        self.socket.sendall(b"b")
        left = len(BULK)
        while left > 0:
            got = self.socket.recv_into(buffer)
            if not got:
                raise SystemExit("a tunnel was closed")
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


def idle(peer: bench.Peer, count: int, quiet: float) -> dict[str, float]:
    """KiB for each of `count` idle players."""
    first = Client(peer)
    round_trips([first])
    time.sleep(quiet)
    before = tunnels.memory_kib(peer.process.pid)
    clients = [Client(peer) for _ in range(count)]
    round_trips(clients)
    time.sleep(quiet)
    after = tunnels.memory_kib(peer.process.pid)
    for client in [first, *clients]:
        client.socket.close()
    return {kind: (after[kind] - before[kind]) / count for kind in before}


def flood(peer: bench.Peer, seconds: float) -> bench.Round:
    """Connections that are not Minecraft, a batch at a time."""
    done = 0
    before, start = bench.cpu_us(peer.process.pid), time.monotonic()
    while time.monotonic() < start + seconds:
        batch = []
        for _ in range(64):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", peer.port))
            batch.append(client)
        for client in batch:
            client.setblocking(True)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        for client in batch:
            try:
                client.recv(1)
            except ConnectionError:
                pass
            client.close()
        done += len(batch)
    used, elapsed = bench.cpu_us(peer.process.pid) - before, time.monotonic() - start
    return done / elapsed, used / done, used / 1e6 / elapsed


def show_idle(count: int, results: dict[str, dict[str, float]]) -> None:
    print(f"\nidle: KiB of process memory for each of {count} players")
    print(f"{'':10}{'anonymous':>12}{'resident':>12}")
    for name, kib in results.items():
        print(f"{name:10}{kib['Anonymous']:12.2f}{kib['Rss']:12.2f}")


def main() -> None:
    bench.start_nginx, bench.start_haproxy, bench.start_edge = start_nginx, start_haproxy, start_edge
    parser = bench.arguments(__doc__)
    parser.add_argument("--work", choices=WORKS, action="append", help="only this; may be repeated")
    parser.add_argument("--connections", type=int, default=2000, help="of the idle ones")
    parser.add_argument("--quiet", type=float, default=3, help="seconds without traffic before memory is read")
    parser.add_argument("--parallel", type=int, default=16, help="connections of roundtrip")
    options = parser.parse_args()
    works = options.work or WORKS
    if "idle" in works:
        tunnels.allow_descriptors(options.connections)
    report = {}
    with bench.running(options, backend=start_backend) as peers:
        if "idle" in works:
            report["idle"] = {peer.name: idle(peer, options.connections, options.quiet) for peer in peers}
            show_idle(options.connections, report["idle"])
        for name, unit, parallel, work in (
            ("roundtrip", "round trip", options.parallel, round_trips), ("bulk", "10 MB", 1, bulk_once)):
            if name not in works:
                continue
            clients = {peer.name: [Client(peer) for _ in range(parallel)] for peer in peers}
            for peer in peers:
                tunnels.measure(peer, clients[peer.name], work, 0.5)
            report[name] = bench.take_turns(
                peers, options.rounds, lambda peer: tunnels.measure(peer, clients[peer.name], work, options.seconds))
            bench.show(name, unit, peers, report[name])
        edges = [peer for peer in peers if peer.name == "zlh-edge"]
        if "flood" in works and edges:
            report["flood"] = bench.take_turns(edges, options.rounds, lambda peer: flood(peer, options.seconds))
            bench.show("flood", "connection", edges, report["flood"])
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
