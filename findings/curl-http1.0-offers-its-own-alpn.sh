#!/usr/bin/env bash
# curl --http1.0 over TLS offers `http/1.0` in ALPN, and nothing else.
#
# Seen with curl 7.88.1-10+deb12u15 of Debian 12 (OpenSSL backend): `curl --http1.0` sends an ALPN extension whose only
# protocol is http/1.0, which few servers name. A server that is strict about ALPN (RFC 7301 section 3.2) and knows h2
# and http/1.1 alone must end the handshake with `no_application_protocol`, so that the request never gets through.
# Without the option curl offers h2 and http/1.1; with --no-alpn it sends no extension and is served.
#
# Fails when a newer curl in the package archive behaves otherwise. Needs apt-get, dpkg, python3.
set -euo pipefail
VERSION=7.88.1-10+deb12u15
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q "curl=$VERSION" "libcurl4=$VERSION" >/dev/null
for package in ./*.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$(dirname "$(find root -name 'libcurl.so.4')")

# Listens once and prints the protocols in the ALPN extension of the ClientHello that comes.
cat >listen.py <<'PYTHON'
import socket, struct, sys

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
data = peer.recv(65536)
at = 5 + 4 + 2 + 32                                   # record, handshake header, version, random
at += 1 + data[at]                                    # session id
at += 2 + struct.unpack_from("!H", data, at)[0]       # cipher suites
at += 1 + data[at]                                    # compression
end = at + 2 + struct.unpack_from("!H", data, at)[0]
at += 2
offered = "no extension"
while at < end:
    kind, size = struct.unpack_from("!HH", data, at)
    if kind == 16:
        names, place = [], at + 6
        while place < at + 4 + size:
            names.append(data[place + 1:place + 1 + data[place]].decode())
            place += 1 + data[place]
        offered = " ".join(names)
    at += 4 + size
print(offered)
PYTHON

offered() { # offered OPTION...: what curl offers with these options
    rm -f seen
    timeout 20 python3 listen.py >seen &
    until [ -s seen ] 2>/dev/null; do sleep 0.05; done
    root/usr/bin/curl -sk --max-time 5 "$@" "https://127.0.0.1:$(head -n 1 seen)/" || true
    wait
    tail -n 1 seen
}

check() { # check EXPECTED OPTION...
    local expected=$1 seen
    shift
    seen=$(offered "$@")
    echo "curl ${*:-without options}: $seen"
    [ "$seen" = "$expected" ] || { echo "expected: $expected" >&2; exit 1; }
}

root/usr/bin/curl --version | head -n 1
check "h2 http/1.1"
check "http/1.0" --http1.0
check "http/1.1" --http1.1
check "no extension" --http1.0 --no-alpn
