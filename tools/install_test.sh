#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs into a folder, by DESTDIR and by prefix, and builds a user's program against what
# lies there: through pkg-config and through CMake, shared and static.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d /tmp/pier-install-XXXXXX)
trap 'rm -rf "$folder"' EXIT

step() { echo "-- $*"; }

# A build of its own: the prefix is written into pier.pc, and build/release is the user's.
install_to() { # PREFIX DESTDIR
    cmake -S . -B build/install -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPIER_TESTS=OFF \
        -DPIER_WERROR=ON -DCMAKE_INSTALL_PREFIX="$1" --log-level=NOTICE >/dev/null
    cmake --build build/install -j "${JOBS:-$(nproc)}" >"$folder/log" || { cat "$folder/log"; exit 1; }
    DESTDIR=$2 cmake --install build/install >/dev/null
}

mkdir "$folder/user"
cat >"$folder/user/user.c" <<'EOF'
#include <pier.h>
#include <stdio.h>

int main(void)
{
    int ends[2];
    char text[8] = "";
    if (pier_socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) return puts(pier_error()), 1;
    pier_sendall(ends[0], "hello", 5, 0);
    printf("%zd %s %s\n", pier_recv(ends[1], text, sizeof text, 0), text, pier_version());
    return pier_close(ends[0]) | pier_close(ends[1]);
}
EOF
cat >"$folder/user/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.21)
project(user C)
find_package(pier 0.1 REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE pier::pier)
EOF

expect() { # COMMAND...: says what the program should
    local said
    said=$("$@")
    [ "$said" = "5 hello $version" ] || { echo "$*: said: $said"; exit 1; }
}

version=$(sed -n 's/.*define PIER_VERSION .*"\(.*\)".*/\1/p' include/pier/version.h)

step "DESTDIR: all of it lies below, and speaks of the prefix alone"
install_to /usr "$folder/stage"
[ "$(find "$folder/stage" -mindepth 1 -maxdepth 1)" = "$folder/stage/usr" ]
if grep -rqI "$folder" "$folder/stage"; then
    echo "the staging folder is written into what was installed"
    exit 1
fi
[ -n "$(find "$folder/stage" -name libpier.so.0)" ]

step "the command, with its man pages, is completed by each shell from where it lies"
usr=$folder/stage/usr
for verb in $("$usr/bin/pier" --complete help '' | cut -f1); do
    [ -s "$usr/share/man/man1/pier-$verb.1" ] || { echo "there is no pier-$verb.1"; exit 1; }
done
MANPATH=$usr/share/man man --warnings pier pier-get >/dev/null
completed() { # SHELL COMMAND...: prints "listen", perhaps with what it does
    local shell=$1 said
    shift
    if ! command -v "$shell" >/dev/null; then echo "   $shell is not installed"; return; fi
    said=$(cd "$folder" && PATH=$usr/bin:$PATH "$@" </dev/null)
    [[ $said == listen* ]] || { echo "$shell completes: $said"; exit 1; }
}
completed bash bash --norc -c ". '$usr/share/bash-completion/completions/pier'
    COMP_LINE='pier li' COMP_POINT=7 COMP_WORDS=(pier li) COMP_CWORD=1; _pier; echo \"\${COMPREPLY[@]}\""
completed zsh zsh -fc "fpath=('$usr/share/zsh/site-functions' \$fpath); autoload -Uz compinit; compinit -D -u
    [ \"\$_comps[pier]\" = _pier ] && echo listen"
completed fish env XDG_DATA_DIRS="$usr/share:/usr/share" HOME="$folder" fish -c "complete -C 'pier li'"

prefix=$folder/prefix
install_to "$prefix" ""
lib=$(dirname "$(find "$prefix" -name libpier.a)")
export PKG_CONFIG_PATH=$lib/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs pier)"
read -ra static_flags <<<"$(pkg-config --static --cflags --libs pier)"

step "pkg-config, shared"
[ "$(pkg-config --modversion pier)" = "$version" ]
cc -Wall -Wextra -Werror -o "$folder/shared" "$folder/user/user.c" "${flags[@]}"
expect env LD_LIBRARY_PATH="$lib" "$folder/shared"
readelf -d "$folder/shared" | grep 'NEEDED.*\[libpier\.so\.0\]' >/dev/null

if command -v gdb >/dev/null; then
    step "gdb finds the commands for tasks"
    LD_LIBRARY_PATH=$lib gdb -nx -batch -iex "set auto-load scripts-directory $prefix/share/gdb/auto-load" \
        -iex "add-auto-load-safe-path $prefix" -ex start -ex 'pier tasks' "$folder/shared" \
        >"$folder/log" 2>&1 || true
    grep -qE '^no loop is running$|Operation not permitted' "$folder/log" || { cat "$folder/log"; exit 1; }
fi

step "pkg-config, static"
# The linker says that getaddrinfo loads libraries even so; that is glibc's way.
cc -Wall -Wextra -static -o "$folder/static" "$folder/user/user.c" "${static_flags[@]}" \
    2>"$folder/log" || { cat "$folder/log"; exit 1; }
expect "$folder/static"

for kind in ON OFF; do
    step "find_package, BUILD_SHARED_LIBS=$kind"
    cmake -S "$folder/user" -B "$folder/$kind" -DCMAKE_PREFIX_PATH="$prefix" \
        -DBUILD_SHARED_LIBS=$kind --log-level=NOTICE >/dev/null
    cmake --build "$folder/$kind" >"$folder/log" || { cat "$folder/log"; exit 1; }
    expect "$folder/$kind/user"
done
if readelf -d "$folder/OFF/user" | grep libpier >/dev/null; then
    echo "BUILD_SHARED_LIBS=OFF linked the shared library"
    exit 1
fi

step "add_subdirectory"
cat >"$folder/user/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.21)
project(user C)
add_subdirectory($PWD pier)
add_executable(user user.c)
target_link_libraries(user PRIVATE pier::pier)
EOF
cmake -S "$folder/user" -B "$folder/sub" -G Ninja --log-level=NOTICE >/dev/null
cmake --build "$folder/sub" -j "${JOBS:-$(nproc)}" >"$folder/log" || { cat "$folder/log"; exit 1; }
expect "$folder/sub/user"
