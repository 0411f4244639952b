#!/usr/bin/env bash
# The same over HTTP/2: 32 connections with 8 streams each.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/side_by_side.py" --work http2 "$@"
