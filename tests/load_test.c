/* SPDX-License-Identifier: MIT */
/* A program may load the library when it already runs: as a plug-in does, or a Python module. */
#include "harness.h"

#include <dlfcn.h>
#include <string.h>

TEST(the_library_can_be_loaded_at_run_time)
{
    void *library = dlopen(TEST_BUILD_DIR "/libpier.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) fail_msg("%s", dlerror());
    union {
        void *object;
        const char *(*call)(void);
    } version = {.object = dlsym(library, "pier_version")};
    assert_non_null(version.object);
    assert_true(strlen(version.call()) > 0);
}
