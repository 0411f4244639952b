#!/usr/bin/env bash
# Minecraft tunnels, side by side with nginx stream and HAProxy: memory of an idle one, CPU time of 100 bytes there and
# back, of 10 MB to the player, and how fast a flood is turned away. Options: see minecraft.py --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/minecraft.py" "$@"
