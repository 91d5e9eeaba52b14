#!/usr/bin/env bash
# Tests that need extras: sweeps with every launcher, results in MLflow and Weights & Biases, and quantised models. They
# take a few minutes. Run them before a release, and when platorep/cli/launch.py, tasks.py or trackers.py, the store or
# models/sources.py change. Arguments are passed to pytest.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -x .venv/bin/uv ]; then
  .venv/bin/uv pip install --quiet --python .venv/bin/python \
    --constraint scripts/constraints.txt --editable '.[test,slurm,ray,joblib,quant,mlflow,wandb]'
else
  .venv/bin/python -m pip install --quiet \
    --constraint scripts/constraints.txt --editable '.[test,slurm,ray,joblib,quant,mlflow,wandb]'
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec .venv/bin/python -m pytest -q -m 'launchers or quant' -n "${PLATOREP_TEST_WORKERS:-2}" \
  tests/launchers tests/models/test_quantised.py "$@"
