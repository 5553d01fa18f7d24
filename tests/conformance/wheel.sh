#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the wheel of a copy of the tree with Debian's pip and setuptools, and runs a program with it.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r include src python pyproject.toml setup.py "$folder/"
cat >"$folder/program.py" <<'EOF'
import socket
import _socket
a, b = socket.socketpair()
a.sendall(b"over pier")
print(b.recv(99).decode(), "pier" in _socket.__file__)
EOF
cd "$folder"
/usr/bin/python3 -m pip -q wheel --no-build-isolation --no-deps -w wheels .
/usr/bin/python3 -m pip -q install --no-deps --no-index --target=site wheels/*.whl
said=$(PYTHONPATH=site /usr/bin/python3 -m pier program.py)
[ "$said" = "over pier True" ] || { echo "it said: $said" && exit 1; }
ls wheels
