"""The program under test: started, watched, measured and stopped."""

import copy
import http.client
import ipaddress
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import psutil
import yaml

from . import tokens
from .certs import Authority
from .http2 import Connection
from .raw import Answer, Raw
from .upstreams import Script, Upstream, replies

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("ZLH_EDGE_BIN", REPOSITORY / ".build/release/zlh-edge")).resolve()
DOMAIN = "zlh.localhost"
LIVE: list["Gateway"] = []

# Every per-source limit is switched off for loopback, so that only the tests about limits meet them.
DEFAULTS = {
    "domain": DOMAIN,
    "state": "state",
    "routes": "routes.yaml",
    "threads": 2,
    "upstreams": ["127.0.0.0/8"],
    "ide": {"launch": {"keys": "keys.jwks.json"}},
    "limits": {
        "exempt": ["127.0.0.0/8"],
        "drain": "3s",
        "upstream": {"connect": "1s", "response": "5s"},
    },
}


_given_out: set[int] = set()


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody has and that was not given out before: the kernel may offer one twice."""
    while True:
        with socket.socket() as probe:
            probe.bind((address, 0))
            port = probe.getsockname()[1]
        if port not in _given_out:
            _given_out.add(port)
            return port


def merged(base: dict, over: dict) -> dict:
    """`over` laid on `base`; a value of None removes the key."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def wait_for(condition, seconds: float = 5, what: str = "", every: float = 0.02):
    """Polls until `condition()` is truthy and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(every)


def flat(gw: "Gateway", allowed: int, work):
    """Runs `work` and checks the process's growth at its highest. What `work` returned."""
    top, stop = [0], threading.Event()
    before = gw.rss()

    def watch():
        while not stop.wait(0.05):
            top[0] = max(top[0], gw.rss())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = work()
    finally:
        stop.set()
        watcher.join()
    grown = max(top[0], gw.rss()) - before
    assert grown < allowed, f"grew by {grown / (1 << 20):.1f} MiB"
    return result


class Gateway:
    """One `zlh-edge run`. Forty IDE routes point to loopback addresses of their own, where `upstream()` puts a
    container when a test wants one; nobody listens there before."""

    address = "127.0.0.1"
    protocol = "http/1.1"  # what `client()` and `request()` speak: the fixture `http` sets it for every gateway

    def __init__(self, directory: Path, authority: Authority, config: dict | None = None,
                 keys: list[tokens.SigningKey] | None = None, routes: int = 40, environment: dict | None = None):
        self.directory, self.authority = directory, authority
        directory.mkdir(parents=True, exist_ok=True)
        self.port, self.metrics_port = free_port(), free_port()
        self.keys = keys or [tokens.SigningKey("EdDSA")]
        self.key = self.keys[0]
        self.context, self.context2 = authority.context(), authority.context(["h2"])
        self.environment = environment or {}
        self.process: subprocess.Popen | None = None
        self.log: list[dict] = []
        self.malformed: list[str] = []
        self.raw_log: list[str] = []
        self._logged = threading.Condition()
        self.upstreams: list = []
        self.expect_crash = False

        certificate, key, _ = authority.issue([f"*.{DOMAIN}", DOMAIN], f"wild-{self.port}")
        listen = {"https": [f"127.0.0.1:{self.port}"], "http": [], "minecraft": [],
                  "metrics": f"127.0.0.1:{self.metrics_port}", "admin": str(directory / "admin.sock")}
        self.config = merged(DEFAULTS, {
            "listen": listen,
            "tls": {"certificates": [{"certificate": str(certificate), "key": str(key)}]},
        })
        self.config = merged(self.config, config or {})
        net = f"127.{random.randrange(16, 240)}.{random.randrange(0, 250)}"
        self.routes: dict = {"ide": {
            1101 + n: {"address": f"{net}.{n + 1}", "port": 6000, "generation": f"g{1101 + n}"} for n in range(routes)
        }}
        self._free = iter(range(1101, 1101 + routes))
        self.config_file = directory / "edge.yaml"
        self.routes_file = directory / "routes.yaml"
        self.keys_file = directory / "keys.jwks.json"
        self.keys_file.write_text(tokens.jwks(*self.keys))
        self.write_config()
        self.save_routes()

    # --- files ---

    def write_config(self, **changes):
        self.config = merged(self.config, changes)
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def save_routes(self):
        text = yaml.safe_dump(self.routes, sort_keys=False)
        part = self.routes_file.with_suffix(".tmp")
        part.write_text(text)
        part.rename(self.routes_file)

    def write_routes(self, change=None, wait: bool = True, seconds: float = 5):
        """Changes the routes (a function over the dict), replaces the file and waits until it is serving."""
        before = self.generation()
        if change:
            change(self.routes)
        self.save_routes()
        if wait:
            wait_for(lambda: self.generation() != before, seconds, "the new routes to be taken")

    def generation(self) -> float:
        return self.metric("zlh_edge_routes_generation")

    # --- process ---

    def launch_arguments(self) -> list[str]:
        return [str(BINARY), "run", "--config", str(self.config_file)]

    def start(self, ready: bool = True, seconds: float = 10, stdout=None, preexec=None) -> "Gateway":
        self.stderr_file = open(self.directory / "stderr.txt", "ab")
        self.process = subprocess.Popen(
            self.launch_arguments(), stdout=stdout or subprocess.PIPE, stderr=self.stderr_file,
            stdin=subprocess.DEVNULL, cwd=self.directory, env={**os.environ, **self.environment}, preexec_fn=preexec)
        if stdout is None:
            self.reader = threading.Thread(target=self._read_log, args=(self.process.stdout,), daemon=True)
            self.reader.start()
        else:
            self.reader = None
        LIVE.append(self)
        if ready:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds: float = 10):
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode} at start:\n{self.tail()}")
            try:
                if self.plain("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"the gateway was not ready within {seconds} s:\n{self.tail()}")
            time.sleep(0.02)

    def _read_log(self, stream):
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip("\n")
            with self._logged:
                if len(self.raw_log) < 400_000:
                    self.raw_log.append(text)
                try:
                    entry = json.loads(text)
                    assert isinstance(entry, dict) and {"ts", "level", "event"} <= entry.keys()
                    self.log.append(entry)
                except (ValueError, AssertionError):
                    self.malformed.append(text)
                self._logged.notify_all()

    def stop(self, seconds: float = 15, expect: int | None = 0) -> int:
        """SIGTERM, and the exit status, which must be 0."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._finish()
            raise AssertionError(f"no exit within {seconds} s of SIGTERM:\n{self.tail()}")
        self._finish()
        if expect is not None:
            assert status == expect, f"exit status {status}:\n{self.tail()}"
        assert not self.malformed, f"log lines that are not JSON objects with ts, level, event: {self.malformed[:5]}"
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._finish()

    def _finish(self):
        if self.reader:
            self.reader.join(5)
        if self.process.stdout:
            self.process.stdout.close()
        self.stderr_file.close()
        self.process = None
        if self in LIVE:
            LIVE.remove(self)

    def restart(self) -> "Gateway":
        self.stop()
        return self.start()

    def close(self):
        """Everything gone; what the gateway did wrong on its way is raised."""
        try:
            if self.process is not None:
                self.stop()
        finally:
            for upstream in self.upstreams:
                upstream.close()

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int):
        self.process.send_signal(number)

    # --- what it says ---

    def tail(self, lines: int = 40) -> str:
        errors = (self.directory / "stderr.txt").read_text(errors="replace")[-3000:]
        return "\n".join(self.raw_log[-lines:]) + (f"\n--- stderr ---\n{errors}" if errors else "")

    def wait_log(self, match, seconds: float = 5, since: int = 0) -> dict:
        """The first log entry from `since` on that `match(entry)` accepts."""
        found: list[dict] = []

        def look():
            found[:] = [entry for entry in self.log[since:] if match(entry)]
            return found

        with self._logged:
            assert self._logged.wait_for(look, seconds), f"no such log line within {seconds} s:\n{self.tail()}"
            return found[0]

    def access(self, request_id: str, seconds: float = 3) -> dict:
        return self.wait_log(lambda entry: entry.get("request_id") == request_id and "status" in entry, seconds)

    def plain(self, path: str) -> tuple[int, str]:
        """One request to the metrics listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metrics(self) -> dict[tuple[str, frozenset], float]:
        status, text = self.plain("/metrics")
        assert status == 200, (status, text)
        return parse_metrics(text)

    def metric(self, name: str, /, **labels) -> float:
        """The sum of the samples of that name that carry these labels."""
        wanted = set(labels.items())
        return sum(value for (key, has), value in self.metrics().items() if key == name and wanted <= has)

    def refused(self, reason: str) -> float:
        return self.metric("zlh_edge_refused_total", reason=reason)

    def rss(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def descriptors(self) -> int:
        return psutil.Process(self.process.pid).num_fds()

    # --- using it ---

    def host(self, vmid: int, port: bool = False) -> str:
        return f"dev-{vmid}.{DOMAIN}" + (f":{self.port}" if port else "")

    def origin(self, vmid: int, port: bool = False) -> str:
        return "https://" + self.host(vmid, port)

    def claim_vmid(self) -> int:
        """A vmid with a route that no other test uses, at whose address nobody listens."""
        return next(self._free)

    def upstream(self, script: Script | bytes | None = None, vmid: int | None = None, **more) -> Upstream:
        """Puts a container behind a vmid of its own."""
        vmid = vmid if vmid is not None else self.claim_vmid()
        if script is None or isinstance(script, bytes):
            script = replies(script) if script else replies()
        route = self.routes["ide"][vmid]
        upstream = Upstream(route["address"], route["port"], script, vmid, **more)
        self.upstreams.append(upstream)
        return upstream

    def token(self, vmid: int, /, user: str = "alice", key: tokens.SigningKey | None = None, **claims) -> str:
        return tokens.compact(key or self.key, tokens.claims(vmid, user, **claims))

    def raw(self, vmid: int | None = None, **how) -> Raw:
        return Raw(self, vmid, **how)

    def client(self, vmid: int | None = None, **how) -> Raw | Connection:
        """A connection of the protocol that the test runs over."""
        return Connection(self, vmid, **how) if self.protocol == "h2" else Raw(self, vmid, **how)

    def http2(self, vmid: int | None = None, **how) -> Connection:
        return Connection(self, vmid, **how)

    def request(self, vmid: int, target: str = "/", headers=None, *, method: str = "GET", body: bytes | None = None,
                cookie: str | None = None, host: str | None = None, source: str | None = None,
                timeout: float = 20) -> Answer:
        """One request on a connection of its own."""
        with self.client(vmid, source=source, timeout=timeout) as client:
            fields = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
            if isinstance(client, Raw) and not any(name.lower() == "connection" for name, _ in fields):
                fields.append(("Connection", "close"))
            return client.request(method, target, fields, body, cookie=cookie, host=host)

    def redeem(self, vmid: int, token: str, next_path: str | None = None, headers=None, **how) -> Answer:
        """Opens the launch URL."""
        target = f"/.zlh/launch?token={token}"
        if next_path is not None:
            target += "&next=" + urllib.parse.quote(next_path, safe="")
        return self.request(vmid, target, headers or NAVIGATION, **how)

    def launch(self, vmid: int, user: str = "alice", **claims) -> str:
        """A session for that vmid: the cookie's value."""
        answer = self.redeem(vmid, self.token(vmid, user, **claims))
        assert answer.status == 303, answer
        return session_cookie(answer)


NAVIGATION = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate",
              "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
FETCH = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}


def session_cookie(answer: Answer) -> str:
    value = answer.cookies["__Host-zlh_s"].split(";")[0].split("=", 1)[1]
    assert value.startswith("v1."), value
    return value


def parse_metrics(text: str) -> dict[tuple[str, frozenset], float]:
    """Prometheus text, read strictly: a line that does not parse is an error."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)', line)
        assert match, f"not a sample: {line!r}"
        labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")
        key = (match[1], frozenset(labels))
        assert key not in found, f"twice: {line!r}"
        found[key] = float(match[3])
    return found


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def run(*arguments: str, config: Path | None = None, timeout: float = 20, stdin: str | None = None,
        cwd: Path | None = None, environment: dict | None = None) -> subprocess.CompletedProcess:
    """A one-off command of the program."""
    command = [str(BINARY), *arguments] + (["--config", str(config)] if config else [])
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin, cwd=cwd,
                          env={**os.environ, **(environment or {})})
