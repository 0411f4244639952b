"""The commands that need no running gateway."""

import json
import re
import stat
import time
import urllib.parse

import pytest
import yaml

from harness import tokens
from harness.gateway import run
from harness.tokens import SigningKey, claims, compact


@pytest.fixture
def gw(make_gateway):
    return make_gateway(start=False)


def test_version_and_help():
    version = run("--version")
    assert version.returncode == 0 and re.search(r"\d+\.\d+", version.stdout)
    for command in ([], ["run"], ["check"], ["demo"], ["token"], ["token", "issue"], ["token", "keygen"],
                    ["token", "inspect"]):
        shown = run(*command, "--help")
        assert shown.returncode == 0, command
        if command:
            assert re.search(r"example", shown.stdout, re.I), f"{command}: no example"


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--nonsense"], ["check", "--config"],
                                       ["token", "issue", "--vmid", "abc"]])
def test_usage_errors_are_64(arguments):
    done = run(*arguments)
    assert done.returncode == 64 and done.stderr and not done.stdout


def test_check_passes_a_good_configuration(gw):
    done = run("check", config=gw.config_file)
    assert done.returncode == 0, done


EDGE_ERRORS = {
    "unknown key": ("domian: x.example\n", r"domain"),
    "bad size": ("limits: { buffer: lots }\n", r"buffer|lots"),
    "bad duration": ("limits: { keep_alive: 10 parsecs }\n", r"keep_alive|parsecs"),
    "nested unknown": ("limits: { headers: { byte: 1k } }\n", r"bytes"),
    "bad network": ("trusted_proxies: [not-a-network]\n", r"not-a-network"),
}


@pytest.mark.parametrize("name", EDGE_ERRORS)
def test_check_names_file_line_and_cure(gw, name):
    line, pattern = EDGE_ERRORS[name]
    gw.config.pop("limits" if line.startswith("limits") else "", None)
    gw.write_config()
    text = gw.config_file.read_text()
    gw.config_file.write_text(text + line)
    done = run("check", config=gw.config_file)
    assert done.returncode == 78, done
    output = done.stdout + done.stderr
    assert f"edge.yaml:{len(text.splitlines()) + 1}" in output, output
    assert re.search(pattern, output), output


def test_check_reports_every_problem_at_once(gw):
    text = ("ide:\n  1101: { address: 127.60.0.1, port: 18888 }\n  1102: { adress: 127.60.0.2 }\n"
            "  1103: { address: example.com }\n")
    gw.routes_file.write_text(text)
    done = run("check", config=gw.config_file)
    assert done.returncode == 78
    output = done.stdout + done.stderr
    for line in (2, 3, 4):
        assert f"routes.yaml:{line}" in output, output
    assert "address" in output


def test_check_finds_bad_certificates_and_keys(gw):
    from pathlib import Path

    certificate = Path(gw.config["tls"]["certificates"][0]["certificate"])
    good = certificate.read_bytes()
    certificate.write_bytes(gw.authority.make(["*.zlh.localhost"])[0])
    assert run("check", config=gw.config_file).returncode == 78, "certificate and key do not belong together"
    certificate.write_bytes(good)
    gw.keys_file.write_text('{"keys": []}')
    assert run("check", config=gw.config_file).returncode == 78
    gw.keys_file.unlink()
    assert run("check", config=gw.config_file).returncode == 78


def test_check_warns_of_conflicts_without_failing(gw):
    gw.routes["ide"][1102]["address"] = gw.routes["ide"][1101]["address"]
    gw.save_routes()
    done = run("check", config=gw.config_file)
    assert done.returncode == 0
    assert "1101" in done.stdout + done.stderr and "1102" in done.stdout + done.stderr


def test_missing_files_are_78(gw, tmp_path):
    assert run("check", config=tmp_path / "nowhere.yaml").returncode == 78
    assert run("run", config=tmp_path / "nowhere.yaml").returncode == 78


def test_environment_variables(gw):
    text = gw.config_file.read_text().replace("domain: zlh.localhost", "domain: ${EDGE_TEST_DOMAIN}")
    gw.config_file.write_text(text)
    missing = run("check", config=gw.config_file)
    assert missing.returncode == 78 and "EDGE_TEST_DOMAIN" in missing.stdout + missing.stderr
    assert run("check", config=gw.config_file, environment={"EDGE_TEST_DOMAIN": "zlh.localhost"}).returncode == 0
    gw.config_file.write_text(text.replace("${EDGE_TEST_DOMAIN}", "${EDGE_TEST_DOMAIN:-zlh.localhost}"))
    assert run("check", config=gw.config_file).returncode == 0


# --- tokens ---

@pytest.fixture
def ours(gw, tmp_path):
    """A key pair made by `keygen`, which the configuration then trusts."""
    out = tmp_path / "keys"
    done = run("token", "keygen", "--out", str(out))
    assert done.returncode == 0, done
    files = sorted(out.iterdir())
    private = next(path for path in files if b"PRIVATE KEY" in path.read_bytes())
    public = next(path for path in files if path != private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    gw.write_config(ide={"launch": {"keys": str(public)}})
    return private, json.loads(public.read_text())


def issue(gw, private, *arguments):
    done = run("token", "issue", "--vmid", "1101", "--user", "alice", "--key", str(private), *arguments,
               config=gw.config_file)
    assert done.returncode == 0, done
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def test_keygen_makes_a_pair_that_other_libraries_read(ours):
    from cryptography.hazmat.primitives import serialization

    private, jwks = ours
    key = serialization.load_pem_private_key(private.read_bytes(), None)
    (jwk,) = jwks["keys"]
    assert (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519") and jwk["kid"] and "d" not in jwk
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert tokens.unb64(jwk["x"]) == raw


def test_keygen_never_overwrites(tmp_path):
    out = tmp_path / "keys"
    assert run("token", "keygen", "--out", str(out)).returncode == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    again = run("token", "keygen", "--out", str(out))
    assert {path: path.read_bytes() for path in before} == before or again.returncode == 0
    assert again.returncode != 0


def test_an_issued_token_is_verified_by_joserfc(gw, ours):
    from joserfc import jwt
    from joserfc.jwk import KeySet

    private, jwks = ours
    token = issue(gw, private, "--gen", "g1101", "--lifetime", "90s")
    decoded = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["EdDSA"])
    got = decoded.claims
    assert (got["vmid"], got["sub"], got["gen"], got["iss"], got["aud"]) == (
        1101, "alice", "g1101", tokens.ISSUER, tokens.AUDIENCE)
    assert type(got["vmid"]) is int and got["exp"] - got["iat"] == 90
    assert abs(got["iat"] - time.time()) < 5 and got["jti"]
    assert decoded.header["alg"] == "EdDSA" and decoded.header["kid"] == jwks["keys"][0]["kid"]


def test_an_issued_token_is_verified_by_cryptography(gw, ours):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    private, jwks = ours
    message, _, signature = issue(gw, private).rpartition(".")
    Ed25519PublicKey.from_public_bytes(tokens.unb64(jwks["keys"][0]["x"])).verify(
        tokens.unb64(signature), message.encode())


def test_an_issued_url_opens(gw, ours):
    private, _ = ours
    gw.start()
    url = urllib.parse.urlsplit(issue(gw, private, "--url", "--next", "/a?b=c"))
    assert url.scheme == "https" and url.hostname == gw.host(1101) and url.path == "/.zlh/launch"
    assert url.port in (None, 443, gw.port)
    answer = gw.request(1101, f"{url.path}?{url.query}", {"Accept": "text/html"})
    assert (answer.status, answer.one("location")) == (303, "/a?b=c")


def test_a_missing_private_key_is_asked_for(gw):
    done = run("token", "issue", "--vmid", "1101", "--user", "alice", config=gw.config_file)
    assert done.returncode == 64 and "--key" in done.stderr and not done.stdout, done


def test_inspect(gw):
    good = compact(gw.key, claims(1101))
    done = run("token", "inspect", good, config=gw.config_file)
    assert done.returncode == 0 and "1101" in done.stdout and "alice" in done.stdout
    shown = json.loads(run("token", "inspect", good, "--json", config=gw.config_file).stdout)
    assert "alice" in json.dumps(shown)
    for bad in (compact(SigningKey("EdDSA", kid=gw.key.kid), claims(1101)), "x.y.z", compact(
            gw.key, claims(1101, iat=int(time.time()) - 900, exp=int(time.time()) - 800))):
        done = run("token", "inspect", bad, config=gw.config_file)
        assert "Fatal" not in done.stderr and done.stdout + done.stderr


def test_the_example_configuration_passes_check():
    """The files of the repository's own `config/` are what people copy."""
    from harness.gateway import REPOSITORY

    example = REPOSITORY / "config/edge.yaml"
    if not example.exists():
        pytest.skip("no example configuration")
    assert yaml.safe_load(example.read_text())["domain"]
    done = run("check", config=example)
    for line in (done.stdout + done.stderr).splitlines():
        assert "unknown key" not in line, line
