#!/usr/bin/env bash
# Heap allocations per request and per WebSocket message in steady state, side by side with nginx and HAProxy.
# Options: see allocations.py --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/allocations.py" "$@"
