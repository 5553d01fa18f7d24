#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The races of tests/race_test.c in their long form, 100,000 rounds each on each backend, and how they went.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=build/dev/tests/pier_tests
for race in $("$tests" --list | grep '^race/'); do
    PIER_TEST_SOAK=1 "$tests" "$race"
done
