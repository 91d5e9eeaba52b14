#!/usr/bin/env bash
# Creates .venv if it is missing and installs platorep with pinned dependencies. Does nothing the second time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

make_environment() {
  local python=${PYTHON:-python3}
  if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
    "$python" -m venv .venv && return
    rm -rf .venv  # some systems ship venv in a separate package
  fi
  command -v uv >/dev/null && uv venv --seed --python "${PYTHON:->=3.11,<3.14}" .venv && return
  echo "platorep needs Python 3.11 to 3.13 with venv and pip, or uv. Choose a Python: PYTHON=python3.12 bash $0" >&2
  exit 1
}

[ -x .venv/bin/python ] || make_environment

digest='import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])'
stamp=.venv/installed-$(cat pyproject.toml scripts/constraints.txt | .venv/bin/python -c "$digest")
[ -f "$stamp" ] && exit 0

# uv installs the same packages several times faster than pip, but pip alone is sufficient. Both compile what they install:
# without bytecode, each process would spend ten seconds on compiling its imports where Python may not write it.
if .venv/bin/python -m pip install --quiet uv; then
  .venv/bin/uv pip install --python .venv/bin/python --constraint scripts/constraints.txt --editable '.[test]' --compile-bytecode
else
  .venv/bin/python -m pip install --constraint scripts/constraints.txt --editable '.[test]'
fi
touch "$stamp"
