#!/usr/bin/env python3
"""User instructions per HTTPS 1.1 keep-alive request, counted by callgrind: nginx, HAProxy and zlh-edge in one run.

Instructions repeat where timings wander. One connection, 1 KiB answers, the same head for all (the session cookie
included, which ours checks); counting starts after a warm-up. `--profile FILE` keeps our callgrind output for
callgrind_annotate.
"""

import argparse
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import side_by_side as bench


def under_callgrind(folder: pathlib.Path):
    """Makes every peer started from now on run under callgrind, counting nothing yet."""
    original = bench.Peer.__init__

    def start(self, name, place, command, port, headers):
        if name != "backend":
            command = ["valgrind", "--tool=callgrind", "--instr-atstart=no",
                       f"--callgrind-out-file={folder}/callgrind.{name}", *command]
        original(self, name, place, command, port, headers)

    bench.Peer.__init__ = start
    wait = bench.wait_for_port
    # Starting takes several times as long in there.
    bench.wait_for_port = lambda port, process, log: retry(wait, port, process, log)


def retry(wait, *arguments):
    for _ in range(6):
        try:
            return wait(*arguments)
        except SystemExit:
            if arguments[1].poll() is not None:
                raise
    return wait(*arguments)


class Client:
    """One connection that sends the same request again and again."""

    def __init__(self, port: int, headers: dict[str, str]):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=bench.HOST)
        lines = [f"GET /1k HTTP/1.1", f"Host: {bench.HOST}:{port}", "User-Agent: instructions",
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


def control(pid: int, *arguments: str) -> None:
    subprocess.run(["callgrind_control", *arguments, str(pid)], check=True, capture_output=True)


def total(folder: pathlib.Path, name: str) -> int:
    counted = 0
    for file in folder.glob(f"callgrind.{name}*"):
        for found in re.finditer(r"^(?:totals|summary): (\d+)", file.read_text(errors="replace"), re.M):
            counted = max(counted, int(found[1]))
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--binary", default=str(bench.ROOT / ".build/release/zlh-edge"))
    parser.add_argument("--peers", default="nginx,haproxy,zlh-edge")
    parser.add_argument("--profile", type=pathlib.Path)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zlh-bench-"))
    # Valgrind does not read Swift's debug information; symbols are enough.
    binary = str(folder / "zlh-edge")
    subprocess.run(["objcopy", "--strip-debug", options.binary, binary], check=True)
    starters = {"nginx": bench.start_nginx, "haproxy": bench.start_haproxy,
                "zlh-edge": lambda folder, backend: bench.start_edge(folder, backend, binary)}
    try:
        subprocess.run([bench.ROOT / "certs/make-dev-certs.sh", bench.DOMAIN, folder], check=True,
                       stdout=subprocess.DEVNULL)
        backend = bench.start_backend(folder)
        under_callgrind(folder)
        peers = [starters[name](folder, backend) for name in options.peers.split(",")]
        headers = peers[-1].headers
        for peer in peers:
            client = Client(peer.port, headers)
            client.run(50)
            control(peer.process.pid, "-i", "on")
            client.run(options.requests)
            control(peer.process.pid, "-i", "off")
            control(peer.process.pid, "-d")
            time.sleep(0.5)
            print(f"{peer.name:10} {total(folder, peer.name) / options.requests:10.0f} user instructions a request")
        if options.profile:
            newest = max(folder.glob("callgrind.zlh-edge*"), key=lambda file: file.stat().st_size)
            shutil.copy(newest, options.profile)
    finally:
        bench.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
