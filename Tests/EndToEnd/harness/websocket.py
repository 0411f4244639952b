"""Just enough RFC 6455 to look at single bytes; the `websockets` library does the rest."""

import os
import struct

from .raw import Answer, Reader
from .upstreams import accept_key

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def asked(client, target: str = "/ws", *, cookie: str | None = None, origin: str | None = "own",
          headers: dict | None = None, key: str = KEY):
    """Asks for a WebSocket over either protocol. `origin="own"` is what a page of that host sends."""
    fields = {"Sec-WebSocket-Version": "13"}
    if origin is not None:
        fields["Origin"] = f"https://{client.host}" if origin == "own" else origin
    fields |= headers or {}
    key = fields.pop("Sec-WebSocket-Key", key)
    return client.websocket(target, list(fields.items()), cookie=cookie, key=key)


def upgrade(client, target: str = "/ws", **how) -> Answer:
    """The answer to that: 101 over HTTP/1.1 and 200 over HTTP/2 when it is a WebSocket."""
    return asked(client, target, **how).opening


def opened(client, **how):
    """The tunnel, asserting that it came about."""
    tunnel = asked(client, **how)
    assert tunnel.accepted, tunnel.opening
    if tunnel.opening.status == 101:
        assert tunnel.opening.one("sec-websocket-accept") == accept_key(how.get("key", KEY))
    return tunnel


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = False, rsv1: bool = False) -> bytes:
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, bit | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, bit | 127, len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def close_frame(code: int, reason: str = "", mask: bool = False) -> bytes:
    return frame(8, struct.pack("!H", code) + reason.encode(), mask=mask)


def read_frame(raw: Reader) -> tuple[int, bytes]:
    """Opcode and payload of the next, unmasked, frame."""
    first, second = raw.read_exactly(2)
    length = second & 127
    if length == 126:
        (length,) = struct.unpack("!H", raw.read_exactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", raw.read_exactly(8))
    assert not second & 128, "a server's frame is never masked"
    return first & 15, raw.read_exactly(length)


def read_close(raw: Reader) -> int:
    """The code of the close frame that must come next."""
    opcode, payload = read_frame(raw)
    assert opcode == 8, (opcode, payload[:100])
    return struct.unpack("!H", payload[:2])[0]
