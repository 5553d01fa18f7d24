#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the Debian packages of a copy of the tree, installs them into a folder of their own with
# this system's list of packages (so that dependencies and conflicts are those of a real system),
# uses them, and removes them: nothing may be left. The system itself is not touched.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d /tmp/pier-package-XXXXXX)
trap 'rm -rf "$folder"' EXIT

step() { echo "-- $*"; }
die() {
    echo "$*"
    exit 1
}

for tool in dpkg-buildpackage dh man; do
    command -v "$tool" >/dev/null || { echo "there is no $tool (tools/setup.sh check installs it)"; exit 77; }
done

step "the version is that of the header"
version=$(sed -n 's/.*define PIER_VERSION .*"\(.*\)".*/\1/p' include/pier/version.h)
[ "$(dpkg-parsechangelog -S Version)" = "$version" ] || die "debian/changelog has another"

step "dpkg-buildpackage"
mkdir "$folder/pier"
tar -c --exclude=./build --exclude=./.git --exclude=__pycache__ . | tar -x -C "$folder/pier"
(cd "$folder/pier" && DEB_BUILD_OPTIONS="terse parallel=${JOBS:-$(nproc)}" dpkg-buildpackage -b -us -uc) \
    >"$folder/log" 2>&1 || { tail -n 50 "$folder/log"; exit 1; }
if grep -E '(warning|error):' "$folder/log"; then die "the build warns"; fi
arch=$(dpkg-architecture -qDEB_HOST_ARCH)
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
packages=(libpier0 libpier-dev pier)
debs=()
for package in "${packages[@]}"; do debs+=("$folder/${package}_${version}_$arch.deb"); done
if command -v lintian >/dev/null; then
    step "lintian"
    lintian --fail-on error,warning "$folder"/*.changes >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
fi

step "dependencies are what the files need"
depends() { dpkg-deb -f "$folder/$1_${version}_$arch.deb" Depends; }
for package in libpier0 pier; do
    for needed in libc6 libidn2-0 liburing2; do
        [[ " $(depends $package)," =~ [\ ,]${needed}[\ ,] ]] || die "$package does not depend on $needed"
    done
done
[[ $(depends libpier-dev) == "libpier0 (= $version), libidn2-dev, liburing-dev,"* ]] || die "libpier-dev: $(depends libpier-dev)"
dpkg-deb -e "$folder/libpier0_${version}_$arch.deb" "$folder/control"
grep -qx "activate-noawait ldconfig" "$folder/control/triggers" || die "libpier0 does not tell ldconfig"
grep -q "^libpier 0 libpier0 (>= $version)" "$folder/control/shlibs" || die "libpier0 has no shlibs"

step "dpkg --install, beside what this system has"
root=$folder/root
data=$root/var/lib/dpkg
mkdir -p "$data/info" "$data/updates" "$data/triggers"
# Of an earlier installation of pier nothing is to be seen.
awk 'BEGIN { RS = ""; ORS = "\n\n" } !/^Package: (libpier0|libpier-dev|pier)(-dbgsym)?\n/' \
    /var/lib/dpkg/status >"$data/status"
cp /var/lib/dpkg/arch "$data/" 2>/dev/null || true
cp -t "$data/info" /var/lib/dpkg/info/*.list
rm -f "$data"/info/{libpier0,libpier-dev}*.list "$data/info/pier.list"
dpkg=(dpkg --root="$root" --log=/dev/null --force-not-root --force-script-chrootless)
[ "$(id -u)" = 0 ] || dpkg=(fakeroot "${dpkg[@]}")
"${dpkg[@]}" --install "${debs[@]}" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
"${dpkg[@]}" --verify "${packages[@]}" || die "what was installed is not what the package has"
[ "$(dpkg-query --admindir="$data" -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" | grep -c ' installed$')" = 3 ]

step "a program is compiled against the headers, and runs"
cat >"$folder/user.c" <<'EOC'
#include <pier.h>
#include <stdio.h>

int main(void) { return printf("%s\n", pier_version()) < 0; }
EOC
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$root/usr/lib/$triplet/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs pier)"
[[ " ${flags[*]} " == *" -lpier "* ]] || die "pkg-config says: ${flags[*]}"
cc -Wall -Wextra -Werror -o "$folder/user" "$folder/user.c" -I"$root/usr/include" \
    -L"$root/usr/lib/$triplet" "${flags[@]}"
[ "$(LD_LIBRARY_PATH=$root/usr/lib/$triplet "$folder/user")" = "$version" ]
readelf -d "$folder/user" | grep 'NEEDED.*\[libpier\.so\.0\]' >/dev/null || die "the program does not need libpier.so.0"
cc -o "$folder/static" "$folder/user.c" -I"$root/usr/include" "$root/usr/lib/$triplet/libpier.a" \
    -luring -lidn2 -lm -pthread
[ "$("$folder/static")" = "$version" ]

step "the command runs, and all its man pages are there"
"$root/usr/bin/pier" --version | grep "^pier $version," >/dev/null
"$root/usr/bin/pier" explain ECONNREFUSED >/dev/null
for page in pier.1 $("$root/usr/bin/pier" --complete help '' | sed 's/^\([^\t]*\).*/pier-\1.1/'); do
    man --warnings -l "$root/usr/share/man/man1/$page.gz" >/dev/null 2>"$folder/log" || die "$page is missing"
    [ ! -s "$folder/log" ] || die "$(cat "$folder/log")"
done
man --warnings -l "$root/usr/share/man/man3/pier_recv.3.gz" >/dev/null
for file in bash-completion/completions/pier zsh/vendor-completions/_pier fish/vendor_completions.d/pier.fish; do
    [ -s "$root/usr/share/$file" ] || die "there is no $file"
done

step "removing it leaves nothing"
"${dpkg[@]}" --purge "${packages[@]}" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
left=$(find "$root" -mindepth 1 -path "$root/var" -prune -o -print)
[ -z "$left" ] || die "left behind: $left"
if dpkg-query --admindir="$data" -W "${packages[@]}" >/dev/null 2>&1; then die "dpkg still knows them"; fi
[ -z "$(find "$data/info" -name 'libpier*' -o -name 'pier.*')" ]
