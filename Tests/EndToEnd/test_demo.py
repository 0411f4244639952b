"""`zlh-edge demo`, the first thing anybody runs."""

import json
import os
import shlex
import signal
import socket
import ssl
import struct
import subprocess
import urllib.parse

import pytest
from websockets.sync.client import connect

from harness.browser import CHROMIUM, Console, chromium
from harness.gateway import BINARY, NAVIGATION, wait_for
from harness.raw import Raw
from harness.tokens import unb64

pytestmark = pytest.mark.timeout(90)


class Demo:
    """The demo with a home of its own; enough of a gateway for `Raw`."""

    address = "127.0.0.1"

    def __init__(self, home, arguments=("--json",)):
        self.home = home
        self.errors = open(home / "stderr.txt", "wb")
        self.process = subprocess.Popen(
            [str(BINARY), "demo", *arguments], stdout=subprocess.PIPE, stderr=self.errors, cwd=home, text=True,
            env={**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TMPDIR": str(home)})
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if self.lines[-1] == "ready":
                break
        assert self.lines and self.lines[-1] == "ready", (self.lines, (home / "stderr.txt").read_text()[-2000:])

    def read_json(self):
        text = "\n".join(self.lines[:-1])
        self.facts = json.loads(text[text.index("{"):])
        self.url = urllib.parse.urlsplit(self.facts["url"])
        self.port = self.url.port or 443
        self.context = ssl.create_default_context(cafile=self.facts["ca"])
        return self

    def host(self, vmid: int, port: bool = False) -> str:
        return self.url.hostname + (f":{self.port}" if port else "")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        finally:
            self.process.stdout.close()
            self.errors.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    demo = Demo(tmp_path_factory.mktemp("demo")).read_json()
    yield demo
    assert demo.stop() == 0


@pytest.fixture(scope="module")
def session(demo):
    """The printed URL opened once: its cookie serves the other tests."""
    with Raw(demo, 0) as raw:
        answer = raw.request("GET", f"{demo.url.path}?{demo.url.query}", NAVIGATION, host=demo.host(0, True))
    assert answer.status == 303, answer
    return answer.cookies["__Host-zlh_s"].split(";")[0].split("=", 1)[1]


def test_it_prints_what_one_needs(demo):
    assert {"url", "ca", "minecraft", "admin"} <= demo.facts.keys()
    assert demo.url.scheme == "https" and demo.url.hostname == "dev-1101.zlh.localhost"
    assert open(demo.facts["ca"]).read().startswith("-----BEGIN CERTIFICATE")
    assert demo.lines[-1] == "ready"


def test_the_page_is_served_without_hsts(demo, session):
    with Raw(demo, 0) as raw:
        answer = raw.request(headers=NAVIGATION, cookie=session, host=demo.host(0, True))
    assert answer.status == 200 and answer.one("content-type").startswith("text/html")
    assert not answer.all("strict-transport-security")


def test_curl_with_the_printed_ca(demo, session):
    done = subprocess.run(
        ["curl", "-sS", "--cacert", demo.facts["ca"], "--resolve", f"{demo.url.hostname}:{demo.port}:127.0.0.1", "-b",
         f"__Host-zlh_s={session}", "-o", "/dev/null", "-w", "%{http_code}",
         f"https://{demo.url.hostname}:{demo.port}/"], capture_output=True, text=True, timeout=20)
    assert done.stdout == "200", done


def dial(demo, session, path):
    host = demo.host(0, True)
    return connect(f"wss://{host}{path}", sock=socket.create_connection((demo.address, demo.port)), ssl=demo.context,
                   server_hostname=demo.url.hostname, origin=f"https://{host}",
                   additional_headers={"Cookie": f"__Host-zlh_s={session}"}, max_size=None)


def test_echo_web_socket(demo, session):
    with dial(demo, session, "/echo") as ws:
        ws.send("hello")
        assert ws.recv(timeout=5) in ("hello", b"hello")
        ws.send(b"\x00\xff" * 50_000)
        assert ws.recv(timeout=5) == b"\x00\xff" * 50_000


def test_the_shell_answers(demo, session):
    with dial(demo, session, "/shell") as ws:
        ws.send("echo $((40+2))-answer\n")
        text = b""
        while b"42-answer" not in text:
            piece = ws.recv(timeout=10)
            text += piece if isinstance(piece, bytes) else piece.encode()


def test_the_minecraft_address_answers_a_status(demo):
    if not demo.facts.get("minecraft"):
        pytest.skip("no Minecraft in this build")
    host, _, port = demo.facts["minecraft"].rpartition(":")

    def varint(value: int) -> bytes:
        out = b""
        while True:
            value, low = value >> 7, value & 127
            out += bytes([low | (0x80 if value else 0)])
            if not value:
                return out

    name = b"localhost"
    handshake = b"\x00" + varint(767) + varint(len(name)) + name + struct.pack("!H", int(port)) + b"\x01"
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(varint(len(handshake)) + handshake + b"\x01\x00")
        data = b""
        while b"}" not in data:
            piece = sock.recv(4096)
            assert piece, data
            data += piece
    assert b'"version"' in data


@pytest.mark.browser
def test_in_a_browser(demo, tmp_path):
    if not os.path.exists(CHROMIUM):
        pytest.skip("no chromium")
    fresh = Demo(tmp_path).read_json()
    try:
        with chromium() as browser:
            context = browser.new_context(ignore_https_errors=True)
            page = context.new_page()
            console = Console(page, "favicon")
            response = page.goto(fresh.facts["url"])
            assert response.status == 200 and page.title()
            page.wait_for_timeout(1000)
            page.screenshot(path=tmp_path / "demo.png", full_page=True)
            assert (tmp_path / "demo.png").stat().st_size > 3000
            assert not console.errors, console.errors
            context.close()
    finally:
        assert fresh.stop() == 0


def test_a_busy_port_means_the_next_one(demo, tmp_path):
    """The module's demo holds its ports; a second one must not mind."""
    second = Demo(tmp_path).read_json()
    try:
        assert second.port != demo.port
        assert second.facts["minecraft"] != demo.facts["minecraft"] or not demo.facts["minecraft"]
    finally:
        assert second.stop() == 0


def test_for_people(tmp_path):
    demo = Demo(tmp_path, arguments=())
    try:
        text = "\n".join(demo.lines)
        assert "https://dev-1101.zlh.localhost:" in text and demo.lines[-1] == "ready"
        # As it stands there, also where the program is not on the PATH.
        command = next(line for line in demo.lines if line.startswith("Another launch:")).partition(":")[2]
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=20, cwd=tmp_path)
        assert done.stdout.startswith("https://dev-1101.zlh.localhost:"), done
        token = urllib.parse.parse_qs(urllib.parse.urlsplit(done.stdout).query)["token"][0]
        claims = json.loads(unb64(token.split(".")[1]))
        assert claims["exp"] - claims["iat"] == 300
    finally:
        wait_for(lambda: demo.process.poll() is None)
        assert demo.stop() == 0
