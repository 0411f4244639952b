#!/usr/bin/env bash
# WebSockets over TLS, side by side with nginx and HAProxy: memory of an idle one, CPU time of a message of 100 bytes
# there and back, and of 10 MB to the client. Options: see websocket.py --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/websocket.py" "$@"
