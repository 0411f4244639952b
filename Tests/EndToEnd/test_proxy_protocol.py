"""PROXY protocol on the HTTPS listener (`trusted_proxies`): whom the gateway then takes for the client.

The peer 127.0.0.3 is the trusted one; HAProxy in TCP mode is the real part, a raw socket the one that misbehaves."""

import contextlib
import ipaddress
import shutil
import socket
import ssl
import subprocess
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.gateway import FETCH, free_port, wait_for
from harness.minecraft import Client, Server, handshake, login_start
from harness.raw import Closed, Raw

TRUSTED = "127.0.0.3"
GATEWAY = {"trusted_proxies": [f"{TRUSTED}/32"], "limits": {"tls": {"handshake": "1s"}}}

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream()


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


def v1(source: str) -> bytes:
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {'::1' if family == 'TCP6' else '127.0.0.1'} 4711 443\r\n".encode()


def v2(source: str, more: bytes = b"", command: int = 0x21) -> bytes:
    address = ipaddress.ip_address(source).packed
    body = address + bytes(len(address)) + (4711).to_bytes(2, "big") + (443).to_bytes(2, "big") + more
    return SIGNATURE + bytes((command, 0x21 if len(address) == 16 else 0x11)) + len(body).to_bytes(2, "big") + body


class ThroughProxy(Raw):
    """A client whose proxy says `header` before the client's first TLS byte."""

    def __init__(self, gw, vmid: int | None, header: bytes, *, pause: float | None = None, together: bool = False,
                 source: str = TRUSTED):
        self.gateway, self.host = gw, gw.host(vmid or 1101)
        self.buffer, self.eof = b"", False
        plain = dial(gw, source)
        try:
            if pause is not None:
                for at in range(len(header)):
                    plain.sendall(header[at:at + 1])
                    time.sleep(pause)
            else:
                # With MSG_MORE the kernel keeps the header until the ClientHello comes, and sends both as one segment.
                plain.sendall(header, socket.MSG_MORE if together else 0)
            self.sock = gw.context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def dial(gw, source: str = TRUSTED) -> socket.socket:
    plain = socket.socket()
    plain.settimeout(10)
    plain.bind((source, 0))
    plain.connect((gw.address, gw.port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def ended(plain: socket.socket) -> bool:
    """Whether the gateway closes, having said nothing more than a TLS alert."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while data := plain.recv(4096):
            got += data
    return not got or (got[:1] == b"\x15" and len(got) == 7)


def names_the_client(gw, up, raw: Raw, cookie: str, address: str):
    """One request, and that address in the container's header and in the log."""
    before = len(up.requests)
    answer = raw.request(headers=FETCH, cookie=cookie)
    assert answer.status == 200
    assert up.wait_requests(before + 1)[-1].all("x-forwarded-for") == [address]
    assert gw.access(answer.one("x-request-id"))["client"] == address


CLIENTS = ["203.0.113.9", "2001:db8::9"]


# --- who the client is ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("address", CLIENTS)
@pytest.mark.parametrize("header", [v1, v2], ids=["v1", "v2"])
def test_the_client_is_whom_the_header_names(gw, up, cookie, header, address):
    with ThroughProxy(gw, up.vmid, header(address)) as raw:
        names_the_client(gw, up, raw, cookie, address)
        names_the_client(gw, up, raw, cookie, address)


@pytest.mark.parametrize("header", [v1, v2], ids=["v1", "v2"])
def test_header_byte_by_byte(gw, up, cookie, header):
    with ThroughProxy(gw, up.vmid, header(CLIENTS[0]), pause=0.002) as raw:
        names_the_client(gw, up, raw, cookie, CLIENTS[0])


@pytest.mark.parametrize("header", [v1, v2], ids=["v1", "v2"])
def test_header_and_client_hello_in_one_segment(gw, up, cookie, header):
    with ThroughProxy(gw, up.vmid, header(CLIENTS[0]), together=True) as raw:
        names_the_client(gw, up, raw, cookie, CLIENTS[0])


def test_tlvs_are_skipped(gw, up, cookie):
    alpn = b"\x01\0\x02h2"
    padding = b"\x04" + (400).to_bytes(2, "big") + bytes(400)
    with ThroughProxy(gw, up.vmid, v2(CLIENTS[0], alpn + padding), together=True) as raw:
        names_the_client(gw, up, raw, cookie, CLIENTS[0])


@pytest.mark.parametrize("header", [
    b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 203.0.113.9 127.0.0.1 1 2\r\n", SIGNATURE + b"\x20\0\0\0",
    v2(CLIENTS[0], command=0x20), SIGNATURE + b"\x21\0\0\0"],
    ids=["v1 unknown", "v1 unknown with addresses", "v2 local", "v2 local with addresses", "v2 unspecified"])
def test_a_proxy_that_speaks_for_itself(gw, up, cookie, header):
    """Its own health check: the address is the peer's, whatever else the header says."""
    with ThroughProxy(gw, up.vmid, header) as raw:
        names_the_client(gw, up, raw, cookie, TRUSTED)


def test_only_the_first_header_counts(gw):
    """What a client sends itself comes behind the proxy's header, and is no TLS."""
    with contextlib.closing(dial(gw)) as plain:
        plain.sendall(v1(CLIENTS[0]) + v1("198.51.100.1"))
        assert ended(plain)


def test_limits_count_the_named_source(make_gateway):
    gw = make_gateway(trusted_proxies=[f"{TRUSTED}/32"], limits={"exempt": [], "https": {"connections": 2}})
    held = [ThroughProxy(gw, 1101, v2(CLIENTS[0])) for _ in range(2)]
    with pytest.raises((OSError, Closed)):
        with ThroughProxy(gw, 1101, v2(CLIENTS[0])) as raw:
            raw.request(headers=FETCH)
    assert gw.refused("https.connections") == 1
    others = [ThroughProxy(gw, 1101, v2(f"198.51.100.{n}")) for n in range(1, 6)]
    for raw in held + others:
        assert raw.request(headers=FETCH).status == 401, "the proxy itself has no limit"
        raw.close()


# --- who is refused -------------------------------------------------------------------------------------------------

MALFORMED = {
    "no header": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "v1 in small letters": v1(CLIENTS[0]).lower(),
    "v1 without CR": v1(CLIENTS[0]).replace(b"\r\n", b"\n"),
    "v1 two spaces": v1(CLIENTS[0]).replace(b"TCP4 ", b"TCP4  "),
    "v1 wrong family": v1(CLIENTS[0]).replace(b"TCP4", b"TCP6"),
    "v1 unknown family": v1(CLIENTS[0]).replace(b"TCP4", b"UDP4"),
    "v1 no ports": b"PROXY TCP4 203.0.113.9 127.0.0.1\r\n",
    "v1 port too great": b"PROXY TCP4 203.0.113.9 127.0.0.1 65536 443\r\n",
    "v1 octet too great": b"PROXY TCP4 203.0.113.256 127.0.0.1 1 443\r\n",
    "v1 endless": b"PROXY TCP4 " + b"1" * 200,
    "v2 bad signature": b"\r\n\r\n\0\r\nQUIX\n" + v2(CLIENTS[0])[12:],
    "v2 version 1": v2(CLIENTS[0], command=0x11),
    "v2 unknown command": v2(CLIENTS[0], command=0x22),
    "v2 UDP": SIGNATURE + b"\x21\x12\0\x0c" + bytes(12),
    "v2 UNIX": SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
    "v2 too short for IPv4": SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
    "v2 too short for IPv6": SIGNATURE + b"\x21\x21\0\x0c" + bytes(12),
    "v2 too long": SIGNATURE + b"\x21\x11\xff\xff" + bytes(600),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_trusted_proxy_must_send_a_good_header(gw, data):
    was = gw.refused("bad_request")
    with contextlib.closing(dial(gw)) as plain:
        begin = time.monotonic()
        plain.sendall(data)
        assert ended(plain)
        assert time.monotonic() - begin < 0.7, "at once, and not only when the handshake has taken too long"
    wait_for(lambda: gw.refused("bad_request") == was + 1, what="the header, and not TLS, to be refused")


def test_a_trusted_proxy_without_a_header_gets_no_handshake(gw):
    with pytest.raises((ssl.SSLError, OSError)):
        gw.raw(1101, source=TRUSTED, timeout=3).close()


@pytest.mark.parametrize("data", [b"", v1(CLIENTS[0])[:-1], v2(CLIENTS[0])[:15]], ids=["nothing", "v1", "v2"])
def test_a_header_that_does_not_end(gw, data):
    was = gw.refused("tls.handshake")
    with contextlib.closing(dial(gw)) as plain:
        begin = time.monotonic()
        plain.sendall(data)
        assert ended(plain)
        assert 0.7 < time.monotonic() - begin < 3
    wait_for(lambda: gw.refused("tls.handshake") == was + 1, what="the handshake's own limit to be counted")


@pytest.mark.parametrize("header", [v1, v2], ids=["v1", "v2"])
def test_nobody_else_may(gw, header):
    with pytest.raises((ssl.SSLError, OSError)):
        ThroughProxy(gw, 1101, header("198.51.100.1"), source="127.0.0.4").close()


def test_nobody_else_has_to(gw, up, cookie):
    with gw.raw(up.vmid, source="127.0.0.4") as raw:
        names_the_client(gw, up, raw, cookie, "127.0.0.4")


# --- the real part --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def haproxy(gw, tmp_path_factory):
    """HAProxy before the gateway, TLS passed through: `send-proxy` or `send-proxy-v2` to where it listens for that."""
    if not shutil.which("haproxy"):
        pytest.skip("no HAProxy")
    ports = {"send-proxy": free_port(), "send-proxy-v2": free_port()}
    configuration = tmp_path_factory.mktemp("haproxy") / "haproxy.cfg"
    configuration.write_text(textwrap.dedent("""\
        defaults
          mode tcp
          timeout connect 5s
          timeout client 60s
          timeout server 60s
        """) + "".join(textwrap.dedent(f"""\
        listen {option}
          bind 127.0.0.1:{port}
          server edge {gw.address}:{gw.port} source {TRUSTED} {option} check inter 200ms
        """) for option, port in ports.items()))
    process = subprocess.Popen(["haproxy", "-f", str(configuration), "-db"], stderr=subprocess.DEVNULL)
    try:
        for port in ports.values():
            wait_for(lambda: listens(port), 10, "HAProxy to listen")
        yield {option: SimpleNamespace(address="127.0.0.1", port=port, host=gw.host, context=gw.context)
               for option, port in ports.items()}
    finally:
        process.terminate()
        process.wait(5)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front(gw, up, cookie, haproxy, option):
    for address in ("127.0.0.44", "127.0.0.45"):
        with Raw(haproxy[option], up.vmid, source=address) as raw:
            names_the_client(gw, up, raw, cookie, address)


def test_haproxys_health_checks_are_no_offence(gw, haproxy):
    """Each connects, says that it speaks for itself, and leaves."""
    was = gw.metric("zlh_edge_refused_total")
    time.sleep(1)
    assert gw.metric("zlh_edge_refused_total") == was
    for front in haproxy.values():
        with Raw(front, 1101, source="127.0.0.46") as raw:
            assert raw.request(headers=FETCH).status == 401


# --- IPv4 clients of a dual-stack proxy ------------------------------------------------------------------------------

MAPPED = [b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:127.0.0.1 4711 443\r\n", b"PROXY TCP6 ::ffff:c000:201 ::1 4711 443\r\n",
          v2("::ffff:192.0.2.1")]


@pytest.mark.parametrize("header", MAPPED, ids=["v1", "v1 in hexadecimal", "v2"])
def test_a_mapped_address_is_the_ipv4_address(gw, up, cookie, header):
    with ThroughProxy(gw, up.vmid, header) as raw:
        names_the_client(gw, up, raw, cookie, "192.0.2.1")


@pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")
def test_nginx_with_a_dual_stack_socket_in_front(gw, up, cookie, tmp_path):
    port = free_port()
    modules = "/usr/lib/nginx/modules/ngx_stream_module.so"
    (tmp_path / "nginx.conf").write_text(textwrap.dedent(f"""
        {f'load_module {modules};' if Path(modules).exists() else ''}
        daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error;
        events {{}}
        stream {{
            server {{
                listen [::]:{port} ipv6only=off;
                proxy_bind {TRUSTED};
                proxy_pass 127.0.0.1:{gw.port};
                proxy_protocol on;
            }}
        }}
        """))
    if subprocess.run(["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True).returncode:
        pytest.skip("this nginx has no stream module, or the host no IPv6")
    process = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        front = SimpleNamespace(address="127.0.0.1", port=port, host=gw.host, context=gw.context)
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 5)
        with Raw(front, up.vmid, source="127.0.0.7") as raw:
            names_the_client(gw, up, raw, cookie, "127.0.0.7")
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("header, source", [
    (MAPPED[0], "192.0.2.1"), (MAPPED[2], "192.0.2.1"), (b"PROXY UNKNOWN\r\n", TRUSTED),
    (SIGNATURE + b"\x20\0\0\0", TRUSTED), (v2("192.0.2.9", command=0x20), TRUSTED), (SIGNATURE + b"\x21\0\0\0", TRUSTED)],
    ids=["v1 mapped", "v2 mapped", "v1 unknown", "v2 local", "v2 local with addresses", "v2 unspecified"])
def test_players_come_through_a_proxy_whatever_it_says(make_gateway, header, source):
    server, port = Server(), free_port()
    gw = make_gateway(start=False, routes=1, trusted_proxies=[f"{TRUSTED}/32"], listen={"minecraft": [f"127.0.0.1:{port}"]})
    gw.routes["minecraft"] = [{"host": "play.test", "kind": "direct", "backends": [{"address": server.address}]}]
    gw.save_routes()
    gw.start()
    client = Client.__new__(Client)
    client.socket, client.buffer = socket.socket(), b""
    client.socket.settimeout(10)
    client.socket.bind((TRUSTED, 0))
    client.socket.connect(("127.0.0.1", port))
    client.send(header + handshake("play.test", 2) + login_start("Steve"))
    assert client.exactly(15) == b"hello from one\n"
    client.close()
    assert gw.wait_log(lambda entry: entry["event"] == "tunnel_open")["client"] == source
    server.close()
