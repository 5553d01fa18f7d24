#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tests of stacks and switches on aarch64, under qemu: compiles the rooms base and wait for
# it, and runs the named groups of tests (else: those below) one by one.
set -eu
cd "$(dirname "$0")/.."
cc=aarch64-linux-gnu-gcc
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if ! command -v "$cc" >/dev/null || [ -z "$qemu" ]; then
    echo "no $cc or no qemu-aarch64 (tools/setup.sh aarch64 installs them)"
    exit 77
fi
groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(switch stack overflow)

out=build/aarch64
rm -rf "$out"
mkdir -p "$out/src" "$out/tests"
# The flags of the build, and hardware checks of branches as distributions have them.
flags=(-std=c17 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fvisibility=hidden -fstack-clash-protection
    -mbranch-protection=standard -Iinclude -Isrc -Itests -Itests/cross -DTEST_REGISTERS -DTEST_LIMIT=60
    -DTEST_SOURCE_DIR="\"$PWD\"" -DTEST_BUILD_DIR="\"$PWD/$out\"")

compile() { # folder, files
    printf '%s\n' "${@:2}" | xargs -P "${JOBS:-$(nproc)}" -I{} sh -c \
        'name=$(basename "$1"); shift; "$@" -o "'"$out/$1"'/$name.o"' sh {} "$cc" "${flags[@]}" -c {}
}

mapfile -t sources < <(ls src/base/*.c src/wait/*.c | grep -v /switch_portable.c)
compile src "${sources[@]}" src/wait/switch_aarch64.S
aarch64-linux-gnu-ar rcs "$out/libpier.a" "$out"/src/*.o
tests=(tests/main.c tests/harness.c tests/fault.c tests/seams.c tests/registers_aarch64.S tests/cross/uring.c)
for group in "${groups[@]}"; do tests+=("tests/${group}_test.c"); done
compile tests "${tests[@]}"
aarch64-linux-gnu-readelf -n "$out/src/switch_aarch64.S.o" | grep -q 'AArch64 feature: BTI' ||
    { echo "switch_aarch64.S lacks the mark of BTI" && exit 1; }
# Static, so that nothing of the system is needed; the resolver is not called here.
"$cc" -static -o "$out/pier_tests" "$out"/tests/*.o "$out/libpier.a" -lm 2>"$out/link.log" ||
    { cat "$out/link.log" && exit 1; }

failed=0 count=0
for id in $("$qemu" "$out/pier_tests" --list); do
    status=0
    timeout 60 "$qemu" "$out/pier_tests" "$id" >"$out/log" 2>&1 || status=$?
    count=$((count + 1))
    case $status in
    0) ;;
    77) echo "$id: $(cat "$out/log")" ;;
    *)
        echo "FAILED $id ($status)"
        cat "$out/log"
        failed=$((failed + 1))
        ;;
    esac
done
echo "$count tests on aarch64, $failed failed"
[ "$failed" = 0 ] && [ "$count" -gt 0 ]
