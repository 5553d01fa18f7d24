#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that the named groups need, and only those that are
# missing:
#
#     tools/setup.sh build test
#
# Without root it prints the apt-get line and exits 1. On a system without dpkg it
# leaves the finding of compilers and libraries to the build.
set -euo pipefail

packages_of() {
    case "$1" in
    build) echo gcc libc6-dev cmake ninja-build pkg-config libidn2-dev liburing-dev libjansson-dev \
        libmd-dev ;;
    test) echo libcmocka-dev netbase python3 ncat socat curl strace iproute2 valgrind \
        gdb libglib2.0-dev libuv1-dev bash zsh fish man-db mandoc gnuplot-nox ;;
    run) echo nginx-light ;;
    check) echo g++ clang clang-tidy clang-format libclang-rt-14-dev libunistring-dev python3 \
        debhelper dpkg-dev fakeroot man-db ;;
    docs) echo doxygen python3 ;;
    python) echo python3 python3.11-dev libpython3.11-dev libpython3.11-testsuite python3-pip \
        python3-setuptools python3-wheel ;;
    aarch64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static ;;
    bench) echo valgrind strace python3 liburing-dev libuv1-dev libevent-dev golang-go python3-uvloop \
        gnuplot-nox ;;
    *)
        echo "setup.sh: no group is called $1" >&2
        exit 2
        ;;
    esac
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v dpkg-query >/dev/null; then
    echo "setup.sh: this is no Debian, so nothing is installed here" >&2
    exit 0
fi

missing=()
for group in "$@"; do
    packages=$(packages_of "$group")
    for package in $packages; do
        installed "$package" || missing+=("$package")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    {
        echo "These packages are missing. As root:"
        echo
        echo "    apt-get install --no-install-recommends ${missing[*]}"
        echo
        case " ${missing[*]} " in
        *" nginx-light "*)
            echo "which starts nginx as a service, too; this does not:"
            echo
            echo "    sudo tools/setup.sh $*"
            echo
            ;;
        esac
    } >&2
    exit 1
fi

# Debian starts and enables a service when its package is installed. We only want
# nginx's program: while apt runs, policy-rc.d forbids the starting, and afterwards the
# service is disabled, unless it was here before us.
policy=/usr/sbin/policy-rc.d
saved=$policy.pier-saved

restore_policy() {
    if [ -e "$saved" ] || [ -L "$saved" ]; then
        mv -f "$saved" "$policy"
    elif [ -e "$policy" ] && grep -q 'pier: temporary' "$policy"; then
        rm -f "$policy"
    fi
}

forbid_services() {
    restore_policy # what an earlier run that was killed left behind
    trap restore_policy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$saved"; fi
    printf '#!/bin/sh\n# pier: temporary, while tools/setup.sh installs\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

disable_nginx() {
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper disable nginx.service >/dev/null 2>&1 || true
    fi
    if [ -d /run/systemd/system ]; then systemctl disable nginx.service >/dev/null 2>&1 || true; fi
    if command -v update-rc.d >/dev/null; then update-rc.d nginx disable >/dev/null 2>&1 || true; fi
}

nginx_was_here=no
if installed nginx-common || installed nginx; then nginx_was_here=yes; fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=300)
echo "setup.sh: installing ${missing[*]}"
forbid_services
"${apt[@]}" update </dev/null || echo "setup.sh: apt-get update failed; trying what is known" >&2
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null
if [ "$nginx_was_here" = no ] && installed nginx-common; then disable_nginx; fi
