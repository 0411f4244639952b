"""Minecraft to the byte: a client that sends what it is told, and a server that scripts what no library speaks."""

import json
import socket
import struct
import threading
import time

CHANNEL = "MC|PingHost".encode("utf-16-be")


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text: str | bytes) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return varint(len(raw)) + raw


def frame(body: bytes) -> bytes:
    return varint(len(body)) + body


def handshake(host: str | bytes, intent: int, version: int = 767, port: int = 25565) -> bytes:
    return frame(b"\0" + varint(version) + string(host) + struct.pack(">H", port) + varint(intent))


def login_start(name: str = "Steve", version: int = 767) -> bytes:
    return frame(b"\0" + string(name) + (bytes(16) if version >= 764 else b""))


def ping(payload: bytes = b"12345678") -> bytes:
    return frame(b"\1" + payload)


STATUS = b"\1\0"


def legacy_16(host: str, port: int = 25565) -> bytes:
    text = host.encode("utf-16-be")
    return (b"\xfe\x01\xfa" + struct.pack(">H", 11) + CHANNEL + struct.pack(">H", 7 + len(text)) + b"\x4a"
            + struct.pack(">H", len(host)) + text + struct.pack(">i", port))


class Client:
    """One connection, from a loopback address of its own if asked."""

    def __init__(self, port: int, source: str | None = None, timeout: float = 10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data: bytes):
        self.socket.sendall(data)

    def drip(self, data: bytes, pause: float = 0.0):
        for byte in data:
            self.socket.sendall(bytes([byte]))
            if pause:
                time.sleep(pause)

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(f"closed after {self.buffer!r}")
            self.buffer += more
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def number(self) -> int:
        value = 0
        for place in range(5):
            byte = self.exactly(1)[0]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise ValueError("a number that does not end")

    def packet(self) -> bytes:
        return self.exactly(self.number())

    def text(self) -> str:
        """A packet of id 0 with one string: a status, a kick."""
        body = self.packet()
        assert body[0] == 0, body
        at, length, shift = 1, 0, 0
        while True:
            length |= (body[at] & 0x7F) << shift
            shift += 7
            at += 1
            if body[at - 1] < 0x80:
                break
        assert len(body) == at + length
        return body[at:].decode()

    def rest(self) -> bytes:
        """Everything up to the end, which must not be a reset."""
        while True:
            more = self.socket.recv(65536)
            if not more:
                data, self.buffer = self.buffer, b""
                return data
            self.buffer += more

    def ended(self) -> bool:
        """Whether the other side has closed, cleanly or not."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


def status(port: int, host: str = "play.test", version: int = 767, **how) -> dict:
    with Client(port, **how) as client:
        client.send(handshake(host, 1, version) + STATUS)
        answer = json.loads(client.text())
        client.send(ping())
        assert client.packet() == b"\x0112345678"
        assert client.rest() == b""
        return answer


def kick(port: int, host: str = "play.test", version: int = 767, intent: int = 2, **how) -> str:
    """The text of the Login Disconnect, and that the connection ends without a reset."""
    with Client(port, **how) as client:
        client.send(handshake(host, intent, version) + login_start(version=version))
        answer = json.loads(client.text())
        assert client.rest() == b""
        return answer["text"]


class Server:
    """A game server: answers status, greets a login with its name and echoes what comes after."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0, name: str = "one", proxy: str | None = None,
                 hang: bool = False, favicon: str | None = None):
        self.name, self.proxy, self.hang, self.favicon = name, proxy, hang, favicon
        self.listener = socket.create_server((address, port), backlog=512)
        self.address = "%s:%d" % self.listener.getsockname()[:2]
        self.port = self.listener.getsockname()[1]
        self.connections: list[dict] = []
        self.status_requests = 0
        self.open: set[socket.socket] = set()
        self.motd = f"motd of {name}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, address = self.listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open.add(peer)
            threading.Thread(target=self._serve, args=(peer, address), daemon=True).start()

    def _serve(self, peer: socket.socket, address):
        client = Client.__new__(Client)
        client.socket, client.buffer = peer, b""
        entry = {"peer": address, "proxy": None, "handshake": b"", "login": b""}
        try:
            if self.hang:
                peer.recv(1 << 16)
                time.sleep(60)
                return
            if self.proxy:
                entry["proxy"] = self._read_proxy(client)
            body = client.packet()
            entry["handshake"] = body
            if body[-1] == 1:
                self._status(client, body)
            else:
                entry["login"] = client.packet()
                self.connections.append(entry)
                peer.sendall(b"hello from " + self.name.encode() + b"\n")
                while data := client.buffer or peer.recv(1 << 18):
                    client.buffer = b""
                    peer.sendall(data)
        except (OSError, EOFError, AssertionError):
            pass
        finally:
            self.open.discard(peer)
            peer.close()

    def _read_proxy(self, client: Client) -> bytes:
        if self.proxy == "v2":
            head = client.exactly(16)
            assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n", head
            return head + client.exactly(struct.unpack(">H", head[14:])[0])
        line = b""
        while not line.endswith(b"\r\n"):
            line += client.exactly(1)
        assert line.startswith(b"PROXY "), line
        return line

    def _status(self, client: Client, body: bytes):
        assert client.packet() == b"\0"
        self.status_requests += 1
        answer = {"version": {"name": f"stub {self.name}", "protocol": 767},
                  "players": {"max": 20, "online": len(self.connections)}, "description": {"text": self.motd}}
        if self.favicon:
            answer["favicon"] = self.favicon
        text = json.dumps(answer)
        client.send(frame(b"\0" + string(text)))
        client.send(frame(client.packet()))

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in list(self.open):
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
