"""HTTP/2 over a long link: flow control must not be what limits a single stream.

`harness/delay_relay.c` stands between client and gateway, 25 ms each way; TCP itself is not slowed down. With windows
of RFC 9113's 65 535 bytes such a link carries 10 Mbit/s."""

import re
import shutil
import subprocess
import time
from types import SimpleNamespace

import pytest

from harness.gateway import REPOSITORY
from harness.raw import Raw
from harness.upstreams import Connection, counts_bytes

ONE_WAY_MS, IN_FLIGHT_MIB = 25, 16
DOWNLOAD, UPLOAD = 200_000_000, 50_000_000


def pours(connection: Connection):
    """Answers each request with 200 MB."""
    piece = memoryview(bytes(1 << 20))
    while connection.read() is not None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % DOWNLOAD)
        left = DOWNLOAD
        while left:
            connection.send(piece[:left])
            left -= min(left, len(piece))


@pytest.fixture(scope="module")
def link(gw, tmp_path_factory):
    """The port of the relay before the gateway."""
    if not shutil.which("gcc") or not shutil.which("h2load"):
        pytest.skip("needs gcc and h2load (nghttp2-client)")
    program = tmp_path_factory.mktemp("link") / "delay_relay"
    source = REPOSITORY / "Tests/EndToEnd/harness/delay_relay.c"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True)
    process = subprocess.Popen([program, str(gw.port), str(ONE_WAY_MS), str(IN_FLIGHT_MIB)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield int(process.stdout.readline())
    process.stdin.close()
    assert process.wait(5) == 0


def h2load(gw, port: int, vmid: int, cookie: str, *more: str) -> SimpleNamespace:
    """One request by a client that announces windows of 1 GiB and drops what it gets."""
    begin = time.monotonic()
    done = subprocess.run(
        ["h2load", "-n", "1", "-c", "1", "-m", "1", "-w", "30", "-W", "30", "--npn-list", "h2",
         "-H", f":authority: {gw.host(vmid)}", "-H", f"cookie: __Host-zlh_s={cookie}", *more,
         f"https://{gw.address}:{port}/"], capture_output=True, text=True, timeout=50)
    seconds = time.monotonic() - begin
    assert done.returncode == 0 and "Application protocol: h2\n" in done.stdout, done.stdout + done.stderr
    assert re.search(r"^status codes: 1 2xx", done.stdout, re.M), done.stdout
    return SimpleNamespace(seconds=seconds, bytes=int(re.search(r"\((\d+)\) data", done.stdout)[1]))


def megabits(count: int, seconds: float) -> float:
    return count * 8 / 1e6 / seconds


def test_the_link_is_long(gw, link):
    """The other tests prove nothing without this: a TLS 1.3 handshake and a request are two round trips."""
    begin = time.monotonic()
    with Raw(SimpleNamespace(address=gw.address, port=link, host=gw.host, context=gw.context), 1101) as raw:
        assert raw.request().status in (401, 303, 302)
    assert time.monotonic() - begin >= 4 * ONE_WAY_MS / 1000


def test_download(gw, link):
    upstream = gw.upstream(pours)
    got = h2load(gw, link, upstream.vmid, gw.launch(upstream.vmid))
    assert got.bytes == DOWNLOAD
    assert megabits(DOWNLOAD, got.seconds) >= 600, got


def test_upload(gw, link, tmp_path):
    file = tmp_path / "body"
    with open(file, "wb") as body:
        body.truncate(UPLOAD)
    upstream = gw.upstream(counts_bytes)
    got = h2load(gw, link, upstream.vmid, gw.launch(upstream.vmid), "-d", str(file))
    assert upstream.last.received == UPLOAD
    assert megabits(UPLOAD, got.seconds) >= 60, got
