#!/usr/bin/env python3
"""User instructions per HTTPS request, counted by callgrind: nginx, HAProxy and zlh-edge in one run.

Instructions repeat where timings wander. 1 KiB answers, the same head for all (the session cookie included, which ours
checks); counting starts after a warm-up. HTTP/1.1 is one keep-alive connection; HTTP/2 is four with eight streams each.
`--profile FILE` keeps our callgrind output for callgrind_annotate, of the last protocol asked for.
"""

import json
import pathlib
import shutil
import socket
import ssl

import callgrind
import http2_client
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

    def run(self, count: int) -> int:
        for _ in range(count):
            self.socket.sendall(self.request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += self.receive()
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            while len(body) < 1024:
                body += self.receive()
        return count

    def receive(self) -> bytes:
        got = self.socket.recv(65536)
        assert got, "closed"
        return got


CLIENTS = {"http1": Client, "http2": http2_client.Client}


def main() -> None:
    parser = bench.arguments(__doc__)
    parser.add_argument("--protocol", choices=CLIENTS, action="append", help="only this; may be repeated")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--profile", type=pathlib.Path)
    options = parser.parse_args()
    report = {}
    with callgrind.running(options) as peers:
        headers = peers[-1].headers
        for protocol in options.protocol or CLIENTS:
            for peer in peers:
                client = CLIENTS[protocol](peer, headers)
                client.run(WARM_UP)
                profile, done = callgrind.count(peer, lambda: client.run(options.requests))
                each = profile.instructions / done
                report.setdefault(protocol, {})[peer.name] = each
                print(f"{protocol} {peer.name:10} {each:10.0f} user instructions a request")
                if options.profile and peer.name == "zlh-edge":
                    shutil.copy(profile.file, options.profile)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
