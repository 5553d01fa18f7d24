/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_MAIN_H
#define PIER_TESTS_MAIN_H

/* Remove what the test keeps in the file system. Once is enough, twice is harmless. */
void harness_cleanup(void);

#endif
