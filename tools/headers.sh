#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compiles each public header alone, as C11 and as C++11, with both compilers.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
count=0
for header in include/pier.h include/pier/*.h; do
    for compiler in 'gcc -x c -std=c11' 'clang -x c -std=c11' \
        'g++ -x c++ -std=c++11' 'clang++ -x c++ -std=c++11'; do
        # Twice, to see that it guards itself.
        printf '#include <%s>\n#include <%s>\n' "${header#include/}" "${header#include/}" |
            $compiler -Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror -Iinclude -fsyntax-only - ||
            { echo "$header does not stand alone: $compiler"; status=1; }
        count=$((count + 1))
    done
done
[ "$status" = 0 ] && echo "$count compilations"
exit "$status"
