#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The named groups of tests (else: those of what plays with stacks) under Valgrind, which must
# neither find an error nor take a switch for something else.
set -eu
cd "$(dirname "$0")/.."
program=build/dev/tests/pier_tests
groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(switch stack overflow)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0 count=0
for group in "${groups[@]}"; do
    for id in $("$program" --list | grep "^$group/"); do
        status=0
        timeout 300 valgrind -q --error-exitcode=9 "$program" "$id" >"$log" 2>&1 || status=$?
        count=$((count + 1))
        if [ "$status" != 0 ] && [ "$status" != 77 ] || grep -q '^==.*Warning' "$log"; then
            echo "FAILED $id ($status)"
            cat "$log"
            failed=$((failed + 1))
        fi
    done
done
echo "$count tests under Valgrind, $failed failed"
[ "$failed" = 0 ] && [ "$count" -gt 0 ]
