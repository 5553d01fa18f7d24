#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `make run`: builds, then lets the programs of examples/ talk to each other and to a
# real web server, all on this machine, and prints what they received:
#
#     server  Got connection from 127.0.0.1:41022
#     client  Thank you for connecting
#
# With URL=http://host/path it fetches that page too. It fails when a program does not
# say what it should, and leaves no process and no file behind, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$PWD/build/release/examples

folder=
children=()

cleanup() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${children[@]}"; do wait "$pid" 2>/dev/null || true; done
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    echo "run.sh: $1" >&2
    if [ $# -gt 1 ] && [ -s "$2" ]; then sed 's/^/    /' "$2" >&2; fi
    exit 1
}

# port_used PORT STATE: does a TCP socket use it, in a state as /proc writes it?
port_used() {
    grep -qsE "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$1") [0-9A-F]+:[0-9A-F]+ $2" \
        /proc/net/tcp /proc/net/tcp6
}

# A port that nothing uses, below those that the kernel hands out by itself.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        port_used "$port" .. || break
    done
    echo "$port"
}

# start NAME COMMAND...: in the background, what it says in $folder/NAME.
start() {
    local name=$1
    shift
    "$@" </dev/null >"$folder/$name" 2>&1 &
    children+=($!)
}

# ready NAME TEST...: until TEST holds, while the program started last lives.
ready() {
    local name=$1 pid=${children[-1]}
    shift
    for _ in $(seq 1000); do
        if "$@"; then return; fi
        kill -0 "$pid" 2>/dev/null || fail "$name ended early" "$folder/$name"
        sleep 0.01
    done
    fail "$name is not ready after ten seconds" "$folder/$name"
}

# stop: the program started last.
stop() {
    local pid=${children[-1]}
    unset 'children[-1]'
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# ask NAME COMMAND...: until it ends, what it says in $folder/NAME. (In the background
# all the same: bash would hear of a signal only when the command is over.)
ask() {
    local name=$1
    start "$name" timeout 30 "${@:2}"
    wait "${children[-1]}" || fail "$name failed" "$folder/$name"
    unset 'children[-1]'
}

# tell PREFIX NAME PATTERN: print what NAME said, which has to match.
tell() {
    local prefix=$1 said=$folder/$2 pattern=$3
    sed "s/^/$(printf %-8s "$prefix")/; s/\r$//" "$said"
    [ -z "$(tail -c 1 "$said")" ] || echo
    grep -qE "$pattern" "$said" || fail "$2 should have said: $pattern"
}

# said NAME PATTERN: has it said that by now?
said() {
    grep -qE "$2" "$folder/$1"
}

# port_of NAME: where a server that was given port 0 says it is.
port_of() {
    sed -nE 's/^socket is (listening|waiting) on .*:([0-9]+)$/\2/p' "$folder/$1"
}

greeting_over_tcp() {
    echo "== A greeting over TCP"
    start greeting_server "$programs/greeting_server" 0
    ready greeting_server said greeting_server listening
    ask greeting_client "$programs/greeting_client" "$(port_of greeting_server)"
    stop
    tell server greeting_server '^Got connection from 127\.0\.0\.1:[0-9]+$'
    tell client greeting_client '^Thank you for connecting$'
}

greeting_over_unix() {
    echo "== The same over a Unix socket"
    start unix_server "$programs/unix_server" "$folder/greeting.sock"
    ready unix_server said unix_server listening
    ask unix_client "$programs/unix_client" "$folder/greeting.sock"
    stop
    tell server unix_server '^Got connection from process [0-9]+$'
    tell client unix_client '^Thank you for connecting$'
}

datagrams() {
    echo "== Datagrams, there and back"
    start udp_server "$programs/udp_server" 0
    ready udp_server said udp_server waiting
    ask udp_client "$programs/udp_client" "$(port_of udp_server)" 127.0.0.1 'Hello, are you there?'
    stop
    tell server udp_server '^Got 21 bytes from 127\.0\.0\.1:[0-9]+$'
    tell client udp_client '^Hello, are you there\?$'
}

# A web server that is ours alone: all it reads and writes lies in the folder.
start_nginx() {
    local port=$1 user=''
    [ "$(id -u)" != 0 ] || user='user root;'
    mkdir "$folder/web" "$folder/www"
    printf '<!doctype html>\n<title>pier</title>\n<p>A page from a real web server.</p>\n' \
        >"$folder/www/index.html"
    cat >"$folder/web/nginx.conf" <<EOF
daemon off;
$user
worker_processes 1;
pid $folder/web/pid;
error_log $folder/web/error.log;
events { worker_connections 64; }
http {
    access_log off;
    types { text/html html; }
    client_body_temp_path $folder/web/body;
    proxy_temp_path $folder/web/proxy;
    fastcgi_temp_path $folder/web/fastcgi;
    uwsgi_temp_path $folder/web/uwsgi;
    scgi_temp_path $folder/web/scgi;
    server {
        listen 127.0.0.1:$port;
        root $folder/www;
    }
}
EOF
    start nginx "$(PATH=$PATH:/usr/sbin command -v nginx)" \
        -p "$folder/web" -e "$folder/web/error.log" -c "$folder/web/nginx.conf"
    ready nginx port_used "$port" 0A
}

page_from_nginx() {
    echo "== A page from a web server (nginx)"
    local port
    port=$(free_port)
    start_nginx "$port"
    ask web_client "$programs/web_client" 127.0.0.1 "$port" /
    stop
    tell web web_client '^HTTP/1\.[01] 200 OK'
    grep -q 'A page from a real web server' "$folder/web_client" || fail 'the page did not arrive'
}

page_from_url() {
    echo "== A page from $URL"
    local rest=${URL#http://} host port path
    [ "$rest" != "$URL" ] || fail "URL=$URL: only http:// is spoken here"
    path=/
    case "$rest" in */*) path=/${rest#*/} ;; esac
    host=${rest%%/*}
    port=80
    case "$host" in
    \[*\]:*) port=${host##*:} host=${host%:*} ;;
    \[*\]) ;;
    *:*) port=${host##*:} host=${host%:*} ;;
    esac
    host=${host#[} host=${host%]}
    ask web_client "$programs/web_client" "$host" "$port" "$path"
    tell web web_client '^HTTP/1\.[01] [0-9]+'
}

cmake --preset release --log-level=NOTICE >/dev/null
cmake --build --preset release -j "${JOBS:-$(nproc)}" >build/release/log 2>&1 ||
    fail 'the build failed' build/release/log
folder=$(mktemp -d /tmp/pier-run-XXXXXX)
greeting_over_tcp
greeting_over_unix
datagrams
page_from_nginx
[ -z "${URL:-}" ] || page_from_url
