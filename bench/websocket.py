#!/usr/bin/env python3
"""WebSockets over TLS through nginx, HAProxy and zlh-edge in one run: what an idle one holds, and what traffic costs.

idle       memory of the proxy process for each of many connections that said something once and then nothing
roundtrip  CPU time for a message of 100 bytes to the container and back, on several connections
bulk       CPU time for 10 MB from the container to the client
"""

import pathlib
import socket
import ssl
import sys

import side_by_side as bench
import tunnels
from websocket_backend import BULK


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


class Client(tunnels.Client):
    """One WebSocket through a peer."""

    # A FIN binary frame under the masking key zero, and as it comes back.
    message = b"\x82" + bytes((0x80 | 100,)) + bytes(4) + b"x" * 100
    echo = b"\x82" + bytes((100,)) + b"x" * 100
    ask_for_bulk = b"\x82\x81" + bytes(4) + b"b"
    bulk_bytes = len(BULK)

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


def main() -> None:
    tunnels.compare(tunnels.arguments(__doc__).parse_args(), "WebSockets", Client, start_backend)


if __name__ == "__main__":
    main()
