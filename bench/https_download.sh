#!/usr/bin/env bash
# CPU time per 10 MiB download over TLS.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/side_by_side.py" --work download "$@"
