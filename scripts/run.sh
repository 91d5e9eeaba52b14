#!/usr/bin/env bash
# Sets up, then runs the main job with the given overrides: bash scripts/run.sh suite=prh dataset=wit_1024
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec .venv/bin/platorep run "$@"
