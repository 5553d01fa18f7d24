#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clang-format over every C file of the tree: `format.sh` rewrites, `format.sh --check` only complains.
set -eu
cd "$(dirname "$0")/.."
how=(-i)
[ "${1:-}" != --check ] || how=(--dry-run -Werror)
find . -path ./build -prune -o -name '*.[ch]' -print0 | xargs -0 clang-format "${how[@]}"
