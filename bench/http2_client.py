"""An HTTP/2 client for counting: keeps its connections, and sends exactly the same for each of its rounds.

It asks with a fixed number of streams at a time, and again when all were answered, so that a peer's work for a request
does not depend on its speed. Frames are those of RFC 9113, fields those of RFC 7541; the first request of a connection
puts its fields into the dynamic table and the others name them, `:path` apart, as browsers do. Nothing is allowed to be
other than expected: a status that is not 200, a short answer, any frame that ends something.
"""

import socket
import ssl
import struct

import side_by_side as bench

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE = 1, 2, 4
LARGEST = (1 << 31) - 1
STATUS_200 = 0x88
# Of HPACK's static table.
AUTHORITY, METHOD_GET, METHOD_POST, PATH, SCHEME_HTTPS = 1, 2, 3, 4, 7
STATIC_FIELDS = 61


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def setting(name: int, value: int) -> bytes:
    return struct.pack("!HI", name, value)


def integer(value: int, bits: int, first: int) -> bytes:
    """HPACK's integer behind a first byte's upper bits (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def text(value: str) -> bytes:
    return integer(len(value), 7, 0) + value.encode()


def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


TLS = tls_context()


def connect_tls(port: int, timeout: float | None = None, source: str = "127.0.0.1") -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return TLS.wrap_socket(plain, server_hostname=bench.HOST)
    except BaseException:
        plain.close()
        raise


def connect(peer: bench.Peer, opening: bytes, timeout: float | None = None) -> ssl.SSLSocket:
    """A TLS connection that agreed on h2, after the client's preface and `opening`."""
    try:
        tls = connect_tls(peer.port, timeout)
    except ssl.SSLError as error:
        raise SystemExit(f"{peer.name} does not speak HTTP/2: {error}") from None
    if tls.selected_alpn_protocol() != "h2":
        raise SystemExit(f"{peer.name} does not speak HTTP/2: ALPN gave {tls.selected_alpn_protocol()}")
    tls.sendall(PREFACE + opening)
    return tls


def request_fields(host: str, path: str, headers: dict[str, str], method: int = METHOD_GET) -> tuple[bytes, bytes]:
    """The header blocks of a connection's first request and of each later one."""
    entries = [integer(AUTHORITY, 6, 0x40) + text(host)]
    entries += [b"\x40" + text(name.lower()) + text(value) for name, value in headers.items()]
    known = bytes((0x80 | method, 0x80 | SCHEME_HTTPS)) + integer(PATH, 4, 0) + text(path)
    # The newest entry has the lowest index.
    again = b"".join(integer(STATIC_FIELDS + len(entries) - place, 7, 0x80) for place in range(len(entries)))
    return known + b"".join(entries), known + again


class Connection:
    """One HTTP/2 connection whose streams all ask for the same file of `size` bytes."""

    def __init__(self, peer: bench.Peer, fields: tuple[bytes, bytes], size: int):
        self.name, self.size = peer.name, size
        self.first, self.later = fields
        settings = setting(ENABLE_PUSH, 0) + setting(INITIAL_WINDOW_SIZE, LARGEST)
        # Wide enough for all that is asked here, so that no frame about windows is counted.
        self.tls = connect(peer, frame(SETTINGS, 0, 0, settings)
                           + frame(WINDOW_UPDATE, 0, 0, (LARGEST - 65_535).to_bytes(4, "big")))
        self.stream = 1
        self.received = b""
        self.open: dict[int, int] = {}

    def ask(self, streams: int) -> None:
        """So many requests in one TLS record."""
        requests = []
        for _ in range(streams):
            fields, self.first = self.first or self.later, b""
            requests.append(frame(HEADERS, END_HEADERS | END_STREAM, self.stream, fields))
            self.open[self.stream] = self.size
            self.stream += 2
        self.tls.sendall(b"".join(requests))

    def await_answers(self) -> None:
        while self.open:
            got = self.tls.recv(1 << 16)
            if not got:
                raise SystemExit(f"{self.name} closed with {len(self.open)} requests unanswered")
            data, at = self.received + got, 0
            while len(data) - at >= 9:
                end = at + 9 + int.from_bytes(data[at:at + 3], "big")
                if end > len(data):
                    break
                stream = int.from_bytes(data[at + 5:at + 9], "big")
                self.take(data[at + 3], data[at + 4], stream, data[at + 9:end])
                at = end
            self.received = data[at:]

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS:
            if not flags & ACK:
                self.tls.sendall(frame(SETTINGS, ACK, 0))
        elif kind == HEADERS and not flags & (PADDED | PRIORITY):
            fields = payload
            while fields and fields[0] & 0xE0 == 0x20:  # a change of the table's size
                if fields[0] & 0x1F == 0x1F:
                    while fields[1] & 0x80:
                        fields = fields[1:]
                    fields = fields[1:]
                fields = fields[1:]
            if not fields or fields[0] != STATUS_200:
                raise SystemExit(f"{self.name}: not :status 200 but {fields[:20]!r}")
        elif kind == DATA:
            self.open[stream] -= len(payload)
        elif kind in (RST_STREAM, GOAWAY, PUSH_PROMISE, CONTINUATION, HEADERS):
            raise SystemExit(f"{self.name}: a frame of type {kind} with flags {flags:#x}: {payload[:64]!r}")
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            if self.open.pop(stream):
                raise SystemExit(f"{self.name}: an answer is not {self.size} bytes long")


class Client:
    """Some connections with some streams each. Its requests are those of `instructions.Client`."""

    connections, streams = 4, 8

    def __init__(self, peer: bench.Peer, headers: dict[str, str]):
        fields = request_fields(f"{bench.HOST}:{peer.port}", "/1k", {
            "user-agent": "instructions", "accept": "*/*", "accept-language": "en", **headers})
        self.pool = [Connection(peer, fields, 1024) for _ in range(self.connections)]

    def run(self, count: int) -> int:
        """At least `count` requests; says how many."""
        done = 0
        while done < count:
            for connection in self.pool:
                connection.ask(self.streams)
            for connection in self.pool:
                connection.await_answers()
            done += len(self.pool) * self.streams
        return done
