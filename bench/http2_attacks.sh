#!/usr/bin/env bash
# Attacks on HTTP/2, side by side with nginx and HAProxy: CPU time and memory they cost, and what an honest client
# notices. Options: see http2_attacks.py --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/http2_attacks.py" "$@"
