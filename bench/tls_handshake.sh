#!/usr/bin/env bash
# CPU time per full TLS handshake with one request.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/side_by_side.py" --work handshake "$@"
