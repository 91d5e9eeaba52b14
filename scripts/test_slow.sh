#!/usr/bin/env bash
# The tests that take minutes, including a user's first afternoon (scripts/first_afternoon.sh) and the long commands of
# the documentation (scripts/test_docs.sh runs only these), and those that compare with other implementations. Run before
# a release, and when figures or theory change.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -x .venv/bin/uv ]; then
  .venv/bin/uv pip install --quiet --python .venv/bin/python \
    --constraint scripts/constraints.txt --editable '.[test,umap,faiss,references]'
else
  .venv/bin/python -m pip install --quiet --constraint scripts/constraints.txt --editable '.[test,umap,faiss,references]'
fi
.venv/bin/python -m pytest -q tests/stats/test_ceilings.py tests/data/test_iai92.py tests/extract/test_diffusion_features.py
exec .venv/bin/python -m pytest -q -m slow "$@"
