"""Launch tokens: honest ones, and ones bent in every way a forger would try."""

import base64
import json
import time
import uuid

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER, AUDIENCE = "zlh-api", "zlh-edge"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class SigningKey:
    """One key of the JWKS. The algorithm belongs to the key."""

    def __init__(self, algorithm: str = "EdDSA", kid: str | None = None):
        self.algorithm = algorithm
        self.kid = kid or f"{algorithm.lower()}-{uuid.uuid4().hex[:6]}"
        if algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "RS256":
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif algorithm == "HS256":
            self.private = uuid.uuid4().bytes + uuid.uuid4().bytes
        else:
            raise ValueError(algorithm)

    def sign(self, message: bytes) -> bytes:
        if self.algorithm == "EdDSA":
            return self.private.sign(message)
        if self.algorithm == "ES256":
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.algorithm == "RS256":
            return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        mac = hmac.HMAC(self.private, hashes.SHA256())
        mac.update(message)
        return mac.finalize()

    def public_raw(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )

    def jwk(self, private: bool = False) -> dict:
        """The public JWK, as it stands in the JWKS (the secret itself for HS256); with `private`, a signer's."""
        head = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if self.algorithm == "EdDSA":
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(self.public_raw())}
            if private:
                jwk["d"] = b64(
                    self.private.private_bytes(
                        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
                    )
                )
        elif self.algorithm == "ES256":
            numbers = self.private.public_key().public_numbers()
            jwk = {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32, "big")),
                   "y": b64(numbers.y.to_bytes(32, "big"))}
            if private:
                jwk["d"] = b64(self.private.private_numbers().private_value.to_bytes(32, "big"))
        elif self.algorithm == "RS256":
            numbers = self.private.public_key().public_numbers()
            jwk = {"kty": "RSA", "n": b64(numbers.n.to_bytes(256, "big")), "e": b64(numbers.e.to_bytes(3, "big"))}
        else:
            jwk = {"kty": "oct", "k": b64(self.private)}
        return jwk | head

    def joserfc(self):
        """The same key as the joserfc library holds it: an independent signer."""
        from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

        if self.algorithm == "RS256":
            pem = self.private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            return RSAKey.import_key(pem)
        kind = {"EdDSA": OKPKey, "ES256": ECKey, "HS256": OctKey}[self.algorithm]
        return kind.import_key(self.jwk(private=True))


def jwks(*keys: SigningKey) -> str:
    return json.dumps({"keys": [key.jwk() for key in keys]}, indent=2) + "\n"


def claims(vmid: int, /, user: str = "alice", lifetime: int = 60, **more) -> dict:
    """Complete, valid claims; a keyword of None removes one."""
    now = int(time.time())
    full = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": user, "vmid": vmid, "jti": uuid.uuid4().hex,
        "iat": now, "exp": now + lifetime,
    }
    full.update(more)
    return {name: value for name, value in full.items() if value is not None}


def compact(key: SigningKey, payload: dict | bytes, header: dict | bytes | None = None) -> str:
    """Signs exactly these bytes, honest or not."""
    if header is None:
        header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
    if isinstance(header, dict):
        header = json.dumps(header).encode()
    if isinstance(payload, dict):
        payload = json.dumps(payload).encode()
    message = f"{b64(header)}.{b64(payload)}"
    return f"{message}.{b64(key.sign(message.encode()))}"
