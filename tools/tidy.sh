#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clang-tidy over the library and the command, as the build "clang" compiles them. cli/ and examples/
# have their own .clang-tidy, which inherits the one at the root.
set -eu
cd "$(dirname "$0")/.."
[ -f build/clang/compile_commands.json ] || cmake --preset clang --log-level=NOTICE
find src cli examples -name '*.c' -print0 |
    xargs -0 -n 1 -P "${JOBS:-$(nproc)}" clang-tidy --quiet -p build/clang 2>/dev/null
