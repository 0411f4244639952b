#!/usr/bin/env python3
"""Writes vectors.json: launch tokens made by other people's code, each with what the gateway must say to it.

The keys are made here, for these tests, and guard nothing. Needs `cryptography` and `joserfc`.
Run it again only to add cases: every run makes new keys.
"""
import base64
import hashlib
import hmac
import json
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

NOW = 1_800_000_000
VMID = 1101
POLICY = {"issuer": "zlh-api", "audience": "zlh-edge", "lifetime_at_most": 300, "skew": 30}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text(value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


keys = {
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed-1", "use": "sig"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec-1", "alg": "ES256"}),
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa-1"}),
    "HS256": OctKey.generate_key(256, {"kid": "hmac-1"}),
}
other = {
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed-1"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec-1"}),
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa-1"}),
    "HS256": OctKey.generate_key(256, {"kid": "hmac-1"}),
}
kids = {alg: key.kid for alg, key in keys.items()}
jwks = {"keys": [key.as_dict(private=alg == "HS256") for alg, key in keys.items()]}

GOOD = {
    "iss": "zlh-api", "aud": "zlh-edge", "sub": "alice", "vmid": VMID, "jti": "token-1", "iat": NOW - 5, "exp": NOW + 55,
}
cases = []


def add(name: str, token: str, expect: str, vmid: int = VMID) -> str:
    cases.append({"name": name, "token": token, "vmid": vmid, "expect": expect})
    return token


def sign(claims, alg="EdDSA", header=None, key=None) -> str:
    """By joserfc, which refuses to make most of the bad ones; `raw` makes those."""
    header = {"alg": alg, "kid": kids[alg], "typ": "JWT"} | (header or {})
    return jws.serialize_compact(header, text(claims), key or keys[alg], algorithms=list(keys))


def signature(alg: str, message: bytes, key=None) -> bytes:
    """By cryptography and hmac alone."""
    key = key or keys[alg]
    if alg == "HS256":
        return hmac.new(key.raw_value, message, hashlib.sha256).digest()
    private = key.private_key
    if alg == "EdDSA":
        return private.sign(message)
    if alg == "RS256":
        return private.sign(message, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw(header: bytes, payload: bytes, alg="EdDSA") -> str:
    message = b64(header) + "." + b64(payload)
    return message + "." + b64(signature(alg, message.encode()))


def with_claims(label, expect, host=VMID, drop=(), **changes):
    claims = {k: v for k, v in (GOOD | changes).items() if k not in drop}
    add(label, sign(claims), expect, host)


# Good ones.
for alg in keys:
    add(f"{alg} by joserfc", sign(GOOD, alg), "ok")
    add(f"{alg} by cryptography", raw(text({"alg": alg, "kid": kids[alg]}), text(GOOD), alg), "ok")
with_claims("every optional claim", "ok", nbf=NOW - 5, gen="01JD3K", sid="session-1", sabs=NOW + 3600, extra={"a": [1]})
with_claims("audience as array", "ok", aud=["other", "zlh-edge"])
with_claims("issuer's clock 30 s ahead", "ok", iat=NOW + 30, nbf=NOW + 30, exp=NOW + 90)
with_claims("expired within the skew", "ok", iat=NOW - 60, exp=NOW - 29)
with_claims("longest lifetime", "ok", iat=NOW, exp=NOW + 300)
with_claims("text beyond ASCII", "ok", sub="Zoë 🦊")
add("claims with white space", raw(text({"alg": "EdDSA", "kid": "ed-1"}), json.dumps(GOOD, indent=2).encode()), "ok")
add("escapes in claims", raw(text({"alg": "EdDSA", "kid": "ed-1"}), text(GOOD).replace(b"alice", b"al\\u0069ce")), "ok")
add("depth 4", raw(text({"alg": "EdDSA", "kid": "ed-1"}), text(GOOD | {"x": {"y": {"z": {}}}})), "ok")
add("32 members", raw(text({"alg": "EdDSA", "kid": "ed-1"}), text(GOOD | {f"m{i}": i for i in range(25)})), "ok")

# Claims that refuse.
with_claims("another issuer", "wrong_issuer", iss="someone")
with_claims("issuer as a longer text", "wrong_issuer", iss="zlh-api ")
with_claims("another audience", "wrong_audience", aud="zlh-edge-2")
with_claims("audience not in array", "wrong_audience", aud=["a", "b"])
with_claims("empty audience array", "wrong_audience", aud=[])
with_claims("another container", "wrong_vmid", vmid=1102)
add("host of another container", sign(GOOD), "wrong_vmid", 1102)
with_claims("vmid out of range", "wrong_vmid", vmid=1_000_000_000)
with_claims("expired", "expired", iat=NOW - 100, exp=NOW - 30)
with_claims("session end has passed", "expired", sabs=NOW)
with_claims("not yet valid", "not_yet_valid", nbf=NOW + 31)
with_claims("issued in the future", "not_yet_valid", iat=NOW + 31, exp=NOW + 60)
with_claims("lifetime too long", "lifetime_too_long", iat=NOW, exp=NOW + 301)
with_claims("lifetime far too long", "lifetime_too_long", exp=NOW + 10**9)

# Claims that are not what they should be.
for name in GOOD:
    with_claims(f"without {name}", "malformed", drop=(name,))
    with_claims(f"{name} is null", "malformed", **{name: None})
    with_claims(f"{name} is an object", "malformed", **{name: {}})
for name, value in {
    "text": "1101", "fraction": 1101.0, "negative": -1101, "true": True, "list": [1101], "too large": 2**32 + 1101,
}.items():
    with_claims(f"vmid as {name}", "malformed", vmid=value)
add("vmid with exponent", raw(text({"alg": "EdDSA", "kid": "ed-1"}), text(GOOD).replace(b"1101", b"1.101e3")), "malformed")
add("vmid with leading zero", raw(text({"alg": "EdDSA", "kid": "ed-1"}), text(GOOD).replace(b"1101", b"01101")), "malformed")
for name in ("iat", "exp", "nbf", "sabs"):
    with_claims(f"{name} as text", "malformed", **{name: str(NOW)})
    # Taken for the second it lies in, which for the session's end is now.
    with_claims(f"{name} with fraction", "expired" if name == "sabs" else "ok", **{name: NOW + 0.5})
    with_claims(f"{name} negative", "malformed", **{name: -1})
    with_claims(f"{name} beyond all years", "malformed", **{name: 2**63 - 1})
for name in ("iss", "sub", "jti", "gen", "sid"):
    with_claims(f"{name} empty", "malformed", **{name: ""})
    with_claims(f"{name} with newline", "malformed", **{name: "a\nb"})
    with_claims(f"{name} a number", "malformed", **{name: 7})
with_claims("audience array with a number", "malformed", aud=["zlh-edge", 1])

# JSON that two readers might read differently.
HEADER = {"alg": "EdDSA", "kid": "ed-1"}
PAYLOAD = text(GOOD)
for name, payload in {
    "duplicate claim": PAYLOAD[:-1] + b',"vmid":1102}',
    "duplicate claim by escape": PAYLOAD[:-1] + b',"vm\\u0069d":1102}',
    "duplicate in an inner object": PAYLOAD[:-1] + b',"x":{"a":1,"a":2}}',
    "depth 5": text(GOOD | {"x": {"y": {"z": {"w": {}}}}}),
    "depth of arrays": PAYLOAD[:-1] + b',"x":' + b"[" * 200 + b"]" * 200 + b"}",
    "33 members": text(GOOD | {f"m{i}": i for i in range(26)}),
    "not UTF-8": PAYLOAD.replace(b"alice", b"al\xffce"),
    "overlong UTF-8": PAYLOAD.replace(b"alice", b"al\xc1\xa9ce"),
    "surrogate in UTF-8": PAYLOAD.replace(b"alice", b"\xed\xa0\x80"),
    "lone surrogate escape": PAYLOAD.replace(b"alice", b"\\ud800"),
    "byte order mark": b"\xef\xbb\xbf" + PAYLOAD,
    "trailing garbage": PAYLOAD + b"x",
    "two documents": PAYLOAD + PAYLOAD,
    "trailing comma": PAYLOAD[:-1] + b",}",
    "single quotes": PAYLOAD.replace(b'"', b"'"),
    "comment": b"/**/" + PAYLOAD,
    "an array": b"[" + PAYLOAD + b"]",
    "a string": b'"' + b"x" * 20 + b'"',
    "raw newline in a string": PAYLOAD.replace(b"alice", b"al\nce"),
    "NUL byte after it": PAYLOAD + b"\0",
    "nothing but space": b" ",
    "cut short": PAYLOAD[:-1],
}.items():
    add(f"claims: {name}", raw(text(HEADER), payload), "malformed")

# Headers.
for name, header in {
    "crit": HEADER | {"crit": ["exp"]}, "empty crit": HEADER | {"crit": []}, "jku": HEADER | {"jku": "https://x/"},
    "x5u": HEADER | {"x5u": "https://x/"}, "jwk": HEADER | {"jwk": keys["EdDSA"].as_dict(private=False)},
    "null jwk": HEADER | {"jwk": None}, "no kid": {"alg": "EdDSA"}, "no alg": {"kid": "ed-1"},
    "kid a number": HEADER | {"kid": 1}, "kid a list": HEADER | {"kid": ["ed-1"]}, "alg a list": HEADER | {"alg": ["EdDSA"]},
    "depth 5": HEADER | {"x": {"y": {"z": {"w": {}}}}}, "33 members": HEADER | {f"m{i}": 0 for i in range(31)},
}.items():
    add(f"header: {name}", raw(text(header), PAYLOAD), "malformed")
add("header: duplicate alg", raw(b'{"alg":"none","alg":"EdDSA","kid":"ed-1"}', PAYLOAD), "malformed")
add("header: an array", raw(b'["EdDSA","ed-1"]', PAYLOAD), "malformed")
for kid in ("ed-2", "", "ed-1 ", "ED-1", "../../ed-1", "ed-1' OR '1'='1", "/dev/null"):
    add(f"header: kid {kid!r}", raw(text(HEADER | {"kid": kid}), PAYLOAD), "unknown_key")
for alg in ("none", "None", "NONE", "nOnE", "", "eddsa", "EDDSA", "Ed25519", "HS256", "RS256", "ES256", "EdDSA "):
    add(f"header: alg {alg!r} for an EdDSA key", raw(text(HEADER | {"alg": alg}), PAYLOAD), "bad_signature")
message = b64(text({"alg": "none", "kid": "ed-1"})) + "." + b64(PAYLOAD)
add("alg none, no signature", message + ".", "malformed")
add("alg none, some signature", message + ".AAAA", "bad_signature")

# Algorithm confusion: a public key used as an HMAC secret.
for alg in ("EdDSA", "ES256", "RS256"):
    pem = keys[alg].as_pem(private=False)
    der = keys[alg].public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    jwk = text(keys[alg].as_dict(private=False))
    for form, secret in {"PEM": pem, "DER": der, "JWK": jwk}.items():
        message = b64(text({"alg": "HS256", "kid": kids[alg]})) + "." + b64(PAYLOAD)
        mac = hmac.new(secret, message.encode(), hashlib.sha256).digest()
        add(f"HS256 with the {alg} public key as {form}", message + "." + b64(mac), "bad_signature")

# Signatures.
for alg in keys:
    add(f"{alg} by another key of that kid", sign(GOOD, alg, key=other[alg]), "bad_signature")
    good = sign(GOOD, alg)
    head, body, sig = good.split(".")
    size = len(base64.urlsafe_b64decode(sig + "=="))
    add(f"{alg}, signature of zeros", f"{head}.{body}.{b64(bytes(size))}", "bad_signature")
    add(f"{alg}, signature cut", f"{head}.{body}.{b64(base64.urlsafe_b64decode(sig + '==')[:-1])}", "bad_signature")
    add(f"{alg}, signature longer", f"{head}.{body}.{b64(base64.urlsafe_b64decode(sig + '==') + b'x')}", "bad_signature")
    add(f"{alg}, one-byte signature", f"{head}.{body}.AA", "bad_signature")
    changed = b64(text(GOOD | {"sub": "mallory"}))
    add(f"{alg}, other claims under the signature", f"{head}.{changed}.{sig}", "bad_signature")
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
message = b64(text({"alg": "ES256", "kid": "ec-1"})) + "." + b64(PAYLOAD)
for name, (r, s) in {"r = 0": (0, 1), "s = 0": (1, 0), "r = s = n": (N, N), "r = n, s = 1": (N, 1), "r = s = 1": (1, 1)}.items():
    add(f"ES256, {name}", message + "." + b64(r.to_bytes(32, "big") + s.to_bytes(32, "big")), "bad_signature")
der = keys["ES256"].private_key.sign(message.encode(), ec.ECDSA(hashes.SHA256()))
add("ES256, signature in DER", message + "." + b64(der), "bad_signature")
message = b64(text({"alg": "RS256", "kid": "rsa-1"})) + "." + b64(PAYLOAD)
pss = keys["RS256"].private_key.sign(
    message.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
add("RS256, a PSS signature", message + "." + b64(pss), "bad_signature")

# Shape.
good = sign(GOOD)
head, body, sig = good.split(".")
for name, token in {
    "nothing": "", "dots": "..", "two parts": f"{head}.{body}", "four parts": good + "." + sig, "five parts": good + "..",
    "empty header": f".{body}.{sig}", "empty claims": f"{head}..{sig}", "empty signature": f"{head}.{body}.",
    "leading dot": "." + good, "leading space": " " + good, "trailing newline": good + "\n", "padding": good + "==",
    "padded header": head + "=." + body + "." + sig, "plus and slash": f"{head}.{body}.{sig[:-2]}+/",
    "line break inside": good[:40] + "\n" + good[40:], "percent sign": good.replace(".", "%2E"), "NUL": good + "\0",
    "JSON serialisation": json.dumps({"payload": body, "protected": head, "signature": sig}),
    "five-part JWE": ".".join([head, body, sig, body, sig]),
}.items():
    add(f"shape: {name}", token, "malformed")
# 64 signature bytes leave four unused bits in the last digit.
digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
for extra in (1, 2, 8, 15):
    add(f"shape: unused bits {extra}", good[:-1] + digits[digits.index(good[-1]) | extra], "malformed")


def sized(size: int) -> str:
    for pad in range(size):
        token = sign(GOOD | {"pad": "x" * pad})
        if len(token) >= size:
            return token
    raise AssertionError


exact = next(t for t in (sized(2048 - d) for d in range(4)) if len(t) <= 2048)
add("largest token", exact, "ok")
add("a token too large", sized(2049), "malformed")
add("ten thousand bytes", "A" * 10_000, "malformed")

# JWKS files that cannot be used, with a word the reason must hold.
public = [key for key in jwks["keys"]]
small = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers()
ed, p256, rs, oct_ = public
bad_sets = [
    ("not JSON", "{", "not JSON"), ("a bare key", json.dumps(ed), "\"keys\""), ("keys no array", '{"keys":{}}', "\"keys\""),
    ("an element no object", '{"keys":[1]}', "object"),
    ("no kid", {k: v for k, v in ed.items() if k != "kid"}, "kid"), ("empty kid", ed | {"kid": ""}, "kid"),
    ("no kty", {k: v for k, v in ed.items() if k != "kty"}, "kty"), ("unknown kty", ed | {"kty": "AKP"}, "AKP"),
    ("X25519", ed | {"crv": "X25519"}, "Ed25519"), ("Ed448", ed | {"crv": "Ed448"}, "Ed25519"),
    ("short x", ed | {"x": b64(bytes(31))}, "32 bytes"), ("padded x", ed | {"x": ed["x"] + "="}, "base64url"),
    ("no x", {k: v for k, v in ed.items() if k != "x"}, "\"x\""), ("for encryption", ed | {"use": "enc"}, "use"),
    ("key_ops without verify", ed | {"key_ops": ["sign"]}, "key_ops"), ("alg of another kind", ed | {"alg": "ES256"}, "ES256"),
    ("unknown alg", rs | {"alg": "PS256"}, "PS256"), ("RS512", rs | {"alg": "RS512"}, "RS512"), ("alg none", ed | {"alg": "none"}, "none"),
    ("P-384", p256 | {"crv": "P-384"}, "P-256"), ("point off the curve", p256 | {"y": p256["x"]}, "point"),
    ("coordinate too short", p256 | {"x": b64(bytes(31))}, "32 bytes"),
    ("RSA of 1024 bits", {"kty": "RSA", "kid": "r", "n": b64(small.n.to_bytes(128, "big")), "e": "AQAB"}, "2048"),
    ("RSA exponent 1", rs | {"e": "AQ"}, "exponent"), ("RSA exponent even", rs | {"e": "AQAA"}, "exponent"),
    ("RSA without n", {k: v for k, v in rs.items() if k != "n"}, "\"n\""),
    ("secret of 31 bytes", oct_ | {"k": b64(bytes(31))}, "32"), ("HS512", oct_ | {"alg": "HS512"}, "HS512"),
    ("duplicate member", '{"keys":[{"kty":"OKP","kty":"EC"}]}', "twice"),
]
bad_sets = [
    {"name": name, "jwks": body if isinstance(body, str) else json.dumps({"keys": [p256 | {"kid": "first"}, body]}), "reason": word}
    for name, body, word in bad_sets
]
bad_sets.append({"name": "duplicate kid", "jwks": json.dumps({"keys": [ed, rs | {"kid": "ed-1"}]}), "reason": "same kid"})

document = {
    "note": "Made by make_vectors.py. The keys are for these tests only and guard nothing.",
    "now": NOW, "policy": POLICY, "jwks": json.dumps(jwks),
    "privateJWKS": json.dumps({"keys": [keys["EdDSA"].as_dict(private=True)]}),
    "pem": {alg: keys[alg].as_pem(private=True).decode() for alg in ("EdDSA", "ES256", "RS256")},
    "tamper": [sign(GOOD, "EdDSA"), sign(GOOD, "HS256")],
    "cases": cases, "badSets": bad_sets,
}
out = pathlib.Path(__file__).with_name("vectors.json")
out.write_text(json.dumps(document, indent=1) + "\n")
print(f"{len(cases)} tokens, {len(bad_sets)} key sets")
