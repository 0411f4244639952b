"""An HTTP/2 client over the `h2` library, which checks all that the gateway sends; what is sent is checked by nobody.

A connection and its streams belong to one thread: whichever stream is read, the bytes of all arrive with it."""

import contextlib
import select
import socket
import ssl
import struct
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from .raw import Answer, Closed, Reader, dial

CANCEL, REFUSED_STREAM, PROTOCOL_ERROR, NO_ERROR = 8, 7, 1, 0
KINDS = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
         "CONTINUATION"]


class Reset(Closed):
    """The gateway ended the stream by RST_STREAM before the answer was whole."""

    def __init__(self, code: int, got: bytes = b""):
        super().__init__(got)
        self.code = int(code)
        self.args = (f"RST_STREAM {h2.errors.ErrorCodes(code).name} after {len(got)} bytes: {got[:200]!r}",)


def connect(gateway, server_name: str, context: ssl.SSLContext, *, source: str | None = None, timeout: float = 20,
            receive_buffer: int | None = None) -> ssl.SSLSocket:
    """A TLS connection on which ALPN chose HTTP/2."""
    sock = dial(gateway, server_name, context, source=source, timeout=timeout, receive_buffer=receive_buffer)
    assert sock.selected_alpn_protocol() == "h2", f"ALPN chose {sock.selected_alpn_protocol()}"
    return sock


def status_of(call) -> int:
    """The status of what `call()` answers. A stream that is reset for being malformed counts as 400."""
    try:
        return call().status
    except Reset as reset:
        assert reset.code == PROTOCOL_ERROR and not reset.got, reset
        return 400


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


class Stream(Reader):
    """One exchange or tunnel."""

    def __init__(self, connection: "Connection", number: int, method: str = "GET"):
        self.connection, self.id, self.method = connection, number, method
        self.interim: list[Answer] = []
        self.first: Answer | None = None
        self.trailers: list[tuple[str, str]] = []
        self.ended = False
        self.reset_code: int | None = None
        self.owed = 0
        self.received = 0
        self._arrived: list[bytes] = []
        self.opening: Answer | None = None
        self.accepted = False
        self.host = connection.host

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self) -> str:
        return f"<Stream {self.id} {self.first} ended={self.ended} reset={self.reset_code}>"

    def close(self):
        """The whole connection, as a client that has but this one would."""
        self.connection.close()

    def timeout(self, seconds: float):
        self.connection.timeout(seconds)
        return self

    @property
    def patience(self) -> float:
        return self.connection.patience

    @property
    def over(self) -> bool:
        """Nothing more can come."""
        return self.ended or self.reset_code is not None or self.connection.eof

    # --- receiving ---

    def _fill(self) -> bool:
        while not self._arrived:
            if self.over:
                self.eof = True
                return False
            self.connection.pump()
        self.buffer += b"".join(self._arrived)
        self._arrived.clear()
        return True

    def acknowledge(self, size: int | None = None):
        """With `manual` connections: lets the gateway send that many more bytes, or as many as came."""
        size = self.owed if size is None else size
        self.owed -= size
        self.connection.acknowledge(self.id, size)

    def head(self) -> Answer:
        while self.first is None:
            if self.over:
                self._broken(b"")
            self.connection.pump()
        return self.first

    def interim_head(self) -> Answer:
        """The first 1xx that comes before the answer."""
        self.connection.pump_until(lambda: self.interim or self.first or self.over)
        assert self.interim, self
        return self.interim[0]

    def answer(self, method: str | None = None) -> Answer:
        """The whole answer. Reset or Closed when it does not end properly."""
        answer = self.head()
        answer.body = self.read_to_end()
        if not self.ended:
            self._broken(answer.body)
        answer.interim, answer.trailers = self.interim, self.trailers
        return answer

    def _broken(self, got: bytes):
        if self.reset_code is not None:
            raise Reset(self.reset_code, got)
        raise Closed(got)

    def wait_reset(self, seconds: float = 5) -> int:
        """The code of the RST_STREAM that must come; data is thrown away until then."""
        self.connection.pump_until(lambda: self._arrived.clear() or self.reset_code is not None, seconds)
        return self.reset_code

    # --- sending ---

    def send(self, data: bytes | str, end: bool = False):
        """All of `data`, waiting for the window to open."""
        data = memoryview(as_bytes(data))
        while data:
            moved = self.send_some(data)
            data = data[moved:]
            if not moved:
                if self.reset_code is not None or self.connection.eof:
                    self._broken(b"")
                self.connection.pump()
        if end:
            self.finish()
        return self

    write = send

    def send_some(self, data: bytes | memoryview, flush: bool = True) -> int:
        """As much as the windows allow at once; how much that is."""
        machine = self.connection.machine
        total = 0
        while self.reset_code is None and total < len(data):
            size = min(len(data) - total, machine.local_flow_control_window(self.id), machine.max_outbound_frame_size)
            if size <= 0:
                break
            machine.send_data(self.id, bytes(data[total:total + size]))
            total += size
        self.connection.flush(wait=flush)
        return total

    def finish(self):
        if self.reset_code is None:
            self.connection.machine.end_stream(self.id)
            self.connection.flush()
        return self

    end = finish

    def cancel(self, code: int = CANCEL):
        self.connection.machine.reset_stream(self.id, code)
        self.connection.flush()
        if self.reset_code is None:
            self.reset_code = code

    def exchange(self, data: bytes, count: int) -> bytes:
        """Sends `data` while it reads `count` bytes."""
        data = memoryview(data)
        while data or len(self.buffer) < count:
            moved = self.send_some(data, flush=False) if data else 0
            data = data[moved:]
            if len(self.buffer) < count and self._arrived:
                self._fill()
            elif not moved:
                if self.over:
                    raise Closed(self.buffer)
                self.connection.pump()
        whole, self.buffer = self.buffer[:count], self.buffer[count:]
        return whole


class Wire:
    """The bytes and frames of a connection, and what is the connection's own of them."""

    def __init__(self, gateway, vmid: int | None = None, *, sni: str | None = None, source: str | None = None,
                 timeout: float = 20, context: ssl.SSLContext | None = None, receive_buffer: int | None = None):
        self.host = gateway.host(vmid) if vmid is not None else (sni or gateway.host(1101))
        self.sock = connect(gateway, sni or self.host, context or gateway.context2, source=source, timeout=timeout,
                            receive_buffer=receive_buffer)
        self.sock.setblocking(False)
        self.patience = timeout
        self.eof = False
        self.frames: list[tuple[str, int, int, int]] = []  # kind, flags, stream, length of each that came
        self.goaways: list[tuple[int, int, bytes]] = []  # last stream, code, debug data
        self._out, self._in = bytearray(), bytearray()

    def _due(self) -> bytes:
        """What the protocol itself has to send now."""
        return b""

    def _digest_frames(self, frames: list[bytes]):
        """Whole frames that came, but for GOAWAY."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()
        self.eof = True

    def reset(self):
        """Ends the connection with a TCP RST."""
        plain = socket.socket(fileno=self.sock.detach())
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()
        self.eof = True

    def timeout(self, seconds: float):
        self.patience = seconds
        return self

    # --- bytes ---

    def _wait(self, deadline: float):
        left = deadline - time.monotonic()
        if left <= 0 or not any(select.select([self.sock], [self.sock] if self._out else [], [], left)):
            raise TimeoutError("nothing came")

    def _push(self) -> int:
        """Sends what the kernel takes. An end shows when it is read."""
        self._out += self._due()
        total = 0
        try:
            while self._out:
                count = self.sock.send(self._out[:65536])
                del self._out[:count]
                total += count
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError:
            self._out.clear()
        return total

    def _pull(self) -> bool | None:
        """Digests what is there. None when nothing is, False at the end."""
        try:
            data = self.sock.recv(1 << 16)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            data = b""
        if not data:
            self.eof = True
            return False
        self._digest(data)
        return True

    def flush(self, wait: bool = True):
        """Sends all that is due, reading meanwhile so that neither side waits for the other."""
        deadline = time.monotonic() + self.patience
        self._push()
        while wait and self._out and not self.eof:
            if self._pull() is None:
                self._wait(deadline)
            self._push()

    def poll(self):
        """Sends and digests what it can at once."""
        self._push()
        while not self.eof and self._pull():
            pass
        self._push()
        return self

    def pump(self, seconds: float | None = None) -> bool:
        """Waits for more and digests it. False at the end of the connection, TimeoutError when nothing comes."""
        deadline = time.monotonic() + (self.patience if seconds is None else seconds)
        while not self.eof:
            self._push()
            state = self._pull()
            if state is not None:
                self._push()
                return state
            self._wait(deadline)
        return False

    def pump_until(self, condition, seconds: float | None = None):
        """Reads on until `condition()` is truthy, and returns that."""
        deadline = time.monotonic() + (self.patience if seconds is None else seconds)
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not in time: {condition}"
            with contextlib.suppress(TimeoutError):
                if not self.pump(max(0.001, deadline - time.monotonic())):
                    value = condition()
                    assert value, f"the connection ended first: {condition} {self.goaways}"
                    break
        return value

    def pump_for(self, seconds: float):
        """Reads whatever comes for so long."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while (left := deadline - time.monotonic()) > 0 and self.pump(left):
                pass
        return self

    def raw(self, data: bytes):
        """Bytes of the caller's own."""
        self._out += self._due()
        self._out += data
        self.flush()
        return self

    def _digest(self, data: bytes):
        self._in += data
        frames = []
        while len(self._in) >= 9 and len(self._in) >= 9 + (size := int.from_bytes(self._in[:3], "big")):
            frame = bytes(self._in[:9 + size])
            del self._in[:9 + size]
            kind, number = frame[3], int.from_bytes(frame[5:9], "big") & 0x7fffffff
            self.frames.append((KINDS[kind] if kind < len(KINDS) else str(kind), frame[4], number, size))
            if kind == 7:
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big"),
                                     frame[17:]))
            else:
                frames.append(frame)
        if frames:
            self._digest_frames(frames)

    def is_closed(self, within: float = 5.0) -> bool:
        """Whether the gateway ends the connection soon."""
        deadline = time.monotonic() + within
        try:
            while (left := deadline - time.monotonic()) > 0:
                if not self.pump(left):
                    return True
        except TimeoutError:
            pass
        return self.eof


class Connection(Wire):
    """One TLS connection that speaks HTTP/2. `window` is what it lets each stream and all of them send ahead of the
    reader; with `manual` nothing is given back but by `acknowledge()`."""

    def __init__(self, gateway, vmid: int | None = None, *, window: int = 1 << 20, connection_window: int | None = None,
                 manual: bool = False, settings: dict[int, int] | None = None, **how):
        super().__init__(gateway, vmid, **how)
        self.manual = manual
        self.streams: dict[int, Stream] = {}
        self.pongs: list[bytes] = []
        self.settings_seen = self.settings_acknowledged = False
        self.machine = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        codes = h2.settings.SettingCodes
        self.machine.local_settings = h2.settings.Settings(client=True, initial_values={
            codes.ENABLE_PUSH: 0, codes.INITIAL_WINDOW_SIZE: window, codes.MAX_HEADER_LIST_SIZE: 1 << 20,
            **(settings or {})})
        self.machine.initiate_connection()
        if (connection_window or window) > 65535:
            self.machine.increment_flow_control_window((connection_window or window) - 65535)
        self.flush()

    def _due(self) -> bytes:
        return self.machine.data_to_send()

    def _digest_frames(self, frames: list[bytes]):
        """GOAWAY is kept from the library, which would give up the streams still alive."""
        for event in self.machine.receive_data(b"".join(frames)):
            self._take(event)

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.DataReceived):
            stream.received += len(event.data)
            stream._arrived.append(event.data)
            stream.owed += event.flow_controlled_length
            if not self.manual:
                stream.acknowledge()
        elif isinstance(event, h2.events.ResponseReceived):
            stream.first = _answer(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(_answer(event.headers))
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = [(name, value) for name, value in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            assert event.remote_reset, f"the gateway broke the protocol: {event}"
            if stream.reset_code is None:
                stream.reset_code = int(event.error_code)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings_seen = True
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.settings_acknowledged = True

    # --- the connection itself ---

    def acknowledge(self, number: int, size: int):
        if size:
            self.machine.acknowledge_received_data(size, number)

    def settings(self) -> h2.settings.Settings:
        """The gateway's, once they came."""
        self.pump_until(lambda: self.settings_seen)
        return self.machine.remote_settings

    def ping(self, seconds: float | None = None) -> float:
        """How long the gateway takes to answer a PING."""
        begin, mark = time.monotonic(), struct.pack("!d", time.monotonic())
        self.machine.ping(mark)
        self.flush()
        self.pump_until(lambda: mark in self.pongs, seconds)
        return time.monotonic() - begin

    def quiet(self, for_seconds: float = 0.3) -> bool:
        """Whether no stream hears anything for so long, and the connection lives on."""
        count = len(self.frames)
        self.pump_for(for_seconds)
        return not self.eof and all(frame[2] == 0 for frame in self.frames[count:])

    # --- requests ---

    def open(self, method: str = "GET", target: str = "/", headers: dict | list | None = None, *,
             cookie: str | None = None, host: str | None = None, length: int | None = None, chunked: bool = False,
             protocol: str | None = None, pseudo: list | None = None, end: bool | None = None,
             exact: bool = False) -> Stream:
        """Sends a head. With `length` or `chunked` (any length) its body follows by `write()`, and by `finish()` its
        end. `pseudo` replaces the pseudo-headers; `exact` leaves names as they are."""
        fields = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        fields = [(name if exact else name.lower(), value) for name, value in fields]
        if cookie is not None:
            fields.append(("cookie", f"__Host-zlh_s={cookie}"))
        if length is not None:
            fields.append(("content-length", str(length)))
        if pseudo is None:
            pseudo = [(":method", method), (":scheme", "https"), (":authority", host or self.host), (":path", target)]
            if protocol is not None:
                pseudo.append((":protocol", protocol))
        if end is None:
            end = length is None and not chunked and protocol is None
        number = self.machine.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number, method)
        if not self.settings_seen:
            self.settings()
        self.machine.send_headers(number, [(as_bytes(name), as_bytes(value)) for name, value in [*pseudo, *fields]],
                                  end_stream=end)
        self.flush()
        return stream

    def request(self, method: str = "GET", target: str = "/", headers: dict | list | None = None,
                body: bytes | None = None, *, cookie: str | None = None, host: str | None = None) -> Answer:
        """One request and its whole answer. A body goes with its length, unless a `content-length` is given."""
        fields = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        given = any(name.lower() == "content-length" for name, _ in fields)
        length = len(body) if body is not None and not given else None
        stream = self.open(method, target, fields, cookie=cookie, host=host, length=length, end=not body)
        if body:
            try:
                stream.send(body, end=True)
            except Closed:
                if stream.first is None:  # an answer may come before the body's end
                    raise
        return stream.answer(method)

    def websocket(self, target: str, fields: list[tuple[str, str]], *, cookie: str | None = None, key: str = "",
                  protocol: str = "websocket", **how) -> Stream:
        """Asks for a WebSocket (RFC 8441). `opening` is the answer, whole if it is a refusal."""
        assert self.settings().enable_connect_protocol == 1, "extended CONNECT is not offered"
        stream = self.open("CONNECT", target, fields, cookie=cookie, protocol=protocol, **how)
        stream.opening = stream.head()
        stream.accepted = stream.opening.status == 200
        if not stream.accepted:
            stream.opening = stream.answer()
        return stream


def _answer(headers: list[tuple[str, str]]) -> Answer:
    (status,) = [value for name, value in headers if name == ":status"]
    fields = [(name, value) for name, value in headers if not name.startswith(":")]
    lines = [f"HTTP/2 {status}", *(f"{name}: {value}" for name, value in fields)]
    return Answer(int(status), "HTTP/2", fields, raw_head="\r\n".join([*lines, "", ""]).encode("latin-1"))
