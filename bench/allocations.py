#!/usr/bin/env python3
"""Heap allocations in steady state, counted by callgrind: per HTTPS 1.1 keep-alive request with a 1 KiB answer, per
HTTP/2 request of the same kind, and per message of 100 bytes through a WebSocket and back; nginx, HAProxy and zlh-edge
in one run.

An allocation is a call of malloc, calloc, realloc or one of their kin. Those that OpenSSL makes are told apart from the
program's own, of which the callers are listed for zlh-edge.
"""

import collections
import json
import re

import callgrind
import http2_client
import instructions
import side_by_side as bench
import websocket

ALLOCATORS = {"malloc", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc", "memalign"}
# What stands between an allocator and the one who wants the memory.
BETWEEN = re.compile(r"_?swift_(slowAlloc|slowAllocTyped|allocObject_?|allocBox|bufferAllocate)|operator new.*")


def find(profile: callgrind.Profile) -> tuple[int, int, dict[str, int]]:
    """Allocations of the program's own, those of OpenSSL, and who made how many of the former."""
    own = openssl = 0
    callers: collections.Counter[str] = collections.Counter()
    for (place, caller, callee), calls in profile.calls.items():
        allocates = callee in ALLOCATORS
        if not (allocates or BETWEEN.fullmatch(callee)) or caller in ALLOCATORS:
            continue
        is_openssl = place.startswith(("libcrypto", "libssl"))
        if allocates:
            openssl += calls if is_openssl else 0
            own += 0 if is_openssl else calls
        if not is_openssl and not BETWEEN.fullmatch(caller):
            callers[caller] += calls
    return own, openssl, callers


UNITS = {
    "request": (bench.start_backend, instructions.Client),
    "http2 request": (bench.start_backend, http2_client.Client),
    "round trip": (websocket.start_backend, websocket.Client),
}


def main() -> None:
    parser = bench.arguments(__doc__)
    parser.add_argument("--unit", choices=UNITS, action="append", help="only this; may be repeated")
    parser.add_argument("--requests", type=int, default=300)
    options = parser.parse_args()
    report = {}
    binary = options.binary
    for unit in options.unit or UNITS:
        backend, connect = UNITS[unit]
        options.binary = binary
        with callgrind.running(options, backend=backend) as peers:
            headers = peers[-1].headers
            print(f"\nallocations per {unit}\n{'':10}{'own':>10}{'OpenSSL':>10}{'instructions':>16}")
            for peer in peers:
                client = connect(peer, headers)
                client.run(instructions.WARM_UP)
                profile, done = callgrind.count(peer, lambda: client.run(options.requests))
                own, openssl, callers = find(profile)
                print(f"{peer.name:10}{own / done:10.2f}{openssl / done:10.2f}"
                      f"{profile.instructions / done:16.0f}")
                report.setdefault(unit, {})[peer.name] = own / done, openssl / done
                if peer.name == "zlh-edge":
                    for caller, calls in sorted(callers.items(), key=lambda item: -item[1]):
                        if calls * 100 >= done:
                            print(f"{'':10}{calls / done:10.2f} {caller[:100]}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
