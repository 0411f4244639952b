#!/usr/bin/env python3
"""verify_token.py JWKS TOKEN [AUDIENCE]: checks a launch token with joserfc and prints its claims as JSON.

Shows that tokens of `zlh-edge token issue` are what other people's code understands. Exit code 1: it is not good.
"""
import json
import pathlib
import sys

from joserfc import jwt
from joserfc.jwk import KeySet

jwks, token = sys.argv[1:3]
audience = sys.argv[3] if len(sys.argv) > 3 else "zlh-edge"
keys = KeySet.import_key_set(json.loads(pathlib.Path(jwks).read_text()))
try:
    read = jwt.decode(token, keys, algorithms=["EdDSA", "ES256", "RS256", "HS256"])
    jwt.JWTClaimsRegistry(
        leeway=30, iss={"essential": True}, aud={"essential": True, "value": audience}, sub={"essential": True},
        jti={"essential": True}, iat={"essential": True}, exp={"essential": True},
    ).validate(read.claims)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(json.dumps(read.claims))
