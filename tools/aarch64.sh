#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# pier on aarch64, under qemu: compiles the library for it, and runs the named groups of tests (else: those
# below) one by one; those of sockets in tasks, on epoll, since qemu knows no io_uring.
set -eu
cd "$(dirname "$0")/.."
cc=aarch64-linux-gnu-gcc
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if ! command -v "$cc" >/dev/null || [ -z "$qemu" ]; then
    echo "no $cc or no qemu-aarch64 (tools/setup.sh aarch64 installs them)"
    exit 77
fi
groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(switch stack overflow close frame io limit msg)

out=build/aarch64
rm -rf "$out"
mkdir -p "$out/src" "$out/tests"
# The flags of the build, and hardware checks of branches as distributions have them.
flags=(-std=c17 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fvisibility=hidden -fstack-clash-protection
    -mbranch-protection=standard -Iinclude -Isrc -Itests -Itests/cross -DTEST_CROSS -DTEST_REGISTERS -DTEST_LIMIT=60
    -DTEST_SOURCE_DIR="\"$PWD\"" -DTEST_BUILD_DIR="\"$PWD/$out\"")

compile() { # folder, files
    printf '%s\n' "${@:2}" | xargs -P "${JOBS:-$(nproc)}" -I{} sh -c \
        'name=$(basename "$1"); shift; "$@" -o "'"$out/$1"'/$name.o"' sh {} "$cc" "${flags[@]}" -c {}
}

mapfile -t sources < <(ls src/*/*.c | grep -v /switch_portable.c)
compile src "${sources[@]}" src/wait/switch_aarch64.S
aarch64-linux-gnu-ar rcs "$out/libpier.a" "$out"/src/*.o
tests=(tests/main.c tests/harness.c tests/fault.c tests/scene.c tests/seams.c tests/registers_aarch64.S
    tests/cross/idn2.c tests/cross/uring.c)
for group in "${groups[@]}"; do tests+=("tests/${group}_test.c"); done
compile tests "${tests[@]}"
aarch64-linux-gnu-readelf -n "$out/src/switch_aarch64.S.o" | grep -q 'AArch64 feature: BTI' ||
    { echo "switch_aarch64.S lacks the mark of BTI" && exit 1; }
# Static, so that nothing of the system is needed; the resolver is not called here.
"$cc" -static -o "$out/pier_tests" "$out"/tests/*.o "$out/libpier.a" -lm 2>"$out/link.log" ||
    { cat "$out/link.log" && exit 1; }

cat >"$out/run" <<END
#!/bin/sh
exec "$qemu" "$PWD/$out/pier_tests" "\$@"
END
chmod +x "$out/run"

# What qemu-user does otherwise than Linux.
strange="msg/datagrams_that_were_dropped_are_counted msg/name_of_the_sender_is_told_and_cut"

one() { # id
    mode=task-epoll status=0
    case "$1" in switch/* | stack/* | overflow/*) mode=thread ;; esac
    output=$(PIER_TEST_MODE=$mode timeout 60 "$out/run" "$1" 2>&1) || status=$?
    case $status in
    0) echo "passed $1" ;;
    77) echo "skipped $1: $output" ;;
    *) echo "FAILED $1 ($status): $output" ;;
    esac
}
export -f one
export out
python3 -c '
import sys
sys.path.insert(0, "tools")
import worlds
alone = ("switch/", "stack/", "overflow/")
strange = tuple(sys.argv[2].split())
names = [name for name in worlds.runs("thread", sys.argv[1]) if name.startswith(alone)]
names += worlds.runs("task-epoll", sys.argv[1])
print(*[name for name in names if not name.startswith(strange)], sep="\n")' "$out/run" "$strange" |
    xargs -P "$((2 * ${JOBS:-$(nproc)}))" -I{} bash -c 'one {}' >"$out/log"
grep -v '^passed' "$out/log" || true
echo "$(grep -c '' "$out/log") tests on aarch64, $(grep -c '^FAILED' "$out/log" || true) failed"
grep -q '^passed' "$out/log" && ! grep -q '^FAILED' "$out/log"
