#!/usr/bin/env python3
"""User instructions per HTTPS 1.1 keep-alive request, counted by callgrind: nginx, HAProxy and zlh-edge in one run.

Instructions repeat where timings wander. One connection, 1 KiB answers, the same head for all (the session cookie
included, which ours checks); counting starts after a warm-up. `--profile FILE` keeps our callgrind output for
callgrind_annotate.
"""

import json
import pathlib
import shutil
import socket
import ssl

import callgrind
import side_by_side as bench

WARM_UP = 50


class Client:
    """One connection that sends the same request again and again."""

    def __init__(self, peer: bench.Peer, headers: dict[str, str]):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", peer.port))
        self.socket = context.wrap_socket(plain, server_hostname=bench.HOST)
        lines = ["GET /1k HTTP/1.1", f"Host: {bench.HOST}:{peer.port}", "User-Agent: instructions",
                 "Accept: */*", "Accept-Language: en", *(f"{name}: {value}" for name, value in headers.items())]
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode()

    def run(self, count: int) -> None:
        for _ in range(count):
            self.socket.sendall(self.request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += self.receive()
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            while len(body) < 1024:
                body += self.receive()

    def receive(self) -> bytes:
        got = self.socket.recv(65536)
        assert got, "closed"
        return got


def main() -> None:
    parser = bench.arguments(__doc__)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--profile", type=pathlib.Path)
    options = parser.parse_args()
    report = {}
    with callgrind.running(options) as peers:
        headers = peers[-1].headers
        for peer in peers:
            client = Client(peer, headers)
            client.run(WARM_UP)
            profile = callgrind.count(peer, lambda: client.run(options.requests))
            report[peer.name] = profile.instructions / options.requests
            print(f"{peer.name:10} {report[peer.name]:10.0f} user instructions a request")
            if options.profile and peer.name == "zlh-edge":
                shutil.copy(profile.file, options.profile)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
