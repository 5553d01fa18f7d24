#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs what lies in bench/: each program asks one question. Where a script of the same name
# lies beside it, that one runs the program, to watch it from outside.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release -DPIER_BENCH=ON --log-level=NOTICE
cmake --build --preset release -j "${JOBS:-$(nproc)}"
for source in bench/*.c; do
    question=$(basename "$source" .c)
    echo "== $question"
    if [ -e "bench/$question.py" ]; then
        "bench/$question.py" "build/release/bench/$question"
    else
        "build/release/bench/$question"
    fi
done
if [ -x build/release/python/pypier ]; then # built with -DPIER_PYTHON=ON
    echo "== python"
    bench/python.py build/release/python/pypier
fi
