#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs what lies in bench/: each program asks one question and prints its answer, each
# script drives one that another program has to watch.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release -DPIER_BENCH=ON --log-level=NOTICE
cmake --build --preset release -j "${JOBS:-$(nproc)}"
shopt -s nullglob
scripts=(bench/*.sh)
for script in "${scripts[@]}"; do
    echo "== $script"
    "$script"
done
for source in bench/*.c; do
    name=$(basename "$source" .c)
    [ ! -e "bench/$name.sh" ] || continue
    echo "== $name"
    "build/release/bench/$name"
done
