/* SPDX-License-Identifier: MIT */
#ifndef PIER_VERSION_H
#define PIER_VERSION_H

/**
 * @file
 * Which pier this is.
 *
 * @defgroup pier_version Version
 * @ingroup pier
 * Which pier this is, at compile time and at run time.
 * @{
 */

/** Marks what the shared library exports. */
#if defined(__GNUC__)
#    define PIER_API __attribute__((visibility("default")))
#else
#    define PIER_API
#endif

/** Opens declarations that C++ must read as C. */
#ifdef __cplusplus
#    define PIER_BEGIN_DECLS extern "C" {
#    define PIER_END_DECLS   }
#else
#    define PIER_BEGIN_DECLS
#    define PIER_END_DECLS /**< Closes what PIER_BEGIN_DECLS opened. */
#endif

#define PIER_VERSION_MAJOR 0       /**< Changes when programs must be edited. */
#define PIER_VERSION_MINOR 1       /**< Changes when something was added. */
#define PIER_VERSION_PATCH 0       /**< Changes when something was mended. */
#define PIER_VERSION       "0.1.0" /**< The three as text. */

PIER_BEGIN_DECLS

/**
 * The version of the library in use, as text: "0.1.0". It may be newer than the
 * PIER_VERSION that the program was compiled with, never older.
 *
 * Ownership: a constant, nothing to free. Threads: any. Cannot fail. Python:
 * platform.python_version().
 */
PIER_API const char *pier_version(void);

PIER_END_DECLS

/** @} */
#endif
