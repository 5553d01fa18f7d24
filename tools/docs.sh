#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The reference, from the headers: HTML and man pages in build/docs. A warning is an error.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/docs
doxygen docs/Doxyfile
