#!/usr/bin/env bash
# Tests the report in headless Chromium, in about a minute. Run it when platorep/report changes, and before a release.
# Needs a Chromium and its driver: apt-get install chromium chromium-driver
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v chromedriver >/dev/null \
  || { echo "chromedriver is missing: apt-get install chromium chromium-driver" >&2; exit 1; }
if [ -x .venv/bin/uv ]; then
  .venv/bin/uv pip install --quiet --python .venv/bin/python \
    --constraint scripts/constraints.txt --editable '.[browser]'
else
  .venv/bin/python -m pip install --quiet --constraint scripts/constraints.txt --editable '.[browser]'
fi
exec .venv/bin/python -m pytest -q -m browser tests/report "$@"
