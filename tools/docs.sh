#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The reference, from the headers: HTML and man pages in build/docs. A warning is an error.
set -eu
cd "$(dirname "$0")/.."
rm -rf build/docs
mkdir -p build/docs
doxygen docs/Doxyfile
tools/documented.py build/docs/xml
tools/man.py build/docs/xml build/docs/man/man3
