#!/usr/bin/env bash
# Sets up, then checks style and types and runs the tests. Arguments are passed to pytest:
# bash scripts/test.sh tests/core -x
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
.venv/bin/ruff check platorep tests scripts
.venv/bin/ruff format --check --quiet platorep tests scripts
.venv/bin/mypy
unset PYTHONDONTWRITEBYTECODE  # the commands that tests start would compile platorep again each time
# one thread per worker, because two workers that each use every core slow each other down
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# a file at a time: what its tests share is made once; in order: the last files are short
exec .venv/bin/python -m pytest -n "${PLATOREP_TEST_WORKERS:-2}" --dist loadfile --no-loadscope-reorder -q "$@"
