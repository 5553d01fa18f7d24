#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs what lies in bench/: each program asks one question. One that has to be watched
# by others, or set beside them, has a script of its name that runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release -DPIER_BENCH=ON --log-level=NOTICE
cmake --build --preset release -j "${JOBS:-$(nproc)}"
for source in bench/*.c; do
    name=$(basename "$source" .c)
    echo "== $name"
    if [ -x "bench/$name.py" ]; then
        "bench/$name.py" "build/release/bench/$name"
    else
        "build/release/bench/$name"
    fi
done
