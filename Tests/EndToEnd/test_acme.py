"""config/acme: certificates by DNS-01, renewed under open WebSockets, and the hook that gives them to the edge.

The authority is Debian's pebble. certbot runs with the settings of config/acme and its Cloudflare plugin against a
stand-in for Cloudflare's API. Debian's lego cannot be given another address for that API and uses its provider `exec`.
"""

import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.acme import LIFETIMES, TOKEN, AcmeServer, missing
from harness.certs import Authority, private_pem
from harness.gateway import DOMAIN, REPOSITORY, free_port, wait_for
from harness.upstreams import echoes_bytes, upgrades_and
from harness.websocket import frame, opened

HOOK = REPOSITORY / "config/acme/deploy-certificate"
CERTBOT = Path(sys.executable).with_name("certbot")


def needs(*programs: str):
    absent = missing(*programs)
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {' '.join(absent)} (make setup-test)")


needs_pebble = needs("pebble", "pebble-challtestsrv")


class Deployment:
    """What the hook fills and the edge reads."""

    def __init__(self, directory: Path, group: int | None = None):
        self.directory = directory
        directory.mkdir(parents=True)
        os.chown(directory, -1, os.getgid() if group is None else group)
        directory.chmod(0o2750)
        self.chain, self.key = directory / "fullchain.pem", directory / "privkey.pem"
        self.tls = {"certificates": [{"certificate": str(self.chain), "key": str(self.key)}]}
        self.environment = {"ZLH_TLS_DIRECTORY": str(directory), "ZLH_DOMAIN": DOMAIN, "ZLH_EDGE_TIMEOUT": "5",
                            "PATH": os.environ["PATH"]}

    def asks(self, *gateways) -> "Deployment":
        self.environment["ZLH_EDGE_ADDRESS"] = " ".join(f"127.0.0.1:{gateway.port}" for gateway in gateways)
        return self

    def hook(self, *files: Path, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(HOOK), *map(str, files)], capture_output=True, text=True, timeout=50,
                              env={**self.environment, **environment})

    def versions(self) -> list[str]:
        return sorted(entry.name for entry in self.directory.iterdir() if entry.name.startswith("2"))

    def link(self, name: str) -> str | None:
        path = self.directory / name
        return os.readlink(path) if path.is_symlink() else None

    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.chain.read_bytes())


def served(gateway) -> x509.Certificate:
    with gateway.raw(1101, context=no_verification()) as raw:
        return x509.load_der_x509_certificate(raw.sock.getpeercert(binary_form=True))


def no_verification():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


# --- two clients, two renewals, and what was open before ---

class Certbot:
    profile = "shortlived"

    def __init__(self, directory: Path, acme: AcmeServer):
        self.directory, self.acme = directory, acme
        self.credentials = directory / "cloudflare.ini"
        directory.mkdir()
        self.credentials.touch(0o600)
        self.credentials.write_text(f"dns_cloudflare_api_token = {TOKEN}\n")
        acme.cloudflare.zone = DOMAIN
        self.lineage = directory / "live/zlh-edge"
        self.files = self.lineage / "fullchain.pem", self.lineage / "privkey.pem"

    def command(self, *more: str) -> list[str]:
        return [str(CERTBOT), "certonly", "--config", str(REPOSITORY / "config/acme/certbot/certbot.ini"),
                "--email", "ops@example.com", "--dns-cloudflare-credentials", str(self.credentials),
                "-d", f"*.{DOMAIN}", "--server", self.acme.url, "--config-dir", str(self.directory),
                "--work-dir", str(self.directory / "work"), "--logs-dir", str(self.directory / "logs"),
                "--preferred-profile", self.profile, "--dns-cloudflare-propagation-seconds", "0", *more]

    def run(self, deployment: Deployment, *more: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*under, *self.command(*more)], capture_output=True, text=True, timeout=50,
            env={**deployment.environment, "REQUESTS_CA_BUNDLE": self.acme.trust,
                 "CLOUDFLARE_BASE_URL": self.acme.cloudflare.url})

    def obtain(self, deployment: Deployment, kind: str) -> subprocess.CompletedProcess:
        return self.run(deployment, "--key-type", kind, "--force-renewal", "--deploy-hook", str(HOOK))


class Lego:
    profile = "tlsserver"

    def __init__(self, directory: Path, acme: AcmeServer):
        self.directory, self.acme = directory, acme
        stem = directory / f"certificates/_.{DOMAIN}"
        self.files = stem.with_name(stem.name + ".crt"), stem.with_name(stem.name + ".key")

    def obtain(self, deployment: Deployment, kind: str) -> subprocess.CompletedProcess:
        what = (["renew", "--days", "1000", "--no-random-sleep", "--renew-hook", str(HOOK)] if self.files[1].exists()
                else ["run", "--run-hook", str(HOOK)])
        return subprocess.run(
            ["lego", "--server", self.acme.url, "--accept-tos", "--email", "ops@example.com", "--path",
             str(self.directory), "--dns", "exec", "--dns.disable-cp", "--key-type",
             {"rsa": "rsa2048", "ecdsa": "ec256"}[kind], "--domains", f"*.{DOMAIN}", *what],
            capture_output=True, text=True, timeout=50,
            env={**deployment.environment, "LEGO_CA_CERTIFICATES": self.acme.trust,
                 "EXEC_PATH": str(self.acme.dns_hook())})


class Echoing:
    """A WebSocket that is spoken over all the time."""

    def __init__(self, client, cookie: str):
        self.tunnel = opened(client, cookie=cookie)
        self.count, self.failure = 0, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.wait(0.02):
                sent = frame(1, b"message %d" % self.count, mask=True)
                self.tunnel.send(sent)
                assert self.tunnel.read_exactly(len(sent)) == sent
                self.count += 1
        except Exception as error:
            self.failure = error

    def goes_on(self) -> bool:
        before = self.count
        return bool(wait_for(lambda: self.failure or self.count > before + 2, 5)) and self.failure is None

    def stop(self):
        self._stop.set()
        self._thread.join(10)
        self.tunnel.close()
        assert self.failure is None, self.failure


@needs_pebble
@pytest.mark.timeout(180)
@pytest.mark.parametrize("client_type", [
    pytest.param(Certbot, marks=pytest.mark.skipif(not CERTBOT.exists(), reason="certbot is not in the environment")),
    pytest.param(Lego, marks=needs("lego"))])
def test_two_renewals_with_other_keys_are_served_and_close_nothing(make_gateway, tmp_path, authority, client_type):
    acme = AcmeServer(tmp_path / "acme", authority, client_type.profile)
    deployment = Deployment(tmp_path / "tls")
    gw = make_gateway(start=False, tls=deployment.tls)
    deployment.asks(gw).environment["ZLH_EDGE_TIMEOUT"] = "0"
    client = client_type(tmp_path / "client", acme)
    sockets = []
    try:
        # The first one comes before there is an edge to serve it: obtained and deployed, and the hook says what lacks.
        first = client.obtain(deployment, "rsa")
        said = first.stdout + first.stderr
        assert client.files[0].exists(), said + acme.said()
        assert "FAILED: the edge at" in said and "no TLS handshake" in said, said
        # certbot only logs what a hook says; lego fails with it.
        assert (first.returncode == 0) == (client_type is Certbot), said
        assert deployment.chain.read_bytes() == client.files[0].read_bytes()

        gw.start()
        deployment.environment["ZLH_EDGE_TIMEOUT"] = "5"
        again = deployment.hook(*client.files)
        assert again.returncode == 0 and " is served " in again.stdout, again
        assert isinstance(served(gw).public_key(), rsa.RSAPublicKey)
        gw.context, gw.context2 = no_verification(), no_verification()
        gw.context2.set_alpn_protocols(["h2"])
        upstream = gw.upstream(upgrades_and(echoes_bytes))
        cookie = gw.launch(upstream.vmid)
        sockets += [Echoing(gw.raw(upstream.vmid), cookie), Echoing(gw.http2(upstream.vmid), cookie)]

        seen = {served(gw).serial_number}
        for kind, key in (("ecdsa", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)):
            renewed = client.obtain(deployment, kind)
            said = renewed.stdout + renewed.stderr
            assert renewed.returncode == 0 and " is served for " in said, said + acme.said()
            leaf = x509.load_pem_x509_certificate(client.files[0].read_bytes())
            assert served(gw).serial_number == leaf.serial_number not in seen
            seen.add(leaf.serial_number)
            assert isinstance(served(gw).public_key(), key)
            lifetime = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds()
            assert abs(lifetime - LIFETIMES[client.profile]) < 10, lifetime
            assert abs(gw.metric("zlh_edge_certificate_expiry_seconds") - lifetime) < 120
            assert all(one.goes_on() for one in sockets), [one.failure for one in sockets]
        assert not acme.cloudflare.failures and not acme.cloudflare.records
        assert gw.metric("zlh_edge_reloads_total", result="refused") == 0
    finally:
        for one in sockets:
            one.stop()
        acme.close()


@needs_pebble
@needs("faketime")
@pytest.mark.timeout(180)
@pytest.mark.skipif(not CERTBOT.exists(), reason="certbot is not in the environment")
def test_certbot_renews_a_6_day_certificate_in_the_second_half_of_its_life(tmp_path, authority):
    acme = AcmeServer(tmp_path / "acme", authority, Certbot.profile)
    try:
        deployment = Deployment(tmp_path / "tls")
        client = Certbot(tmp_path / "client", acme)
        assert client.run(deployment).returncode == 0
        first = client.files[0].read_bytes()
        for days, renews in (("+3d", False), ("+5d", True)):
            later = client.run(deployment, under=("faketime", "-f", days))
            assert later.returncode == 0, later.stdout + later.stderr
            assert (client.files[0].read_bytes() != first) == renews, (days, later.stdout + later.stderr)
    finally:
        acme.close()


# --- the hook by itself ---

@needs("shellcheck")
def test_shellcheck_has_no_complaints():
    checked = subprocess.run(["shellcheck", str(HOOK)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.fixture
def deployment(tmp_path) -> Deployment:
    return Deployment(tmp_path / "tls")


@pytest.fixture
def edge(make_gateway, deployment, authority):
    """An edge that serves what the hook deployed."""
    gw = make_gateway(start=False, tls=deployment.tls)
    deployment.asks(gw)
    crt, key, _ = authority.issue([f"*.{DOMAIN}"], f"deployed-{gw.port}")
    deployment.hook(crt, key, ZLH_EDGE_TIMEOUT="0")
    return gw.start()


def pair(authority, stem: str, names=(f"*.{DOMAIN}",), days: float = 20) -> tuple[Path, Path, int]:
    return authority.issue(list(names), stem, days)


def test_to_deploy_again_changes_nothing_and_asks_again(edge, deployment, authority):
    crt, key, serial = pair(authority, "again")
    assert deployment.hook(crt, key).returncode == 0
    state = deployment.versions(), deployment.link("current"), deployment.link("previous")
    assert len(state[0]) == 2 and {state[1], state[2]} == set(state[0])
    again = deployment.hook(crt, key)
    assert again.returncode == 0 and f"{serial:X}" in again.stdout
    assert (deployment.versions(), deployment.link("current"), deployment.link("previous")) == state
    assert served(edge).serial_number == serial


def test_one_former_version_is_kept(edge, deployment, authority):
    serials = []
    for n in range(3):
        crt, key, serial = pair(authority, f"kept-{n}")
        assert deployment.hook(crt, key).returncode == 0
        serials.append(serial)
    assert len(deployment.versions()) == 2
    previous = x509.load_pem_x509_certificate((deployment.directory / "previous/fullchain.pem").read_bytes())
    assert previous.serial_number == serials[-2]


def bad_pair(authority, tmp_path, what: str) -> tuple[Path, Path]:
    crt, key, _ = pair(authority, f"bad-{what}", [f"*.{DOMAIN}"] if what != "name" else ["*.other.example"],
                       -0.01 if what == "expired" else 20)
    other_crt, other_key, _ = pair(authority, f"other-{what}")
    if what == "key":
        return crt, other_key
    text = crt.read_text()
    end = text.index("-----END CERTIFICATE-----") + 26
    if what == "no issuer":
        text = text[:end]
    elif what == "another's issuer":
        text = text[:end] + Authority(tmp_path / "stranger").file.read_text()
    elif what == "no certificate":
        text = "-----BEGIN CERTIFICATE-----\nAAAA\n"
    changed = tmp_path / "changed.pem"
    changed.write_text(text)
    return (tmp_path / "absent" if what == "absent" else changed), key


@pytest.mark.parametrize("what, word", [
    ("key", "does not belong"), ("expired", "expired"), ("name", "hostname mismatch"), ("no issuer", "issuer"),
    ("another's issuer", "issuer"), ("no certificate", "no certificate"), ("absent", "cannot read")])
def test_what_no_client_would_accept_is_refused(edge, deployment, authority, tmp_path, what, word):
    state, serial = deployment.versions(), served(edge).serial_number
    refused = deployment.hook(*bad_pair(authority, tmp_path, what))
    assert refused.returncode == 1 and word in refused.stderr and "nothing changed" in refused.stderr, refused
    assert deployment.versions() == state and served(edge).serial_number == serial


def test_an_edge_that_serves_another_certificate_fails_the_hook(edge, deployment, authority, make_gateway):
    elsewhere = make_gateway()  # its edge.yaml names files of its own
    crt, key, serial = pair(authority, "elsewhere")
    deployment.asks(edge, elsewhere)
    failed = deployment.hook(crt, key, ZLH_EDGE_TIMEOUT="1")
    assert failed.returncode == 2, failed
    assert "FAILED" in failed.stderr and f"127.0.0.1:{elsewhere.port} does not serve" in failed.stderr
    assert f"{serial:X}" in failed.stderr and f"{served(elsewhere).serial_number:X}" in failed.stderr
    assert served(edge).serial_number == serial, "the one that could took it"


def test_an_edge_that_accepts_and_says_nothing_does_not_hold_the_hook_up(deployment, authority):
    crt, key, _ = pair(authority, "mute")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        begin = time.monotonic()
        failed = deployment.hook(crt, key, ZLH_EDGE_TIMEOUT="1",
                                 ZLH_EDGE_ADDRESS=f"127.0.0.1:{mute.getsockname()[1]}")
    assert failed.returncode == 2 and "no TLS handshake" in failed.stderr, failed
    assert time.monotonic() - begin < 15


def test_an_rsa_certificate_beside_an_ecdsa_one_is_asked_for(make_gateway, deployment, authority, tmp_path):
    other_crt, other_key, _ = pair(authority, "beside")
    crt, key = tmp_path / "rsa.crt", tmp_path / "rsa.key"
    make_rsa(authority, crt, key)
    deployment.hook(crt, key, ZLH_EDGE_ADDRESS=f"127.0.0.1:{free_port()}", ZLH_EDGE_TIMEOUT="0")
    gw = make_gateway(tls={"certificates": [{"certificate": str(other_crt), "key": str(other_key)},
                                            *deployment.tls["certificates"]]})
    asked = deployment.asks(gw).hook(crt, key)
    assert asked.returncode == 0, asked


def make_rsa(authority, crt: Path, key: Path):
    """A certificate with an RSA key from the same authority, by openssl."""
    ca_key = crt.with_name("ca.key")
    ca_key.write_bytes(private_pem(authority.key))
    request = crt.with_suffix(".csr")
    run = lambda *command: subprocess.run(command, check=True, capture_output=True)  # noqa: E731
    run("openssl", "req", "-new", "-newkey", "rsa:2048", "-noenc", "-keyout", str(key), "-subj", "/CN=x", "-addext",
        f"subjectAltName=DNS:*.{DOMAIN}", "-out", str(request))
    run("openssl", "x509", "-req", "-in", str(request), "-CA", str(authority.file), "-CAkey", str(ca_key), "-days",
        "9", "-copy_extensions", "copy", "-out", str(crt))
    crt.write_bytes(crt.read_bytes() + authority.file.read_bytes())


def test_runs_at_once_wait_for_each_other(edge, deployment, authority):
    pairs = [pair(authority, f"at-once-{n}") for n in range(4)]
    results = []
    threads = [threading.Thread(target=lambda p=p: results.append((p[2], deployment.hook(*p[:2])))) for p in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.returncode == 0 for _, result in results), results
    assert served(edge).serial_number in [serial for serial, _ in results]
    assert served(edge).serial_number == deployment.leaf().serial_number
    assert len(deployment.versions()) == 2


def test_what_a_killed_run_left_is_removed(edge, deployment, authority):
    left = deployment.directory / "20260101T000000Z.killed"
    left.mkdir(0o700)
    (left / "privkey.pem").write_text("half a key")
    (deployment.directory / ".link").symlink_to("nowhere")
    crt, key, _ = pair(authority, "after-the-kill")
    assert deployment.hook(crt, key).returncode == 0
    assert not left.exists() and len(deployment.versions()) == 2


def test_a_directory_that_would_give_the_key_a_wrong_group_is_refused(deployment, authority):
    deployment.directory.chmod(0o0750)
    refused = deployment.hook(*pair(authority, "no-setgid")[:2])
    assert refused.returncode == 1 and "set-group-ID" in refused.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to run as other users")
def test_only_the_group_of_the_edge_ever_reads_the_key(authority):
    client, edge, stranger, group = 54321, 54322, 54323, 54400
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o711)
        deployment = Deployment(base / "tls", group)
        os.chown(deployment.directory, client, group)
        crt, key, _ = pair(authority, "modes")
        source = base / "lineage"
        source.mkdir()
        for file, to in ((crt, "fullchain.pem"), (key, "privkey.pem")):
            shutil.copy(file, source / to)
            os.chown(source / to, client, client)
        os.chown(source, client, client)
        source.chmod(0o700)
        hook = base / "deploy-certificate"
        shutil.copy(HOOK, hook)
        # Each openssl that the hook runs notes first what the files of the new version look like.
        tools, noted = base / "tools", base / "noted"
        tools.mkdir()
        noted.touch()
        noted.chmod(0o666)
        (tools / "openssl").write_text(f"""#!/bin/sh
stat -c "%a %u %g %F" "$ZLH_TLS_DIRECTORY"/2*/* >>{noted}
exec {shutil.which("openssl")} "$@"
""")
        (tools / "openssl").chmod(0o755)
        environment = {**deployment.environment, "PATH": f"{tools}:{os.environ['PATH']}",
                       "RENEWED_LINEAGE": str(source), "ZLH_EDGE_TIMEOUT": "0",
                       "ZLH_EDGE_ADDRESS": f"127.0.0.1:{free_port()}"}

        def as_user(user: int, its_group: int, *command: str, umask: int = 0) -> subprocess.CompletedProcess:
            return subprocess.run(command, user=user, group=its_group, extra_groups=[], umask=umask, env=environment,
                                  capture_output=True, text=True, timeout=30, cwd="/")

        run = as_user(client, client, str(hook))
        assert run.returncode == 2 and "no TLS handshake" in run.stderr, run
        lines = set(noted.read_text().splitlines())
        assert lines == {f"640 {client} {group} regular file"}, lines
        version = deployment.directory / deployment.link("current")
        assert stat.S_IMODE(version.stat().st_mode) == 0o750 and version.stat().st_gid == group
        assert as_user(edge, group, "cat", str(deployment.key)).stdout == key.read_text()
        assert as_user(stranger, stranger, "cat", str(deployment.key)).returncode != 0
        assert as_user(edge, group, "cat", str(source / "privkey.pem")).returncode != 0
