"""An ACME authority of the test's own: Debian's `pebble`, the DNS it asks, and a stand-in for Cloudflare's API."""

import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path

from .certs import Authority
from .gateway import free_port, wait_for

DAY = 86400
# The lifetimes of Let's Encrypt's profiles.
LIFETIMES = {"tlsserver": 45 * DAY, "shortlived": 160 * 3600}
TOKEN = "cloudflare-token-of-the-test"


class AcmeServer:
    """Issues by one profile. pebble 2.4 (Debian 12) knows no profiles, but a lifetime; newer ones know both."""

    def __init__(self, directory: Path, authority: Authority, profile: str):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port, self.dns_port, self.dns_control = free_port(), free_port(), free_port()
        self.url = f"https://localhost:{self.port}/dir"
        certificate, key, _ = authority.issue(["localhost"], f"pebble-{self.port}", days=30)
        self.trust = str(authority.file)
        config = directory / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{free_port()}",
            "certificate": str(certificate), "privateKey": str(key), "httpPort": 1, "tlsPort": 1,
            "certificateValidityPeriod": LIFETIMES[profile],
            "profiles": {profile: {"description": profile, "validityPeriod": LIFETIMES[profile]}},
        }}))
        self._output = open(directory / "pebble.txt", "ab")
        self._processes = [
            self._start("pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns_port}", "-management",
                        f"127.0.0.1:{self.dns_control}", "-http01", "", "-https01", "", "-tlsalpn01", ""),
            self._start("pebble", "-config", str(config), "-dnsserver", f"127.0.0.1:{self.dns_port}")]
        self.cloudflare = Cloudflare(self.set_txt, self.clear_txt)
        context = authority.context()

        def answers():
            try:
                return urllib.request.urlopen(self.url, context=context, timeout=2).status == 200
            except OSError:
                assert all(process.poll() is None for process in self._processes), self.said()
                return False

        try:
            wait_for(answers, 10, "pebble to answer")
        except AssertionError:
            self.close()
            raise

    def _start(self, *command: str) -> subprocess.Popen:
        # Every order is validated anew, without a pause, and no nonce is refused for practice.
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_WFE_NONCEREJECT": "0"}
        return subprocess.Popen(command, stdout=self._output, stderr=self._output, stdin=subprocess.DEVNULL,
                                env=environment)

    def said(self) -> str:
        return (self.directory / "pebble.txt").read_text(errors="replace")[-3000:]

    def _control(self, what: str, **body):
        urllib.request.urlopen(f"http://127.0.0.1:{self.dns_control}/{what}", json.dumps(body).encode(), timeout=5)

    def set_txt(self, name: str, value: str):
        self._control("set-txt", host=name + ".", value=value)

    def clear_txt(self, name: str):
        self._control("clear-txt", host=name + ".")

    def dns_hook(self) -> Path:
        """What lego's provider `exec` calls: `present NAME VALUE` or `cleanup NAME VALUE`."""
        path = self.directory / "dns-hook"
        path.write_text(f"""#!/bin/sh
case $1 in present) what=set-txt ;; *) what=clear-txt ;; esac
exec curl -fsS -d '{{"host": "'"$2"'", "value": "'"$3"'"}}' http://127.0.0.1:{self.dns_control}/$what
""")
        path.chmod(0o755)
        return path

    def close(self):
        self.cloudflare.close()
        for process in self._processes:
            process.terminate()
            process.wait(5)
        self._output.close()


class Cloudflare:
    """As much of Cloudflare's API as certbot's plugin uses, for one zone."""

    def __init__(self, set_txt, clear_txt):
        self.records: dict[str, dict] = {}
        self.zone: str | None = None
        self.failures: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, result, status: int = 200):
                body = json.dumps({"success": status == 200, "errors": [], "messages": [], "result": result,
                                   "result_info": {"page": 1, "per_page": 1, "count": 1, "total_count": 1}}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def authorised(self) -> bool:
                if self.headers["Authorization"] == f"Bearer {TOKEN}":
                    return True
                outer.failures.append(f"{self.command} {self.path} without the token")
                self.answer(None, 403)
                return False

            def do_GET(self):
                if not self.authorised():
                    return
                url = urllib.parse.urlsplit(self.path)
                asked = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
                if asked.get("page", "1") != "1":
                    self.answer([])
                elif url.path == "/zones":
                    self.answer([{"id": "zone1", "name": asked["name"]}] if asked["name"] == outer.zone else [])
                else:
                    self.answer([record for record in outer.records.values() if record["name"] == asked["name.exact"]
                                 and record["content"] == asked["content.exact"]])

            def do_POST(self):
                if not self.authorised():
                    return
                record = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                record["id"] = f"record{len(outer.records)}"
                outer.records[record["id"]] = record
                set_txt(record["name"], record["content"])
                self.answer(record)

            def do_DELETE(self):
                if not self.authorised():
                    return
                record = outer.records.pop(self.path.rsplit("/", 1)[1])
                clear_txt(record["name"])
                self.answer({"id": record["id"]})

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def missing(*programs: str) -> list[str]:
    return [program for program in programs if not shutil.which(program)]
