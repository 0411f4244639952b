#!/usr/bin/env bash
# An IDE's page load over one HTTP/2 connection, 24 MB in hundreds of files: wall time, CPU time and bytes, with and
# without compression. Options: see page_load.py --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/page_load.py" "$@"
