"""Which certificates are served, what is said of their dates, and that `check` and `run` judge alike."""

import datetime
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from harness.certs import private_pem
from harness.gateway import DOMAIN, free_port, run, wait_for
from harness.minecraft import Server, status

NAME = f"*.{DOMAIN}"

KEYS = {
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "p-192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "dsa": lambda: dsa.generate_private_key(2048),
}


def self_signed(key, names=(NAME,), begins: float = -1, ends: float = 20) -> bytes:
    """A certificate valid from and to so many days from now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "none")])
    digest = None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=begins))
               .not_valid_after(now + datetime.timedelta(days=ends)))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)


def install(gw, *pairs: tuple[bytes, bytes]):
    """Writes pairs of chain and key, and names them in edge.yaml in that order."""
    entries = []
    for number, (chain, key) in enumerate(pairs):
        paths = gw.directory / f"{number}.crt", gw.directory / f"{number}.key"
        for path, data in zip(paths, (chain, key)):
            path.write_bytes(data)
        entries.append(dict(zip(("certificate", "key"), map(str, paths))))
    gw.write_config(tls={"certificates": entries})


def served(gw, sni: str | None = None, arguments: list[str] = ()) -> x509.Certificate | None:
    """What `openssl s_client` is shown, `None` when the handshake fails."""
    name = ["-servername", sni] if sni else ["-noservername"]
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gw.port}", *name, *arguments],
                          input=b"", capture_output=True, timeout=10)
    text = done.stdout
    begin = text.find(b"-----BEGIN CERTIFICATE-----")
    return x509.load_pem_x509_certificate(text[begin:]) if begin >= 0 else None


def starts(gw) -> bool:
    """Whether `run` takes the configuration; what it says is in `gw.said`."""
    try:
        gw.start()
    except AssertionError as error:
        gw.said = str(error)
        status = gw.process.wait()
        gw.stop(expect=None)
        assert status == 78, error
        return False
    gw.stop()
    gw.said = "\n".join(gw.raw_log)  # all of it, as the end was waited for
    return True


# --- one judge ---

def with_key(name: str):
    key = KEYS[name]()
    return self_signed(key), private_pem(key)


def signed_with_sha1():
    """By a CA: OpenSSL does not look at the signature of what is self-signed. The library refuses to make such a one."""
    authority, key = KEYS["rsa-2048"](), KEYS["rsa-2048"]()
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("ca.crt", self_signed(authority, names=("ca",))), ("ca.key", private_pem(authority)),
                           ("key", private_pem(key)), ("names", f"subjectAltName=DNS:{NAME}".encode())):
            Path(folder, name).write_bytes(data)
        made = "openssl req -new -key key -subj /CN=x | openssl x509 -req -sha1 -CA ca.crt -CAkey ca.key -set_serial 7 -extfile names"
        done = subprocess.run(["sh", "-c", made], cwd=folder, capture_output=True, check=True)
    return done.stdout, private_pem(key)


def with_passphrase():
    key = KEYS["p-256"]()
    locked = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                               serialization.BestAvailableEncryption(b"secret"))
    return self_signed(key), locked


def upside_down():
    key = KEYS["p-256"]()
    authority = KEYS["p-256"]()
    return self_signed(authority, names=("ca",)) + self_signed(key), private_pem(key)


def with_a_broken_second():
    key = KEYS["p-256"]()
    return self_signed(key) + b"-----BEGIN CERTIFICATE-----\nTm90aGluZw==\n-----END CERTIFICATE-----\n", private_pem(key)


def with_a_stranger_behind():
    key = KEYS["p-256"]()
    return self_signed(key) + self_signed(KEYS["p-256"](), names=("ca",)), private_pem(key)


def of_somebody_else():
    return self_signed(KEYS["p-256"]()), private_pem(KEYS["p-256"]())


def without_names():
    key = KEYS["p-256"]()
    return self_signed(key, names=()), private_pem(key)


def with_dates(begins: float, ends: float):
    key = KEYS["p-256"]()
    return self_signed(key, begins=begins, ends=ends), private_pem(key)


# What is made, whether it may be served, and a word of what is said.
CASES = {
    **{name: (lambda name=name: with_key(name), True, None)
       for name in ("rsa-2048", "p-256", "p-384", "p-521", "ed25519")},
    **{name: (lambda name=name: with_key(name), False, "weak")
       for name in ("rsa-1024",)},
    **{name: (lambda name=name: with_key(name), False, None) for name in ("secp256k1", "brainpool", "p-192", "dsa")},
    "sha-1": (signed_with_sha1, False, "weak"),
    "passphrase": (with_passphrase, False, "passphrase"),
    "upside down": (upside_down, False, "first"),
    "broken second": (with_a_broken_second, False, "certificate 2"),
    "stranger behind": (with_a_stranger_behind, True, "sign"),
    "mismatch": (of_somebody_else, False, "belong"),
    "no names": (without_names, True, "names no host"),
    "expired": (lambda: with_dates(-30, -1), True, "EXPIRED"),
    "not yet valid": (lambda: with_dates(1, 30), True, "NOT VALID"),
    "about to expire": (lambda: with_dates(-89, 1), True, "expires"),
}


@pytest.mark.parametrize("case", CASES)
def test_check_and_run_judge_alike(make_gateway, case):
    make, good, word = CASES[case]
    try:
        pair = make()
    except Exception as error:  # this build of the library cannot make it
        pytest.skip(f"{error}")
    gw = make_gateway(start=False, routes=2)
    install(gw, pair)
    checked = run("check", config=gw.config_file)
    assert checked.returncode == (0 if good else 78), checked
    assert starts(gw) == good
    if word:
        assert word in checked.stdout and word in gw.said, (checked.stdout, gw.said)


@pytest.mark.parametrize("case", [case for case in CASES if not CASES[case][1]])
def test_a_reload_judges_as_a_start_does(make_gateway, case):
    make, _, _ = CASES[case]
    try:
        pair = make()
    except Exception as error:
        pytest.skip(f"{error}")
    gw = make_gateway(start=False, routes=2)
    install(gw, with_key("p-256"))
    gw.start()
    serial = served(gw).serial_number
    install(gw, pair)
    wait_for(lambda: gw.metric("zlh_edge_reloads_total", result="refused") >= 1, 4)
    assert served(gw).serial_number == serial


def test_check_names_every_certificate_that_is_wrong(make_gateway):
    gw = make_gateway(start=False, routes=2)
    install(gw, with_key("rsa-1024"), with_key("p-256"), of_somebody_else())
    done = run("check", config=gw.config_file)
    assert done.returncode == 78 and "0.crt" in done.stdout and "2.key" in done.stdout and "1.crt" not in done.stdout


def test_who_serves_no_https_needs_no_certificate(make_gateway):
    server, port = Server(), free_port()
    gw = make_gateway(start=False, routes=1, listen={"https": [], "minecraft": [f"127.0.0.1:{port}"]},
                      tls={"certificates": []}, minecraft={"health": {"interval": "300ms"}})
    gw.routes["minecraft"] = [{"host": "play.test", "kind": "direct", "backends": [{"address": server.address}]}]
    gw.save_routes()
    assert run("check", config=gw.config_file).returncode == 0
    gw.start()
    gw.signal(signal.SIGHUP)
    gw.wait_log(lambda entry: entry["event"] == "certificates_loaded")
    assert status(port)["description"]["text"] == server.motd
    server.close()


def test_certificates_cannot_be_taken_away_while_https_listens(make_gateway):
    """`listen` needs a restart, so that the certificates are still needed."""
    gw = make_gateway(routes=1)
    serial, since = served(gw).serial_number, len(gw.log)
    gw.write_config(listen={"https": [], "minecraft": [f"127.0.0.1:{free_port()}"]}, tls={"certificates": []})
    gw.signal(signal.SIGHUP)
    gw.wait_log(lambda entry: entry["level"] == "error" and "no certificate" in entry["message"], 4, since)
    assert served(gw).serial_number == serial


# --- dates ---

def test_an_expired_certificate_keeps_nobody_else_out(make_gateway):
    """Minecraft needs no certificate, other names have their own."""
    server = Server()
    gw = make_gateway(start=False, routes=2, minecraft={"health": {"interval": "300ms"}})
    port = free_port()
    good = KEYS["p-256"]()
    install(gw, with_dates(-30, -1), (self_signed(good, names=("dev-1102." + DOMAIN,)), private_pem(good)))
    gw.write_config(listen={"minecraft": [f"127.0.0.1:{port}"]})
    gw.routes["minecraft"] = [{"host": "play.test", "kind": "direct", "backends": [{"address": server.address}]}]
    gw.save_routes()
    gw.start()
    assert status(port)["description"]["text"] == server.motd
    assert served(gw, "dev-1102." + DOMAIN).not_valid_after_utc > datetime.datetime.now(datetime.timezone.utc)
    assert served(gw, "dev-1101." + DOMAIN).not_valid_after_utc < datetime.datetime.now(datetime.timezone.utc)
    said = gw.wait_log(lambda entry: entry["level"] == "error" and "EXPIRED" in entry["message"])
    assert said["file"].endswith("0.crt")
    assert gw.metric("zlh_edge_certificate_expiry_seconds", name=NAME, key="ecdsa") < 0
    # The renewed one is taken while it runs.
    chain, key = with_dates(-1, 20)
    (gw.directory / "0.key").write_bytes(key)
    (gw.directory / "0.crt").write_bytes(chain)
    wait_for(lambda: served(gw, "dev-1101." + DOMAIN).not_valid_after_utc
             > datetime.datetime.now(datetime.timezone.utc), 4)
    server.close()


@pytest.mark.parametrize("left, warned", [(0.4, False), (0.3, True), (0.1, True), (0.04, True)])
@pytest.mark.parametrize("lifetime", [6, 45, 90])
def test_a_third_of_the_lifetime_is_warned_of(make_gateway, lifetime, left, warned):
    gw = make_gateway(start=False, routes=1)
    install(gw, with_dates(-lifetime * (1 - left), lifetime * left))
    gw.start()
    if warned:
        assert "expires in" in gw.wait_log(lambda entry: entry["event"] == "certificate")["message"]
    gw.wait_log(lambda entry: entry["event"] == "start")
    assert any(entry["event"] == "certificate" for entry in gw.log) == warned
    assert abs(gw.metric("zlh_edge_certificate_lifetime_seconds") - lifetime * 86400) < 5
    assert ("expires" in run("check", config=gw.config_file).stdout) == warned


def test_each_stage_is_said_once_as_it_comes(make_gateway):
    """A certificate of 36 s: 12, 6 and 1.8 s before its end, and at its end; a busy machine may miss the third."""
    gw = make_gateway(start=False, routes=1)
    second = 1 / 86400
    install(gw, with_dates(-18 * second, 18 * second))
    gw.start()
    gw.wait_log(lambda entry: "EXPIRED" in entry.get("message", ""), 25)
    time.sleep(1.5)
    said = [entry["message"] for entry in gw.log if entry["event"] == "certificate"]
    assert 3 <= len(said) <= 4, said


# --- several for one name ---

def test_two_certificates_of_one_name_have_series_of_their_own(make_gateway):
    gw = make_gateway(start=False, routes=1)
    rsa_key, first, second = KEYS["rsa-2048"](), KEYS["p-256"](), KEYS["p-256"]()
    install(gw, (self_signed(rsa_key, ends=40), private_pem(rsa_key)), (self_signed(first, ends=30), private_pem(first)),
            (self_signed(second, ends=10), private_pem(second)), with_key("ed25519"))
    gw.start()
    days = {key: round(gw.metric("zlh_edge_certificate_expiry_seconds", name=NAME, key=key) / 86400)
            for key in ("rsa", "ecdsa", "ed25519")}
    assert days == {"rsa": 40, "ecdsa": 10, "ed25519": 20}
    assert round(gw.metric("zlh_edge_certificate_lifetime_seconds", name=NAME, key="ecdsa") / 86400) == 11


@pytest.mark.parametrize("also", [(NAME,), (NAME, "other.test")], ids=["same names", "one name more"])
@pytest.mark.parametrize("order", ["rsa first", "ecdsa first"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_is_shown_the_key_that_it_can_verify(make_gateway, order, version, also):
    gw = make_gateway(start=False, routes=1)
    pairs = [(self_signed(key, names=names), private_pem(key))
             for key, names in ((KEYS["rsa-2048"](), also), (KEYS["p-256"](), (NAME,)))]
    other = KEYS["p-256"]()
    first = (self_signed(other, names=("first.test",)), private_pem(other))
    install(gw, first, *(pairs if order == "rsa first" else pairs[::-1]))
    gw.start()

    def kind(*signatures: str):
        shown = served(gw, "dev-1101." + DOMAIN, [version, "-sigalgs", ":".join(signatures)])
        return shown and type(shown.public_key()).__name__.lstrip("_")

    assert "RSA" in kind("rsa_pss_rsae_sha256", "RSA+SHA256")
    assert "RSA" not in kind("ECDSA+SHA256")
    assert kind("ECDSA+SHA256", "rsa_pss_rsae_sha256") is not None
