#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs what lies in bench/: each program asks one question. Where a script of the same name
# lies beside it, that one runs the program, to watch it from outside. What they print is kept beside
# the programs, and bench/report.py makes docs/performance.md of it. QUICK=1: a short form, for a look.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=build/release/bench
cmake --preset release -DPIER_BENCH=ON -DPIER_PEERS=ON --log-level=NOTICE
cmake --build --preset release -j "${JOBS:-$(nproc)}"
quick=()
[ -z "${QUICK:-}" ] || quick=(--quick)
for source in bench/*.c; do
    question=$(basename "$source" .c)
    echo "== $question"
    if [ -e "bench/$question.py" ]; then
        "bench/$question.py" "$programs/$question" "${quick[@]}"
    else
        "$programs/$question"
    fi | tee "$programs/$question.txt"
done
if [ -x build/release/python/pypier ]; then # built with -DPIER_PYTHON=ON
    echo "== python"
    bench/python.py build/release/python/pypier
fi
echo "== docs/performance.md"
bench/report.py "$programs"
