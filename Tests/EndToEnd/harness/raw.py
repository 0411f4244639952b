"""A TLS client that sends the bytes it is given and reads answers without forgiving anything."""

import contextlib
import select
import socket
import ssl
import time
from dataclasses import dataclass, field


class ProtocolError(Exception):
    """The gateway sent something that is not an HTTP/1.1 answer."""


class Closed(Exception):
    """The connection ended before an answer was whole. `got` holds what had come."""

    def __init__(self, got: bytes = b""):
        super().__init__(f"closed after {len(got)} bytes: {got[:200]!r}")
        self.got = got


@dataclass
class Answer:
    status: int
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    raw_head: bytes = b""
    interim: list["Answer"] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    until_close: bool = False
    chunk_sizes: list[int] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str, default: str | None = None) -> str | None:
        values = self.all(name)
        return values[0] if values else default

    def one(self, name: str) -> str:
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values} in {self.raw_head!r}"
        return values[0]

    def json(self):
        import json

        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def cookies(self) -> dict[str, str]:
        """Name to the whole Set-Cookie value."""
        return {value.split("=", 1)[0]: value for value in self.all("set-cookie")}

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.headers} {self.body[:300]!r}>"


def parse_head(raw: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """Start line and fields. Strict: CRLF only, no folding, no space before the colon."""
    assert raw.endswith(b"\r\n\r\n"), raw
    lines = raw[:-4].split(b"\r\n")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or b"\n" in line or b"\r" in line or b"\0" in line:
            raise ProtocolError(f"bad header line {line!r}")
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return lines[0], fields


class Reader:
    """The bytes of an answer or a tunnel, in order, whatever carries them. Reads what it needs and keeps the rest."""

    buffer = b""
    eof = False

    def _fill(self) -> bool:
        """More bytes at the buffer's end, or False at the end."""
        raise NotImplementedError

    def timeout(self, seconds: float):
        """How long a read may wait from now on."""
        raise NotImplementedError

    @property
    def patience(self) -> float:
        raise NotImplementedError

    def read_until(self, mark: bytes) -> bytes:
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark) + 1)
            if not self._fill():
                raise Closed(self.buffer)
        data, self.buffer = self.buffer[:at + len(mark)], self.buffer[at + len(mark):]
        return data

    def read_exactly(self, count: int) -> bytes:
        parts, have = [self.buffer], len(self.buffer)
        while have < count:
            self.buffer = b""
            if not self._fill():
                raise Closed(b"".join(parts))
            parts.append(self.buffer)
            have += len(self.buffer)
        whole = b"".join(parts)
        self.buffer = whole[count:]
        return whole[:count]

    def read_to_end(self) -> bytes:
        parts = [self.buffer]
        self.buffer = b""
        while self._fill():
            parts.append(self.buffer)
            self.buffer = b""
        return b"".join(parts)

    def skip(self, count: int):
        """Reads so many bytes and keeps none."""
        while count:
            if not self.buffer and not self._fill():
                raise Closed()
            taken = min(count, len(self.buffer))
            self.buffer = self.buffer[taken:]
            count -= taken

    def is_closed(self, within: float = 5.0) -> bool:
        """Whether the gateway ends it soon, sending nothing more."""
        self.timeout(within)
        try:
            while not self.buffer:
                if not self._fill():
                    return True
        except TimeoutError:
            return False
        raise AssertionError(f"unexpected bytes {self.buffer[:200]!r}")

    def quiet(self, for_seconds: float = 0.3) -> bool:
        """Whether nothing, not even an end, arrives for so long."""
        before = self.patience
        self.timeout(for_seconds)
        try:
            return not self.buffer and not self._fill() and not self.eof
        except TimeoutError:
            return True
        finally:
            self.timeout(before)


def dial(gateway, server_name: str, context: ssl.SSLContext, *, source: str | None = None, timeout: float = 20,
         receive_buffer: int | None = None) -> ssl.SSLSocket:
    """A TLS connection to the gateway, from the address `source` if one is named."""
    plain = socket.socket()
    if receive_buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.settimeout(timeout)
    if source:
        plain.bind((source, 0))
    try:
        plain.connect((gateway.address, gateway.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=server_name)
    except BaseException:
        plain.close()
        raise


class Raw(Reader):
    """One TLS connection. Keeps what was read past the answer, as a browser would."""

    def __init__(self, gateway, vmid: int | None = None, *, sni: str | None = None, source: str | None = None,
                 timeout: float = 20, context: ssl.SSLContext | None = None, receive_buffer: int | None = None):
        self.gateway = gateway
        self.host = gateway.host(vmid) if vmid is not None else (sni or gateway.host(1101))
        self.sock = dial(gateway, sni or self.host, context or gateway.context, source=source, timeout=timeout,
                         receive_buffer=receive_buffer)
        self.method, self.chunked = "GET", False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection with a TCP RST."""
        plain = socket.socket(fileno=self.sock.detach())
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        plain.close()

    def timeout(self, seconds: float):
        self.sock.settimeout(seconds)
        return self

    @property
    def patience(self) -> float:
        return self.sock.gettimeout()

    def send(self, data: bytes | str):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def exchange(self, data: bytes, count: int) -> bytes:
        """Sends `data` while it reads `count` bytes, in one thread: a TLS socket of Python 3.11 does not stand two."""
        seconds = self.sock.gettimeout()
        self.sock.setblocking(False)
        sent, parts, have = 0, [self.buffer], len(self.buffer)
        try:
            while sent < len(data) or have < count:
                moved = 0
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    moved = self.sock.send(data[sent:sent + 65536]) if sent < len(data) else 0
                    sent += moved
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    got = self.sock.recv(65536)
                    if not got:
                        raise Closed(b"".join(parts))
                    parts.append(got)
                    have += len(got)
                    moved += len(got)
                if not moved:
                    writers = [self.sock] if sent < len(data) else []
                    assert any(select.select([self.sock], writers, [], seconds)), "nothing moves"
        finally:
            self.sock.settimeout(seconds)
        whole = b"".join(parts)
        self.buffer = whole[count:]
        return whole[:count]

    def dribble(self, data: bytes, pause: float = 0.0, step: int = 1):
        for at in range(0, len(data), step):
            self.sock.sendall(data[at:at + step])
            if pause:
                time.sleep(pause)
        return self

    def _fill(self) -> bool:
        if self.eof:
            return False
        try:
            data = self.sock.recv(65536)
        except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
            data = b""
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def head(self) -> Answer:
        raw = self.read_until(b"\r\n\r\n")
        start, fields = parse_head(raw)
        version, _, rest = start.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit():
            raise ProtocolError(f"bad status line {start!r}")
        return Answer(int(rest[:3]), version.decode(), fields, raw_head=raw)

    def interim_head(self) -> Answer:
        """The 1xx that must come before the answer."""
        return self.head()

    def answer(self, method: str | None = None) -> Answer:
        """One whole answer, with its interim ones and its body as framed."""
        method = method or self.method
        interim = []
        while True:
            answer = self.head()
            if answer.status >= 200 or answer.status == 101:
                break
            interim.append(answer)
        answer.interim = interim
        if method == "HEAD" or answer.status in (101, 204, 304):
            return answer
        coding, length = answer.all("transfer-encoding"), answer.all("content-length")
        assert not (coding and length), answer.raw_head
        if coding:
            assert coding == ["chunked"], coding
            self._chunks(answer)
        elif length:
            assert len(length) == 1, length
            answer.body = self.read_exactly(int(length[0]))
        else:
            answer.body = self.read_to_end()
            answer.until_close = True
        return answer

    def _chunks(self, answer: Answer):
        parts = []
        try:
            while True:
                size = int(self.read_until(b"\r\n")[:-2].decode(), 16)
                answer.chunk_sizes.append(size)
                if size == 0:
                    break
                parts.append(self.read_exactly(size))
                if self.read_exactly(2) != b"\r\n":
                    raise ProtocolError("chunk without its CRLF")
            while (line := self.read_until(b"\r\n")) != b"\r\n":
                name, _, value = line[:-2].partition(b":")
                answer.trailers.append((name.decode(), value.strip().decode()))
        except Closed as closed:
            closed.got = b"".join(parts)
            raise
        answer.body = b"".join(parts)

    def request(self, method: str = "GET", target: str = "/", headers: dict | list | None = None,
                body: bytes | None = None, *, cookie: str | None = None, host: str | None = None,
                version: str = "HTTP/1.1") -> Answer:
        self.send(format_request(method, target, host or self.host, headers, body, cookie, version))
        return self.answer(method)

    # --- the same words as `http2.Connection` and its streams have, for tests over both protocols ---

    def open(self, method: str = "GET", target: str = "/", headers: dict | list | None = None, *,
             cookie: str | None = None, host: str | None = None, length: int | None = None,
             chunked: bool = False) -> "Raw":
        """Sends a head. With `length` or `chunked` its body follows by `write()`, and by `finish()` its end."""
        fields = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if length is not None:
            fields.append(("Content-Length", str(length)))
        if chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        self.method, self.chunked = method, chunked
        return self.send(format_request(method, target, host or self.host, fields, None, cookie))

    def write(self, data: bytes):
        return self.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def finish(self):
        return self.send(b"0\r\n\r\n" if self.chunked else b"")

    def cancel(self):
        """No interest in the answer any more."""
        self.reset()

    def end(self):
        """Half-closes a tunnel. Python's own `shutdown` would end TLS for reading too."""
        socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def websocket(self, target: str, fields: list[tuple[str, str]], *, cookie: str | None = None,
                  key: str = "") -> "Raw":
        """Asks for a WebSocket. `opening` is the answer, whole if it is a refusal."""
        self.open("GET", target, [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", key),
                                  *fields], cookie=cookie)
        self.opening = self.answer()
        self.accepted = self.opening.status == 101
        return self


def format_request(method: str, target: str, host: str, headers: dict | list | None = None,
                   body: bytes | None = None, cookie: str | None = None, version: str = "HTTP/1.1") -> bytes:
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    lines = [f"{method} {target} {version}", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in pairs]
    if cookie is not None:
        lines.append(f"Cookie: __Host-zlh_s={cookie}")
    if body is not None and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in pairs):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")
