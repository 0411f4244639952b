"""A quarry server, or a fleet of quarry clients, as a process of its own: `quarry_peers.py server PORT`,
`quarry_peers.py fleet PORT HOST COUNT VERSION`. Says what happens on stdout, a word a line; ends with its stdin."""

import sys
import threading

from quarry.net.client import ClientFactory, ClientProtocol
from quarry.net.server import ServerFactory, ServerProtocol
from quarry.net.auth import OfflineProfile
from twisted.internet import reactor


def say(*words):
    print(*words, flush=True)


class QuarryServer(ServerProtocol):
    def player_joined(self):
        ServerProtocol.player_joined(self)
        say("joined", self.display_name, self.protocol_version, repr(self.connect_host))
        self.ticker.add_loop(20, self.keep_alive)

    def keep_alive(self):
        if self.protocol_version <= 338:
            self.send_packet("keep_alive", self.buff_type.pack_varint(7))
        else:
            self.send_packet("keep_alive", self.buff_type.pack("Q", 7))

    def packet_keep_alive(self, buff):
        buff.discard()

    def packet_unhandled(self, buff, name):
        buff.discard()


class QuarryClient(ClientProtocol):
    kicked = None

    def player_joined(self):
        ClientProtocol.player_joined(self)
        say("in", self.factory.profile.display_name)

    def packet_login_disconnect(self, buff):
        self.kicked = str(buff.unpack_chat())
        say("kicked", self.kicked)
        self.close()

    def packet_keep_alive(self, buff):
        self.factory.kept_alive += 1
        self.send_packet("keep_alive", buff.read())

    def packet_unhandled(self, buff, name):
        buff.discard()

    def connection_lost(self, reason=None):
        ClientProtocol.connection_lost(self, reason)
        say("lost", self.factory.profile.display_name)


class QuarryClientFactory(ClientFactory):
    protocol = QuarryClient
    kept_alive = 0


def end_with_stdin():
    sys.stdin.read()
    reactor.callFromThread(reactor.stop)


def main():
    mode, port = sys.argv[1], int(sys.argv[2])
    if mode == "server":
        factory = ServerFactory()
        factory.protocol = QuarryServer
        factory.online_mode = False
        factory.max_players = 1000
        factory.motd = "quarry"
        factory.listen("127.0.0.1", port)
    else:
        host, count, version = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
        for number in range(count):
            factory = QuarryClientFactory(OfflineProfile(f"bot{number}"))
            factory.force_protocol_version = version
            factory.connect(host, port)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    say("up")
    reactor.run()


main()
