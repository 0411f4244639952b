#!/usr/bin/env bash
# HTTPS requests a second and CPU time per request, side by side with nginx and HAProxy: HTTP/1.1 keep-alive, 1 KiB
# answers, one worker each. Options: see side_by_side.py --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/side_by_side.py" --work keepalive "$@"
