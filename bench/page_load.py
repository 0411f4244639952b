#!/usr/bin/env python3
"""An IDE's page load over one HTTP/2 connection: 24 MB in hundreds of small files, nginx, HAProxy and zlh-edge in turn.

The files are made up, the same in each run: scripts, styles and JSON of 300 bytes to 400 KB. h2load asks for all of
them with 100 streams at a time, several loads one after another. First nobody compresses; then nginx and zlh-edge do,
the same types at the same level of zlib, so that CPU time and bytes can be compared. A byte too few, an answer that is
not a 200, or one that is not compressed when it should be ends the run.
"""

import argparse
import json
import math
import pathlib
import random
import re
import statistics
import subprocess
import time

import side_by_side as bench

TOTAL = 24_000_000
SMALLEST, LARGEST = 300, 400_000
TYPES = {"js": 0.7, "css": 0.1, "json": 0.2}
# Of `mime.types`, beside text/html, which nginx always compresses.
COMPRESSED = "application/javascript text/css application/json"


class Author:
    """Writes text that compresses as well as built scripts do, to a third: names and phrases, few of them often."""

    def __init__(self, chance: random.Random):
        self.chance = chance
        letters = "etaoinsrhldcumfpgwybvk"
        names = ["".join(chance.choices(letters, k=chance.randint(1, 11))) for _ in range(3000)]
        often = [1 / (place + 3) for place in range(len(names))]
        phrases = [".".join(chance.choices(names, often, k=chance.randint(2, 5))) for _ in range(3000)]
        self.names = [name for pair in zip(names, phrases) for name in pair]
        self.often = [1 / (place + 3) for place in range(len(self.names))]
        self.marks = {
            "js": ["(", ")", "{", "}", ";", ",", ".", "=", "=>", "return ", "const ", "this.", "function(", "\n", "&&"],
            "css": ["{", "}", ":", ";", "px", "var(--", ")", ".", "#", "\n  ", "margin:", "color:"],
            "json": ['"', '":"', '","', "{", "}", "[", "]", ":", ",", "\n"],
        }

    def write(self, kind: str, size: int) -> bytes:
        count = size // 4 + 16
        names = self.chance.choices(self.names, self.often, k=count)
        marks = self.chance.choices(self.marks[kind], k=count)
        text = "".join(part for pair in zip(names, marks) for part in pair)
        while len(text) < size:
            text += text
        return text[:size].encode()


def make_files(folder: pathlib.Path) -> list[str]:
    """Writes the files; their paths."""
    chance = random.Random(24)
    author = Author(chance)
    paths, left = [], TOTAL
    while left > 0:
        kind, = chance.choices(list(TYPES), TYPES.values())
        size = round(math.exp(chance.uniform(math.log(SMALLEST), math.log(LARGEST))))
        size = min(size, left)
        left -= size
        paths.append(f"static/{len(paths):04}.{kind}")
        (folder / paths[-1]).write_bytes(author.write(kind, size))
    return paths


def start_backend(folder: pathlib.Path) -> int:
    port = bench.free_port()
    files = folder / "files"
    (files / "static").mkdir(parents=True)
    (folder / "paths").write_text("".join(f"/{path}\n" for path in make_files(files)))
    bench.Peer("backend", folder, bench.nginx_command(folder, "backend", f"""
include /etc/nginx/mime.types; sendfile on; tcp_nopush on; open_file_cache max=4000;
server {{ listen 127.0.0.1:{port} backlog=4096; root {files}; }}"""), port, {})
    return port


def load(peer: bench.Peer, headers: dict[str, str], times: int, compressed: bool) -> tuple[float, float, float]:
    """So many page loads: wall ms, CPU ms and MB on the wire of one."""
    files = peer.folder / "paths"
    base = f"https://127.0.0.1:{peer.port}"
    urls = peer.folder / f"{peer.name}.urls"
    count = len(files.read_text().splitlines())
    urls.write_text("".join(base + line for line in files.read_text().splitlines(keepends=True)))
    command = ["h2load", "-t", "1", "-c", "1", "-m", "100", "-n", str(count * times), "-i", str(urls),
               "--npn-list", "h2", "-H", f":authority: {bench.HOST}:{peer.port}"]
    for name, value in {**headers, **({"accept-encoding": "gzip", "sec-fetch-site": "same-origin"} if compressed else {})}.items():
        command += ["-H", f"{name}: {value}"]
    before = bench.cpu_us(peer.process.pid)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    time.sleep(0.05)
    used = bench.cpu_us(peer.process.pid) - before
    bench.must_be_http2(peer, output)
    good = int(re.search(r"status codes: (\d+) 2xx", output)[1])
    seconds = re.search(r"finished in ([\d.]+)(m?s|us)", output)
    total, data = (int(re.search(rf"\((\d+)\) {what}", output)[1]) for what in ("total", "data"))
    if good != count * times:
        raise SystemExit(f"{peer.name}: {good} of {count * times} answers are 200\n{output}")
    if compressed and data > times * TOTAL * 0.6:
        raise SystemExit(f"{peer.name} did not compress: {data} of {times * TOTAL} bytes")
    if not compressed and data != times * TOTAL:
        raise SystemExit(f"{peer.name}: {data} of {times * TOTAL} bytes came")
    ms = float(seconds[1]) * {"s": 1000, "ms": 1, "us": 0.001}[seconds[2]]
    return ms / times, used / 1000 / times, total / times / 1e6


def show(title: str, peers: list[bench.Peer], results: dict[str, list[tuple[float, float, float]]]) -> None:
    reference = peers[-1].name
    print(f"\n{title}: medians of {len(results[reference])} rounds")
    print(f"{'':10}{'wall ms/load':>14}{'CPU ms/load':>14}{'MB/load':>10}{'CPU ÷ ' + reference:>18}{'min … max':>16}")
    for peer in peers:
        rounds = results[peer.name]
        wall, cpu, size = (statistics.median(values) for values in zip(*rounds))
        print(f"{peer.name:10}{wall:14.1f}{cpu:14.1f}{size:10.2f}{bench.against(rounds, results[reference])}")


def measure(options: argparse.Namespace, compressed: bool) -> dict[str, list[tuple[float, float, float]]]:
    with bench.running(options, "h2load", backend=start_backend) as peers:
        headers = peers[-1].headers
        for peer in peers:
            load(peer, headers, 1, compressed)
        results = bench.take_turns(
            peers, options.rounds, lambda peer: load(peer, headers, options.loads, compressed))
        show(f"gzip, level {options.level}" if compressed else "no compression", peers, results)
        return results


def main() -> None:
    parser = bench.arguments(__doc__)
    parser.add_argument("--loads", type=int, default=5, help="page loads of one round of one peer")
    parser.add_argument("--level", type=int, default=4, help="of nginx's gzip; ours is GzipSettings.level")
    options = parser.parse_args()
    report = {"plain": measure(options, compressed=False)}
    start_nginx, start_edge = bench.start_nginx, bench.start_edge
    gzip = (f"gzip on; gzip_proxied any; gzip_types {COMPRESSED}; gzip_comp_level {options.level}; "
            "gzip_min_length 1024; gzip_vary on; gzip_http_version 1.0;")
    bench.start_nginx = lambda folder, backend: start_nginx(folder, backend, gzip)
    bench.start_edge = lambda folder, backend, binary: start_edge(folder, backend, binary, compression=True)
    options.peers = ",".join(name for name in options.peers.split(",") if name != "haproxy")
    if options.peers:
        report["gzip"] = measure(options, compressed=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
