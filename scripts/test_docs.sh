#!/usr/bin/env bash
# The walk through the documentation: every command and every block of code of README.md, CONTRIBUTING.md and docs/, the
# notebook, the pages of the Python interface, and a user's first afternoon (scripts/first_afternoon.sh). The fast part
# belongs to scripts/test.sh too; the rest runs real models on 100 pairs for about twenty minutes. tests/docs/walk.py
# says how each block is run. Run it before a release, and when the documentation or the command line change.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec .venv/bin/python -m pytest -q -m 'slow or not slow' tests/docs tests/e2e/test_first_afternoon.py "$@"
