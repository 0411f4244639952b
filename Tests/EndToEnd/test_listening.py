"""Where it listens, sockets that systemd hands over, and what speaks to the metrics listener."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from harness.gateway import BINARY, FETCH, free_port, wait_for
from harness.minecraft import Client, Server, handshake, login_start, status
from harness.upstreams import replies

# --- the metrics listener ---


def asks(gw, request: bytes) -> tuple[bytes, bytes]:
    with socket.create_connection(("127.0.0.1", gw.metrics_port), 5) as plain:
        plain.sendall(request)
        plain.shutdown(socket.SHUT_WR)
        got = b""
        while data := plain.recv(65536):
            got += data
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body


# What HAProxy, nginx, keepalived, curl and people send.
CHECKS = [b"GET /healthz HTTP/1.0\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
          b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", b"GET /healthz HTTP/1.0\r\nHost: a b\r\nConnection: close\r\n\r\n",
          b"HEAD /healthz HTTP/1.0\r\n\r\n", b"HEAD /healthz HTTP/1.1\r\n\r\n", b"GET /healthz?x=1 HTTP/1.0\r\n\r\n",
          b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"GET http://edge/healthz HTTP/1.1\r\n\r\n"]


@pytest.mark.parametrize("request_bytes", CHECKS)
def test_a_check_without_host_is_answered(gw, request_bytes):
    head, body = asks(gw, request_bytes)
    assert head.startswith(b"HTTP/1.1 200 "), head
    assert body == (b"" if request_bytes.startswith(b"HEAD") else b"ok\n")


@pytest.mark.parametrize("method", [b"OPTIONS", b"POST", b"PUT", b"DELETE"])
def test_other_methods_are_told_which_there_are(gw, method):
    head, _ = asks(gw, method + b" /healthz HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ") and b"allow: GET, HEAD" in head


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_metrics_are_of_the_type_that_prometheus_knows(gw, version):
    head, body = asks(gw, b"GET /metrics HTTP/" + version + b"\r\n\r\n")
    assert b"\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n" in head + b"\r\n"
    assert body.startswith(b"# HELP ") and b"zlh_edge_sessions" in body


@pytest.mark.skipif(not shutil.which("haproxy"), reason="needs haproxy")
def test_haproxy_keeps_an_edge_that_it_checks(gw, tmp_path):
    front, stats = free_port(), tmp_path / "stats"
    (tmp_path / "haproxy.cfg").write_text(f"""
global
  stats socket {stats}
defaults
  mode tcp
  timeout connect 2s
  timeout client 5s
  timeout server 5s
listen edge
  bind 127.0.0.1:{front}
  option httpchk GET /healthz
  server edge 127.0.0.1:{gw.port} check port {gw.metrics_port} inter 100ms fall 1
""")
    process = subprocess.Popen(["haproxy", "-f", str(tmp_path / "haproxy.cfg"), "-db"], stderr=subprocess.DEVNULL)
    try:
        wait_for(stats.exists, 5)
        time.sleep(0.5)
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(stats))
            plain.sendall(b"show stat\n")
            text = b"".join(iter(lambda: plain.recv(65536), b"")).decode()
        line = next(line for line in text.splitlines() if line.startswith("edge,edge,"))
        assert "UP" in line and "L7OK" in line, line
    finally:
        process.terminate()
        process.wait()


def test_two_gateways_do_not_share_a_metrics_port(make_gateway):
    first, second = make_gateway(), make_gateway(start=False)
    second.write_config(listen={"metrics": f"127.0.0.1:{first.metrics_port}"})
    second.start(ready=False)
    assert second.process.wait(10) == 78
    assert f"listen.metrics: cannot listen on 127.0.0.1:{first.metrics_port}: Address already in use" in second.tail()
    second.stop(expect=78)


# --- ALPN ---

@pytest.mark.parametrize("offered, spoken", [
    (["http/1.0"], "http/1.0"), (["http/1.0", "http/1.1"], "http/1.1"), (["http/1.0", "h2"], "h2"), ([], None),
    (["foo", "http/1.0"], "http/1.0"), (["foo"], ssl.SSLError), (["http/0.9"], ssl.SSLError)])
def test_what_is_spoken(gw, offered, spoken):
    context = gw.authority.context(offered)
    if not offered:
        context = ssl.create_default_context(cafile=str(gw.authority.file))
    if spoken is ssl.SSLError:
        with pytest.raises(ssl.SSLError, match="(?i)application.protocol"):
            gw.raw(1101, context=context)
        return
    with gw.raw(1101, context=context) as raw:
        assert raw.sock.selected_alpn_protocol() == spoken
        if spoken != "h2":
            raw.send(f"GET / HTTP/1.0\r\nHost: {gw.host(1101)}\r\n\r\n".encode())
            assert raw.answer().status == 401


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize("option", ["-0", "--http1.1", "--http2", "--no-alpn"])
def test_curl_of_every_version_is_answered(gw, option):
    done = subprocess.run(
        ["curl", "-s", option, "--cacert", str(gw.authority.file), "--resolve", f"{gw.host(1101)}:{gw.port}:127.0.0.1",
         "-w", "%{http_code}", "-o", "/dev/null", f"https://{gw.host(1101)}:{gw.port}/"], capture_output=True, text=True)
    assert done.stdout == "401", done


# --- a host without IPv6 ---

def without_ipv6() -> list[str] | None:
    """The command that runs another in a network without IPv6."""
    inside = "ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1 && exec \"$@\""
    command = ["unshare", "-n", "sh", "-c", inside, "sh"]
    works = all(map(shutil.which, ("unshare", "ip", "sysctl"))) and not subprocess.run(
        [*command, "true"], capture_output=True).returncode
    return command if works else None


@pytest.mark.parametrize("listen", [
    {"metrics": "[::1]:9180"}, {"https": ["127.0.0.1:8443", "[::1]:8443"]}, {"http": ["[::1]:8080"]},
    {"minecraft": ["[::1]:25565"]}, {"https": ["127.0.0.1:8443", "[::1]:0"]}, {"https": ["127.0.0.1:8443", "[::]:8443"]}],
    ids=str)
def test_a_host_without_ipv6_is_a_warning(make_gateway, listen):
    command = without_ipv6()
    if not command:
        pytest.skip("no network namespaces here")
    gw = make_gateway(start=False, routes=1)
    gw.write_config(listen=listen)
    checked = subprocess.run([*command, str(BINARY), "check", "--config", str(gw.config_file)], capture_output=True,
                             text=True, timeout=20)
    assert checked.returncode == 0, checked
    gw.launch_arguments = lambda: [*command, str(BINARY), "run", "--config", str(gw.config_file)]
    gw.start(ready=False)
    gw.wait_log(lambda entry: entry["event"] == "start", 10)
    if "[::]:8443" not in str(listen):  # that one can be bound all the same
        assert any("no IPv6" in entry.get("message", "") for entry in gw.log)
        assert "no IPv6" in checked.stdout
    gw.stop()


def test_an_address_that_the_host_does_not_have_is_an_error(make_gateway):
    gw = make_gateway(start=False, routes=1)
    for key in ("metrics", "http"):
        address = "[2001:db8::77]:9999"
        gw.write_config(listen={key: address if key == "metrics" else [address]})
        if key == "http":
            gw.write_config(listen={"metrics": f"127.0.0.1:{gw.metrics_port}"})
        gw.start(ready=False)
        if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6") and open("/proc/net/if_inet6").read():
            assert gw.process.wait(10) == 78 and "Cannot assign requested address" in gw.tail()
            gw.stop(expect=78)
        else:
            gw.wait_log(lambda entry: entry["event"] == "start", 10)
            gw.stop()


# --- sockets that are handed over ---

# Opens the named sockets as systemd does and becomes the gateway.
ACTIVATES = r"""
import os, socket, sys
count = int(sys.argv[1])
sockets = []
for text in sys.argv[2:2 + count]:
    kind, address, port = text.split("|")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, kind == "v6only")
    made.bind((address, int(port)))
    if kind != "udp":
        made.listen(4096)
    sockets.append(made)
high = [os.dup2(made.fileno(), 500 + n) for n, made in enumerate(sockets)]
for made in sockets: made.close()
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(f"name{n}" for n in range(count)))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


def activated(gw, *sockets: str):
    gw.launch_arguments = lambda: [sys.executable, "-c", ACTIVATES, str(len(sockets)), *sockets, str(BINARY), "run",
                                   "--config", str(gw.config_file)]
    gw.start()
    return gw


def listening_inodes(pid: int, port: int) -> int:
    """Listening sockets at that port, the same one counted once."""
    import psutil

    return sum(1 for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.laddr.port == port)


def test_sockets_of_every_front_are_taken_over(make_gateway):
    server = Server()
    gw = make_gateway(start=False, routes=3, threads=3, minecraft={"health": {"interval": "300ms"}})
    plain, mc = free_port(), free_port()
    gw.write_config(listen={"http": [f"127.0.0.1:{plain}"], "minecraft": [f"127.0.0.1:{mc}"]})
    gw.routes["minecraft"] = [{"host": "play.test", "kind": "direct", "backends": [{"address": server.address}]}]
    gw.save_routes()
    activated(gw, *(f"tcp|127.0.0.1|{port}" for port in (gw.port, plain, mc, gw.metrics_port)))
    upstream = gw.upstream()
    cookie = gw.launch(upstream.vmid)
    for _ in range(20):
        assert gw.request(upstream.vmid, cookie=cookie).status == 200
    assert status(mc)["description"]["text"] == server.motd
    with socket.create_connection(("127.0.0.1", plain)) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {gw.host(1101)}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 308")
    assert all(listening_inodes(gw.process.pid, port) == 1 for port in (gw.port, plain, mc, gw.metrics_port))
    assert not any("handed over" in entry.get("message", "") for entry in gw.log)
    server.close()


def test_a_drain_leaves_the_sockets_to_whoever_opened_them(make_gateway):
    gw = make_gateway(start=False, routes=2)
    listeners = [socket.create_server(("127.0.0.1", port), backlog=64) for port in (gw.port, gw.metrics_port)]
    text = ("import os,sys\nos.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))\n"
            "a, b = [os.dup2(int(fd), 600 + n) for n, fd in enumerate(sys.argv[1:3])]\n"
            "os.dup2(a, 3); os.dup2(b, 4)\nos.execv(sys.argv[3], sys.argv[3:])")
    for _ in range(2):  # and the next process takes them over again
        fds = [listener.fileno() for listener in listeners]
        for fd in fds:
            os.set_inheritable(fd, True)
        process = subprocess.Popen([sys.executable, "-c", text, *map(str, fds), str(BINARY), "run", "--config",
                                    str(gw.config_file)], pass_fds=fds, stdout=subprocess.DEVNULL, cwd=gw.directory)
        wait_for(lambda: asks(gw, b"GET /readyz HTTP/1.0\r\n\r\n")[0].startswith(b"HTTP/1.1 200"), 10)
        assert gw.request(1101).status == 401
        process.terminate()
        assert process.wait(10) == 0
        with socket.create_connection(("127.0.0.1", gw.port)):
            pass  # it waits in the queue for the next
    for listener in listeners:
        listener.close()


def test_loops_share_an_inherited_socket_fairly(make_gateway):
    gw = make_gateway(start=False, routes=2, threads=4)
    activated(gw, f"tcp|127.0.0.1|{gw.port}")
    open_ones = [gw.raw(1101) for _ in range(100)]
    for raw in open_ones:
        assert raw.request().status == 401

    # Where they are: each loop's epoll watches those it accepted.
    watched = []
    folder = f"/proc/{gw.process.pid}"
    for fd in os.listdir(f"{folder}/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"{folder}/fd/{fd}") == "anon_inode:[eventpoll]":
                watched.append(open(f"{folder}/fdinfo/{fd}").read().count("tfd:"))
    busiest = sorted(watched)[-4:]
    assert sum(busiest) >= 100 and busiest[0] >= 10 and busiest[-1] <= 60, watched
    for raw in open_ones:
        raw.close()


@pytest.mark.parametrize("threads", [1, 4])
def test_a_burst_at_an_inherited_socket_is_served_whole(make_gateway, threads):
    gw = make_gateway(start=False, routes=2, threads=threads)
    activated(gw, f"tcp|127.0.0.1|{gw.port}")
    answers = []

    def visit():
        for _ in range(15):
            answers.append(gw.request(1101).status)

    visitors = [threading.Thread(target=visit) for _ in range(12)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert answers == [401] * 180


def test_a_dual_stack_socket_serves_both_kinds(make_gateway):
    """What `ListenStream=443` is, by systemd's defaults."""
    gw = make_gateway(start=False, routes=2)
    gw.write_config(listen={"https": [f"0.0.0.0:{gw.port}", f"[::]:{gw.port}"]})
    activated(gw, f"dual|::|{gw.port}")
    assert gw.request(1101).status == 401
    entry = gw.wait_log(lambda entry: entry["event"] == "access")
    assert entry["client"] == "127.0.0.1"
    assert listening_inodes(gw.process.pid, gw.port) == 1


def test_what_no_endpoint_names_is_warned_of(make_gateway):
    gw = make_gateway(start=False, routes=2)
    other = free_port()
    activated(gw, f"tcp|127.0.0.1|{other}", f"udp|127.0.0.1|{gw.port}", f"tcp|127.0.0.1|{gw.port}")
    gw.wait_log(lambda entry: f"127.0.0.1:{other}" in entry.get("message", ""))
    gw.wait_log(lambda entry: "descriptor 4 (name1)" in entry.get("message", ""))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", other))  # rather than wait for ever
    assert gw.request(1101).status == 401


@pytest.mark.parametrize("pid, count", [("1", "1"), ("", "1"), ("self", "x"), ("self", "-1"), ("self", "99999999"),
                                        ("self", "3")])
def test_announcements_that_are_not_true_are_survived(make_gateway, pid, count):
    gw = make_gateway(start=False, routes=2)
    text = ("import os,sys\nos.environ.update(LISTEN_FDS=sys.argv[2], LISTEN_PID=sys.argv[1].replace('self', str(os.getpid())))\n"
            "os.execv(sys.argv[3], sys.argv[3:])")
    gw.launch_arguments = lambda: [sys.executable, "-c", text, pid, count, str(BINARY), "run", "--config",
                                   str(gw.config_file)]
    gw.start()
    assert gw.request(1101).status == 401


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate")
@pytest.mark.parametrize("where", ["127.0.0.1:{port}", "{port}"], ids=["address", "port alone"])
def test_systemd_socket_activate(make_gateway, where):
    gw = make_gateway(start=False, routes=2)
    if where == "{port}":
        gw.write_config(listen={"https": [f"0.0.0.0:{gw.port}", f"[::]:{gw.port}"]})
    gw.launch_arguments = lambda: ["systemd-socket-activate", "-l", where.format(port=gw.port), str(BINARY), "run",
                                   "--config", str(gw.config_file)]
    gw.start(ready=False)

    def knocks():  # the first connection starts the program, and waits for it
        try:
            return gw.request(1101).status == 401
        except OSError:
            return False

    wait_for(knocks, 10)
    gw.stop()


# --- descriptors ---

def limited(soft: int, hard: int):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_of_descriptors_is_raised(make_gateway):
    gw = make_gateway(start=False, routes=2)
    gw.start(preexec=limited(64, 20_000))
    assert gw.metric("process_max_fds") == 20_000
    assert not any("descriptors" in entry.get("message", "") for entry in gw.log)


@pytest.mark.parametrize("hard, connections", [(1024, 384), (300, 22), (200, 1)])
def test_few_descriptors_are_warned_of(make_gateway, hard, connections):
    gw = make_gateway(start=False, routes=2)
    gw.start(preexec=limited(hard, hard))
    said = gw.wait_log(lambda entry: "descriptors" in entry.get("message", ""))["message"]
    assert f" {hard} " in said and f" {connections} connections" in said and "LimitNOFILE" in said


def test_more_connections_than_descriptors_are_warned_of(make_gateway):
    gw = make_gateway(start=False, routes=2, limits={"connections": 5000})
    gw.start(preexec=limited(1024, 1024))
    assert "5000" in gw.wait_log(lambda entry: "descriptors" in entry.get("message", ""))["message"]
