#!/usr/bin/env python3
"""A game server for the benchmarks: one byte answers a login, then one byte asks for 10 MB, and all else is sent back."""

import asyncio
import sys

HANDSHAKE = b"\x11\x00\xff\x05\x0abench.test\x63\xdd\x02"
HELLO = HANDSHAKE + b"\x17\x00\x05Steve" + bytes(16)
BULK = bytes(10_000_000)
STATUS = b"\x15\x00\x13" + b'{"description":"x"}'


class Game(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.wanted = transport, len(HELLO)

    def data_received(self, data):
        # A health check's handshake, in one piece on loopback: its last byte asks for the status.
        if self.wanted == len(HELLO) and data[0] < len(data) and data[data[0]] == 1:
            self.transport.write(STATUS)
            self.transport.close()
            return
        if self.wanted:
            taken = min(self.wanted, len(data))
            self.wanted -= taken
            data = data[taken:]
            if not self.wanted:
                self.transport.write(b"+")
            if not data:
                return
        self.transport.write(BULK if data == b"b" else data)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Game, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1])))
    except KeyboardInterrupt:
        pass
