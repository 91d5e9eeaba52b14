#!/usr/bin/env bash
# The paper's experiment against a model hub on the loopback address: every language model of Figures 3 and 4 by its
# exact id and layout with tiny weights, the small vision models at full size, real processes, then again without the
# hub. No network is used.
#
# Run it before a release, and after a change to the code that talks to the Hub: platorep/assets/hub.py, patience.py,
# platorep/models/fetching.py, platorep/data/repositories.py, or the versions of huggingface_hub, datasets,
# transformers, timm or open_clip. It takes minutes on two cores; a small version is part of scripts/test.sh
# (tests/hub/test_runs.py).
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python
exec "$python" -m pytest -q -m slow tests/hub "$@"
