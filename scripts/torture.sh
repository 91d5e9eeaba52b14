#!/usr/bin/env bash
# Kills runs, damages files, simulates faulty disks and passes wrong arguments, and writes a table of the outcomes. It
# takes an hour on two cores, or two minutes with --sample. Run it before a release, and when code that writes or reads files
# changes.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# one thread: a pool of threads does not survive a fork
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec .venv/bin/python scripts/torture "$@"
