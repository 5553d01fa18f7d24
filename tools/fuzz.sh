#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Bad input by libFuzzer, under ASan and UBSan: each tests/fuzz/NAME_fuzz.c for a few seconds, or with
# --soak for long. What it learns stays in build/fuzz/NAME/, a crash in build/fuzz/NAME-crash-*.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=10
[ "${1:-}" != --soak ] || seconds=900
mkdir -p build/fuzz
flags=(-std=c17 -D_GNU_SOURCE -g -O1 -fno-builtin-memcmp -Iinclude -Isrc
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
for source in tests/fuzz/*_fuzz.c; do
    name=$(basename "$source" _fuzz.c)
    clang "${flags[@]}" -o "build/fuzz/$name-fuzz" "$source" src/*/*.c -luring -lidn2 -lm -lpthread
    mkdir -p "build/fuzz/$name"
    echo "== $name, $seconds s"
    "build/fuzz/$name-fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/$name-" "build/fuzz/$name"
done
