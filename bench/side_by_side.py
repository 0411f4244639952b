#!/usr/bin/env python3
"""Runs one kind of load against nginx, HAProxy and zlh-edge in turn and compares them.

All three have one worker, the same certificate, the same backend (an nginx with static files on loopback) and no access
log; ours checks a session cookie, which the others are sent too. The CPU time is utime + stime of the proxy process
alone, read from /proc before and after each round. Rounds are interleaved, because a machine's speed wanders: the
figure to trust is the ratio to ours within a round, of which the median is printed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOMAIN = "zlh.localhost"
HOST = f"dev-1101.{DOMAIN}"
TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")

# name: (file, what a unit is, driver's arguments)
WORKS = {
    "keepalive": ("1k", "request", ["wrk", "-c", "64"]),
    "http2": ("1k", "request", ["h2load", "-c", "32", "-m", "8"]),
    "download": ("10m", "download", ["wrk", "-c", "4"]),
    "handshake": ("1k", "handshake", ["wrk", "-c", "16", "-H", "Connection: close"]),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen, log: pathlib.Path) -> None:
    deadline = time.monotonic() + Peer.patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{' '.join(process.args)}: not listening\n{log.read_text(errors='replace')[-2000:]}")


def cpu_us(pid: int) -> int:
    """User and system time of a process so far, all its threads, ended ones too (proc_pid_stat(5))."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_US


class Peer:
    """One program under test. `headers` are sent with every request."""

    # What another script wants to be run instead of `command`, and seconds that starting may take then.
    wrap = staticmethod(lambda name, folder, command: command)
    patience = 10

    def __init__(self, name: str, folder: pathlib.Path, command: list[str], port: int, headers: dict[str, str]):
        self.name, self.folder, self.port, self.headers = name, folder, port, headers
        command = Peer.wrap(name, folder, command)
        log = folder / f"{name}.log"
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        RUNNING.append(self.process)
        wait_for_port(port, self.process, log)


RUNNING: list[subprocess.Popen] = []


def stop_all() -> None:
    for process in RUNNING:
        process.send_signal(signal.SIGTERM)
    for process in RUNNING:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    RUNNING.clear()


def nginx_command(folder: pathlib.Path, name: str, http: str) -> list[str]:
    """nginx as one process without a master, so that its CPU time is all in one place."""
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{name}-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / f"{name}.conf"
    config.write_text(f"""
daemon off; master_process off; worker_processes 1; pid {folder}/{name}.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; {temporary}
{http}
}}
""")
    return ["nginx", "-p", str(folder), "-c", str(config)]


def start_backend(folder: pathlib.Path) -> int:
    port = free_port()
    files = folder / "files"
    files.mkdir()
    (files / "1k").write_bytes(b"x" * 1024)
    (files / "10m").write_bytes(b"x" * 10 * 1024 * 1024)
    Peer("backend", folder, nginx_command(folder, "backend", f"""
sendfile on; tcp_nopush on; open_file_cache max=100;
server {{ listen 127.0.0.1:{port} backlog=4096; root {files}; }}"""), port, {})
    return port


def start_nginx(folder: pathlib.Path, backend: int, more: str = "") -> Peer:
    """`more` is for nginx's `http` block."""
    port = free_port()
    return Peer("nginx", folder, nginx_command(folder, "nginx", f"""
{more}
upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 100000000; }}
server {{
    listen 127.0.0.1:{port} ssl http2 backlog=4096;
    ssl_certificate {folder}/wildcard.crt; ssl_certificate_key {folder}/wildcard.key;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on; http2_max_requests 100000000;
    location / {{
        proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https; proxy_max_temp_file_size 0;
    }}
    location /ws {{
        proxy_pass http://backend; proxy_http_version 1.1; proxy_read_timeout 300s;
        proxy_set_header Connection "upgrade"; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https;
    }}
}}"""), port, {})


def start_haproxy(folder: pathlib.Path, backend: int) -> Peer:
    port = free_port()
    pem = folder / "both.pem"
    pem.write_text((folder / "wildcard.crt").read_text() + (folder / "wildcard.key").read_text())
    config = folder / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 1
    maxconn 8192
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 3s
    timeout client 300s
    timeout server 300s
    timeout tunnel 1h
    http-reuse always
    option forwardfor
frontend https
    bind 127.0.0.1:{port} ssl crt {pem} alpn h2,http/1.1 backlog 4096
    http-request set-header X-Forwarded-Proto https
    default_backend files
backend files
    server one 127.0.0.1:{backend}
""")
    return Peer("haproxy", folder, ["haproxy", "-db", "-f", str(config)], port, {})


def start_edge(folder: pathlib.Path, backend: int, binary: str, compression: bool = False,
               exempt: str = "127.0.0.0/8") -> Peer:
    port = free_port()
    keys = folder / "keys"
    subprocess.run([binary, "token", "keygen", "--out", str(keys)], check=True, stdout=subprocess.DEVNULL)
    private, = (p for p in keys.iterdir() if "PRIVATE KEY" in p.read_text())
    public, = (p for p in keys.iterdir() if '"keys"' in p.read_text())
    config = folder / "edge.yaml"
    config.write_text(f"""
domain: {DOMAIN}
state: {folder}/state
routes: routes.yaml
threads: 1
upstreams: [127.0.0.0/8]
listen: {{ https: ["127.0.0.1:{port}"], metrics: "", admin: "{folder}/admin.sock" }}
tls: {{ certificates: [{{ certificate: wildcard.crt, key: wildcard.key }}] }}
ide: {{ launch: {{ keys: "{public}" }}, compression: {str(compression).lower()} }}
log: {{ level: warning, access: false }}
limits: {{ exempt: [{exempt}], upstream: {{ per_vmid: 512, queue: 4096 }} }}
""")
    (folder / "routes.yaml").write_text(f"ide:\n  1101: {{ address: 127.0.0.1, port: {backend}, generation: bench }}\n")
    peer = Peer("zlh-edge", folder, [binary, "run", "--config", str(config)], port, {})
    url = subprocess.run(
        [binary, "token", "issue", "--config", str(config), "--vmid", "1101", "--user", "bench", "--key", str(private),
         "--url"], check=True, capture_output=True, text=True).stdout.strip()
    path = re.sub(r"^https://[^/]*", "", url)
    answer = subprocess.run(
        ["curl", "-sS", "-o", os.devnull, "-D", "-", "--cacert", str(folder / "ca.crt"), "--resolve",
         f"{HOST}:{port}:127.0.0.1", f"https://{HOST}:{port}{path}"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"^set-cookie: (__Host-zlh_s=[^;\r\n]+)", answer, re.I | re.M)
    if not found:
        raise SystemExit(f"the launch set no session cookie:\n{answer}")
    peer.headers = {"Cookie": found[1]}
    return peer


def drive(work: str, peer: Peer, headers: dict[str, str], seconds: int) -> "Round":
    """One round of the load that the driver of `work` makes."""
    path, _, tool = WORKS[work]
    url = f"https://127.0.0.1:{peer.port}/{path}"
    host = f"{HOST}:{peer.port}"
    command = list(tool)
    if tool[0] == "wrk":
        command += ["-t", "1", "-d", f"{seconds}s", "-H", f"Host: {host}"]
    else:
        command += ["-t", "1", "-D", str(seconds), "--npn-list", "h2", "-H", f":authority: {host}"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    before, start = cpu_us(peer.process.pid), time.monotonic()
    output = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    if tool[0] == "h2load":
        must_be_http2(peer, output)
    used, elapsed = cpu_us(peer.process.pid) - before, time.monotonic() - start
    if tool[0] == "wrk":
        done = int(re.search(r"(\d+) requests in", output)[1])
        failed = int((re.search(r"Non-2xx or 3xx responses: (\d+)", output) or [0, 0])[1])
    else:
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
        done, failed = int(codes[1]), int(codes[3]) + int(codes[4])
    if failed or not done:
        raise SystemExit(f"{peer.name}: {failed} of {done} answers are errors\n{output}")
    return done / elapsed, used / done, used / 1e6 / elapsed


def must_be_http2(peer: Peer, output: str) -> None:
    """h2load goes on with HTTP/1.1 when ALPN did not give h2; such figures would mean something else."""
    found = re.search(r"^Application protocol: (\S+)", output, re.M)
    if not found or found[1] != "h2":
        raise SystemExit(f"{peer.name}: ALPN gave {found[1] if found else 'nothing'}, not h2\n{output}")


def usable(binary: str) -> bool:
    """Whether there is a gateway to measure yet."""
    try:
        return subprocess.run([binary, "run", "--help"], capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


# One round's outcome: units a second, CPU µs a unit, and how busy the process kept a CPU (0 to 1).
Round = tuple[float, float, float]


def take_turns(peers: list[Peer], rounds: int, one_round) -> dict[str, list[Round]]:
    """Lets `one_round(peer)` measure each peer so many times, beginning with another one each time."""
    results: dict[str, list[Round]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        shift = number % len(peers)
        for peer in peers[shift:] + peers[:shift]:
            results[peer.name].append(one_round(peer))
    return results


def against(rounds: list[tuple], theirs: list[tuple]) -> str:
    """The two last columns: the median of the rounds' ratios of CPU time, and their spread."""
    ratios = [mine[1] / other[1] for mine, other in zip(rounds, theirs)]
    span = f"{min(ratios):.2f} … {max(ratios):.2f}"
    return f"{statistics.median(ratios):18.3f}{span:>16}"


def show(work: str, unit: str, peers: list[Peer], results: dict[str, list[Round]]) -> None:
    reference = peers[-1].name
    print(f"\n{work}: medians of {len(results[reference])} rounds")
    print(f"{'':10}{unit + 's/s':>14}{'CPU µs/' + unit:>20}{'busy':>8}{'CPU ÷ ' + reference:>18}{'min … max':>16}")
    for peer in peers:
        rounds = results[peer.name]
        rate, cost, busy = (statistics.median(values) for values in zip(*rounds))
        print(f"{peer.name:10}{rate:14.0f}{cost:20.1f}{busy:8.0%}{against(rounds, results[reference])}")


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every script here takes, as `make bench` gives all of them the same."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of one round of one peer")
    parser.add_argument("--binary", default=str(ROOT / ".build/release/zlh-edge"))
    parser.add_argument("--peers", default="nginx,haproxy,zlh-edge", help="which of them, the last is the reference")
    parser.add_argument("--json", type=pathlib.Path, help="also write every round to this file")
    return parser


@contextlib.contextmanager
def running(options: argparse.Namespace, *tools: str, backend=start_backend):
    """The peers that `options` ask for, started on a backend of their own; ends them and tidies up afterwards."""
    wanted = options.peers.split(",")
    missing = [name for name in {*wanted, "nginx", *tools} - {"zlh-edge"} if not shutil.which(name)]
    if missing:
        raise SystemExit(f"not installed: {' '.join(sorted(missing))} (make bench installs them)")
    if "zlh-edge" in wanted and not usable(options.binary):
        print(f"{options.binary} cannot run yet; measuring the peers alone", file=sys.stderr)
        wanted.remove("zlh-edge")

    folder = pathlib.Path(tempfile.mkdtemp(prefix="zlh-bench-"))
    starters = {"nginx": start_nginx, "haproxy": start_haproxy,
                "zlh-edge": lambda folder, backend: start_edge(folder, backend, options.binary)}
    try:
        subprocess.run([ROOT / "certs/make-dev-certs.sh", DOMAIN, folder], check=True, stdout=subprocess.DEVNULL)
        port = backend(folder)
        yield [starters[name](folder, port) for name in wanted]
    finally:
        stop_all()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--work", choices=WORKS, default="keepalive")
    options = parser.parse_args()
    work = options.work
    _, unit, tool = WORKS[work]
    with running(options, tool[0]) as peers:
        headers = peers[-1].headers
        for peer in peers:
            drive(work, peer, headers, 1)
        results = take_turns(peers, options.rounds, lambda peer: drive(work, peer, headers, options.seconds))
        show(work, unit, peers, results)
        if options.json:
            options.json.write_text(json.dumps({"work": work, "rounds": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
