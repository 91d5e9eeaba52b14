#!/usr/bin/env bash
# Sweeps through every launcher, in a few minutes; run before a release, and whenever launch.py, tasks.py or the store change.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -x .venv/bin/uv ]; then
  .venv/bin/uv pip install --quiet --python .venv/bin/python --constraint scripts/constraints.txt --editable '.[slurm,ray,joblib]'
else
  .venv/bin/python -m pip install --quiet --constraint scripts/constraints.txt --editable '.[slurm,ray,joblib]'
fi
exec .venv/bin/python -m pytest -q -m launchers tests/launchers "$@"
