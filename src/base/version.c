/* SPDX-License-Identifier: MIT */
#include <pier/version.h>

const char *pier_version(void) { return PIER_VERSION; }
