#!/usr/bin/env python3
"""A container's WebSocket for the benchmarks: upgrades every request, then answers frames, without TLS.

A frame with a payload of one byte asks for 10 MB, which come in frames of 64 KB; any other is sent back. The driver's
masking key is zero, so that nothing need be unmasked; its payloads are shorter than 126 bytes.
"""

import asyncio
import base64
import hashlib
import re
import sys

BULK_BYTES = 10_000_000
FRAME_BYTES = 65_536


def bulk() -> bytes:
    frames = []
    left = BULK_BYTES
    while left > 0:
        count = min(FRAME_BYTES, left)
        frames.append(b"\x82\x7f" + count.to_bytes(8) + bytes(count))
        left -= count
    return b"".join(frames)


BULK = bulk()


class Container(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.received, self.upgraded = transport, b"", False

    def data_received(self, data):
        data = self.received + data if self.received else data
        if not self.upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self.received = head
                return
            self.upgrade(head)
        answers = []
        while len(data) >= 6:
            count = data[1] & 0x7F
            if len(data) < 6 + count:
                break
            answers.append(BULK if count == 1 else bytes((data[0], count)) + data[6 : 6 + count])
            data = data[6 + count :]
        self.received = data
        if answers:
            self.transport.write(answers[0] if len(answers) == 1 else b"".join(answers))

    def upgrade(self, head: bytes):
        key = re.search(rb"^sec-websocket-key:[ \t]*(\S+)", head, re.I | re.M)[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.upgraded = True


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Container, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1])))
    except KeyboardInterrupt:
        pass
