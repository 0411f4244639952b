#!/usr/bin/env bash
# User instructions per HTTPS 1.1 keep-alive request, side by side with nginx and HAProxy. Options: see
# instructions.py --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/instructions.py" "$@"
