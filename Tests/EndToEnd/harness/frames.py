"""HTTP/2 frames one by one, for clients that keep to no rule. Nothing of what comes is acknowledged but SETTINGS."""

import contextlib
import struct

import hpack

from .http2 import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16  # RFC 9218
END_STREAM, END_HEADERS, ACK, PADDED = 1, 4, 1, 8
ENHANCE_YOUR_CALM = 11


def frame(kind: int, number: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, b"".join(struct.pack("!HI", code, value) for code, value in pairs))


def window_update(number: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, number, struct.pack("!I", size))


def reset(number: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, number, struct.pack("!I", code))


def priority(number: int, depends_on: int = 0) -> bytes:
    return frame(PRIORITY, number, struct.pack("!IB", depends_on, 15))


def priority_update(number: int, value: bytes = b"u=1") -> bytes:
    return frame(PRIORITY_UPDATE, 0, struct.pack("!I", number) + value)


def head_block(number: int, block: bytes) -> bytes:
    """A request's whole header block, in as many frames as it takes."""
    pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
    return b"".join(frame(CONTINUATION if at else HEADERS, number, piece,
                          (0 if at else END_STREAM) | (END_HEADERS if at == len(pieces) - 1 else 0))
                    for at, piece in enumerate(pieces))


def literal(name: bytes, value: bytes, indexed: bool = False) -> bytes:
    """A field as HPACK writes it without its table, or with `indexed` so that it enters the table (RFC 7541 §6.2)."""
    def length(size: int) -> bytes:
        if size < 127:
            return bytes([size])
        size -= 127
        more = bytearray([127])
        while size >= 128:
            more.append(size & 127 | 128)
            size >>= 7
        more.append(size)
        return bytes(more)

    return bytes([0x40 if indexed else 0]) + length(len(name)) + name + length(len(value)) + value


class Frames(Wire):
    """A connection that has exchanged prefaces with these settings, and reads what comes without a word to it."""

    def __init__(self, gateway, vmid: int | None = None, *, preface: bool = True, acknowledges: bool = True,
                 initial: tuple[tuple[int, int], ...] = (), **how):
        super().__init__(gateway, vmid, **how)
        self.acknowledges = acknowledges
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.heads: dict[int, list[tuple[str, str]]] = {}
        self.bodies: dict[int, int] = {}
        self.resets: dict[int, int] = {}
        self.ended: set[int] = set()
        self.pongs = 0
        self._block = b""
        if preface:  # and the acknowledgement of the gateway's settings, which must not come between what follows
            self.raw(PREFACE + settings(*initial))
            self.pump_until(lambda: ("SETTINGS", 0) in [frame[:2] for frame in self.frames])

    def _digest_frames(self, frames: list[bytes]):
        for data in frames:
            kind, flags, number = data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7fffffff
            if kind in (HEADERS, CONTINUATION):
                self._block += data[9:]
                if flags & END_HEADERS:
                    self.heads[number] = self.decoder.decode(self._block)
                    self._block = b""
            elif kind == DATA:
                self.bodies[number] = self.bodies.get(number, 0) + len(data) - 9
            elif kind == RST_STREAM:
                self.resets[number] = int.from_bytes(data[9:13], "big")
            elif kind == SETTINGS and not flags & ACK and self.acknowledges:
                self._out += frame(SETTINGS, flags=ACK)
            elif kind == PING and flags & ACK:
                self.pongs += 1
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                self.ended.add(number)

    def status(self, number: int) -> int | None:
        return int(dict(self.heads[number])[":status"]) if number in self.heads else None

    def block(self, target: str = "/", *, method: str = "GET", cookie: str | None = None, host: str | None = None,
              more: list[tuple[str, str]] = ()) -> bytes:
        """A request's header block, never touching the compression table."""
        fields = [(":method", method), (":scheme", "https"), (":authority", host or self.host), (":path", target)]
        fields += more
        if cookie:
            fields.append(("cookie", f"__Host-zlh_s={cookie}"))
        return b"".join(literal(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)

    def request(self, number: int, target: str = "/", *, end: bool = True, **how) -> bytes:
        """The HEADERS frame of a request."""
        return frame(HEADERS, number, self.block(target, **how), END_HEADERS | (END_STREAM if end else 0))

    @property
    def sent_away(self) -> bool:
        return bool(self.goaways) or self.eof

    def pour(self, data: bytes) -> bool:
        """Sends without waiting for anybody to take it. Whether to go on."""
        self._out += data
        self.poll()
        if len(self._out) > 1 << 20:
            self.pump_until(lambda: self.sent_away or len(self._out) < 1 << 20)
        return not self.sent_away

    def flood(self, data: bytes, times: int, batch: int = 100, patience: float = 3) -> bool:
        """Sends `data` over and over while reading. Whether the gateway put an end to it."""
        for _ in range(0, times, batch):
            if not self.pour(data * batch):
                return True
        with contextlib.suppress(AssertionError):
            self.pump_until(lambda: self.sent_away, patience)
        return self.sent_away
