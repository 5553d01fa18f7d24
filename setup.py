# SPDX-License-Identifier: MIT
import glob
import re

from setuptools import Extension, setup

with open("include/pier/version.h") as header:
    VERSION = re.search(r'define PIER_VERSION +"(.*)"', header.read())[1]

setup(
    version=VERSION,
    ext_modules=[Extension(
        "pier._socket",
        sources=sorted(glob.glob("src/*/*.c") + [f for f in glob.glob("python/*.c") if f != "python/pypier.c"]),
        depends=sorted(glob.glob("src/*/*.h") + glob.glob("include/**/*.h") + glob.glob("python/*.h")),
        include_dirs=["include", "src"],
        define_macros=[("_GNU_SOURCE", None)],
        extra_compile_args=["-std=c17", "-fvisibility=hidden"],
        libraries=["idn2", "m"],
    )],
)
