#!/usr/bin/env python3
"""Minecraft tunnels through nginx stream, HAProxy (splicing) and zlh-edge in one run.

idle       memory of the proxy process for each of many players that said something once and then nothing
roundtrip  CPU time for 100 bytes to the server and back, on several connections
bulk       CPU time for 10 MB from the server to the player
flood      connections a second that zlh-edge alone accepts and closes for not being Minecraft, and its CPU time for one
"""

import pathlib
import socket
import subprocess
import sys
import time

import side_by_side as bench
import tunnels
from minecraft_backend import BULK, HELLO


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


class Client(tunnels.Client):
    """One player through a peer."""

    message = echo = b"x" * 100
    ask_for_bulk = b"b"
    bulk_bytes = len(BULK)

    def __init__(self, peer: bench.Peer, headers: dict[str, str]):
        self.socket = socket.create_connection(("127.0.0.1", peer.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(HELLO)
        if self.socket.recv(1) != b"+":
            raise SystemExit(f"{peer.name} let no player in")


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


def main() -> None:
    bench.start_nginx, bench.start_haproxy, bench.start_edge = start_nginx, start_haproxy, start_edge
    options = tunnels.arguments(__doc__, (*tunnels.WORKS, "flood")).parse_args()

    def flood_ours(peers: list[bench.Peer], report: dict) -> None:
        edges = [peer for peer in peers if peer.name == "zlh-edge"]
        if edges:
            report["flood"] = bench.take_turns(edges, options.rounds, lambda peer: flood(peer, options.seconds))
            bench.show("flood", "connection", edges, report["flood"])

    tunnels.compare(options, "players", Client, start_backend, {"flood": flood_ours})


if __name__ == "__main__":
    main()
