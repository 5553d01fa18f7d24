# SPDX-License-Identifier: MIT
import glob
import os
import platform
import re
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

with open("include/pier/version.h") as header:
    VERSION = re.search(r'define PIER_VERSION +"(.*)"', header.read())[1]

# How tasks change stacks, as in CMakeLists.txt.
PORTABLE, ASM = "src/wait/switch_portable.c", f"src/wait/switch_{platform.machine()}.S"
SWITCH = ASM if os.path.exists(ASM) and sys.maxsize > 2**32 else PORTABLE


class BuildExt(build_ext):
    def build_extensions(self):
        self.compiler.src_extensions = [*self.compiler.src_extensions, ".S"]
        super().build_extensions()


setup(
    version=VERSION,
    cmdclass={"build_ext": BuildExt},
    ext_modules=[Extension(
        "pier._socket",
        sources=sorted((set(glob.glob("src/*/*.c") + glob.glob("python/*.c")) | {SWITCH})
                       - ({PORTABLE, "python/pypier.c"} - {SWITCH})),
        depends=sorted(glob.glob("src/*/*.h") + glob.glob("include/**/*.h") + glob.glob("python/*.h")),
        include_dirs=["include", "src"],
        define_macros=[("_GNU_SOURCE", None)],
        extra_compile_args=["-std=c17", "-fvisibility=hidden", "-fstack-clash-protection"],
        libraries=["uring", "idn2", "m"],
    )],
)
