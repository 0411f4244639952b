"""Containers, honest and otherwise. Each misdeed is a small script over raw bytes, named for what it does."""

import base64
import hashlib
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Callable

from .raw import parse_head

CRLF = b"\r\n"


@dataclass
class Request:
    """What reached the container, to the byte."""

    head: bytes
    body: bytes = b""
    raw_body: bytes = b""
    connection: int = 0

    def __post_init__(self):
        start, self.headers = parse_head(self.head)
        self.method, self.target, self.version = start.decode("latin-1").split(" ")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} twice: {self.head!r}"
        return values[0] if values else None

    def fields(self) -> dict[str, list[str]]:
        """Lower-cased names, each with its values in order."""
        found: dict[str, list[str]] = {}
        for name, value in self.headers:
            found.setdefault(name.lower(), []).append(value)
        return found


class Connection:
    """One accepted connection, read strictly."""

    def __init__(self, upstream: "Upstream", sock: socket.socket, number: int):
        self.upstream, self.sock, self.number = upstream, sock, number
        self.buffer = b""
        self.received = b""

    def fill(self) -> bool:
        data = self.sock.recv(65536)
        if not data:
            return False
        self.buffer += data
        if len(self.received) < 1 << 20:
            self.received += data
        return True

    def read_until(self, mark: bytes) -> bytes | None:
        while (at := self.buffer.find(mark)) < 0:
            if not self.fill():
                return None
        data, self.buffer = self.buffer[:at + len(mark)], self.buffer[at + len(mark):]
        return data

    def read_exactly(self, count: int) -> bytes | None:
        while len(self.buffer) < count:
            if not self.fill():
                return None
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_head(self) -> Request | None:
        head = self.read_until(b"\r\n\r\n")
        if head is None:
            return None
        request = Request(head, connection=self.number)
        self.upstream.note(request)
        return request

    def read_body(self, request: Request, keep: bool = True) -> bool:
        """Reads the body as framed. False when the gateway ended it early."""
        if request.get("expect"):
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.get("transfer-encoding"):
            return self._read_chunks(request)
        left = int(request.get("content-length") or 0)
        digest = hashlib.sha256()
        parts = []
        while left:
            if not self.buffer and not self.fill():
                request.body = b"".join(parts)
                return False
            piece, self.buffer = self.buffer[:left], self.buffer[left:]
            left -= len(piece)
            digest.update(piece)
            request.received = getattr(request, "received", 0) + len(piece)
            if keep:
                parts.append(piece)
        request.body = request.raw_body = b"".join(parts)
        request.sha256 = digest.hexdigest()
        return True

    def _read_chunks(self, request: Request) -> bool:
        parts, raw = [], []
        while True:
            line = self.read_until(CRLF)
            if line is None:
                return False
            raw.append(line)
            size = int(line[:-2], 16)  # an extension would be a ValueError: they are to be dropped
            if size == 0:
                break
            piece = self.read_exactly(size + 2)
            if piece is None:
                return False
            raw.append(piece)
            parts.append(piece[:-2])
            request.body = b"".join(parts) if len(parts) < 64 else request.body
        while True:
            line = self.read_until(CRLF)
            if line is None:
                return False
            raw.append(line)
            if line == CRLF:
                break
        request.body, request.raw_body = b"".join(parts), b"".join(raw)
        request.sha256 = hashlib.sha256(request.body).hexdigest()
        return True

    def read(self) -> Request | None:
        """A whole request."""
        request = self.read_head()
        if request is not None and not self.read_body(request):
            return None
        return request

    def send(self, data: bytes):
        self.sock.sendall(data)

    def reset(self):
        """Ends with a TCP RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_closed(self, seconds: float = 10) -> bool:
        self.sock.settimeout(seconds)
        try:
            while self.fill():
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True


Script = Callable[[Connection], None]


class Upstream:
    """A threaded server on one address, running `script` on each connection. Everything received is kept."""

    def __init__(self, address: str, port: int, script: Script, vmid: int = 0, receive_buffer: int | None = None):
        self.address, self.port, self.script, self.vmid = address, port, script, vmid
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self.errors: list[BaseException] = []
        self._changed = threading.Condition()
        self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((address, port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def note(self, request: Request):
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def wait_requests(self, count: int, seconds: float = 5) -> list[Request]:
        with self._changed:
            self._changed.wait_for(lambda: len(self.requests) >= count, seconds)
            assert len(self.requests) >= count, f"only {len(self.requests)} of {count} requests came"
            return list(self.requests)

    @property
    def last(self) -> Request:
        return self.wait_requests(1)[-1]

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock, len(self.connections) + 1)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection):
        try:
            self.script(connection)
        except (OSError, ValueError) as error:
            self.errors.append(error)
        finally:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.sock.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


# --- honest scripts -------------------------------------------------------------------------------------------------

def answer(body: bytes = b"ok", status: str = "200 OK", headers: list[str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(headers or []), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def replies(reply: bytes | Callable[[Request], bytes] = answer(), close: bool = False, keep: bool = True) -> Script:
    """Reads each request whole, then sends these bytes (or what the function makes of the request)."""

    def script(connection: Connection):
        while (request := connection.read_head()) is not None:
            if not connection.read_body(request, keep=keep):
                return
            connection.send(reply(request) if callable(reply) else reply)
            if close:
                return

    return script


def pages(table: dict[str, bytes | Callable[[Request], bytes]]) -> Script:
    """A small web server: path (without query) to whole answer; 404 otherwise."""

    def reply(request: Request) -> bytes:
        entry = table.get(request.target.split("?")[0], answer(b"no such page", "404 Not Found"))
        return entry(request) if callable(entry) else entry

    return replies(reply)


def counts_bytes(connection: Connection):
    """Swallows bodies without keeping them and says how much came and its digest."""
    while (request := connection.read_head()) is not None:
        if not connection.read_body(request, keep=False):
            return
        connection.send(answer(f"{getattr(request, 'received', 0)} {request.sha256}".encode()))


def accept_key(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def switching(request: Request, extra: list[str] | None = None) -> bytes:
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Accept: {accept_key(request.get('sec-websocket-key') or '')}", *(extra or [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def upgrades_and(then: Script, extra: list[str] | None = None) -> Script:
    """Accepts a WebSocket, then hands the raw connection over."""

    def script(connection: Connection):
        request = connection.read_head()
        if request is not None:
            connection.send(switching(request, extra))
            then(connection)

    return script


def echoes_bytes(connection: Connection):
    """Returns every byte as it comes; passes a half-close on."""
    while True:
        if connection.buffer:
            connection.send(connection.buffer)
            connection.buffer = b""
        if not connection.fill():
            connection.sock.shutdown(socket.SHUT_WR)
            return


def waits(seconds: float = 60) -> Script:
    def script(connection: Connection):
        connection.wait_closed(seconds)

    return script


# --- misdeeds -------------------------------------------------------------------------------------------------------

def after_request(data: bytes | Callable[[Request], bytes], then: Script | None = None) -> Script:
    """Reads one request, sends exactly these bytes, then runs `then` or closes."""

    def script(connection: Connection):
        request = connection.read()
        if request is None:
            return
        connection.send(data(request) if callable(data) else data)
        if then:
            then(connection)

    return script


def never_answers(connection: Connection):
    connection.read()
    connection.wait_closed(60)


def closes_at_once(connection: Connection):
    pass


def closes_after_the_request(connection: Connection):
    connection.read()


def holds(go: threading.Event, body: bytes = b"held", seconds: float = 10) -> Script:
    """Answers each request once `go` is set."""
    def held(connection):
        while connection.read() is not None:
            go.wait(seconds)
            connection.send(answer(body))
    return held


def pours_without_end(connection: Connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            connection.send(bytes(65536))
    except OSError:
        pass


def streams_events(connection: Connection):
    """Answers with events for as long as it can."""
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        while True:
            connection.send(b"9\r\ndata: x\n\n\r\n")
            time.sleep(0.1)
    except OSError:
        pass


def resets_after_the_request(connection: Connection):
    connection.read()
    connection.reset()


def resets_mid_body(connection: Connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)
    time.sleep(0.2)
    connection.reset()


def drips(body: bytes = b"drip" * 5, pause: float = 0.1) -> Script:
    """An honest answer, one byte at a time."""

    def script(connection: Connection):
        connection.read()
        for byte in answer(body):
            connection.send(bytes([byte]))
            time.sleep(pause)

    return script


def sends_interims_without_end(connection: Connection):
    connection.read()
    while True:
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * 8)


def head_of(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * size + b"\r\nContent-Length: 2\r\n\r\nok"


def with_fields(count: int) -> bytes:
    return (b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(count))
            + b"Content-Length: 2\r\n\r\nok")


def speaks_on_an_idle_connection(connection: Connection):
    """Answers properly, then adds a second answer nobody asked for."""
    while connection.read() is not None:
        connection.send(answer(b"first"))
        time.sleep(0.2)
        connection.send(answer(b"poison"))


class Blackhole:
    """Takes no connection and refuses none: its accept queue is full, so SYNs are dropped."""

    def __init__(self, address: str, port: int):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(0)
        self.fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            self.fillers.append(filler)
        time.sleep(0.1)

    def close(self):
        for filler in self.fillers:
            filler.close()
        self.listener.close()


def random_body(size: int) -> bytes:
    return os.urandom(size)
