# SPDX-License-Identifier: MIT
import os
import runpy
import sys

import pier


def main():
    if len(sys.argv) < 2 or sys.argv[1] == "-m" and len(sys.argv) < 3:
        sys.exit("usage: python3 -m pier [-m MODULE | SCRIPT] [ARGUMENT...]")
    pier.install()
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        sys.path[0] = os.getcwd()
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")


main()
