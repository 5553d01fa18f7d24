/* SPDX-License-Identifier: MIT */
/* The error table: every code has a name, a sentence and an exception, and no number is lost. */
#include "base/bits.h"
#include "harness.h"

#include <pier/error.h>

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <string.h>

TEST(every_errno_of_the_c_library_is_known_by_its_name)
{
    for (int n = 1; n < 4096; n++) {
        const char *name = strerrorname_np(n);
        if (!name) {
            assert_null(pier_errname(-n));
            continue;
        }
        /* glibc prefers the younger of two names. */
        if (n == EOPNOTSUPP) name = "EOPNOTSUPP";
        assert_string_equal(pier_errname(-n), name);
        assert_string_equal(pier_strerror(-n), n == ETIME ? "Timed out" : strerrordesc_np(n));
        assert_int_equal(pier_errcode(pier_errname(-n)), -n);
    }
}

TEST(the_other_names_of_an_errno_are_known)
{
    assert_int_equal(pier_errcode("EWOULDBLOCK"), -EAGAIN);
    assert_int_equal(pier_errcode("ENOTSUP"), -EOPNOTSUPP);
    assert_int_equal(pier_errcode("EDEADLOCK"), -EDEADLK);
}

TEST(the_resolvers_codes_say_what_gai_strerror_says)
{
    static const int codes[] = {EAI_BADFLAGS, EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_NODATA,
        EAI_FAMILY, EAI_SOCKTYPE, EAI_SERVICE, EAI_ADDRFAMILY, EAI_MEMORY, EAI_SYSTEM,
        EAI_INPROGRESS, EAI_CANCELED, EAI_NOTCANCELED, EAI_ALLDONE, EAI_INTR, EAI_IDN_ENCODE};
    for (size_t i = 0; i < PIER_COUNT(codes); i++) {
        assert_string_equal(pier_strerror(-10000 + codes[i]), gai_strerror(codes[i]));
        assert_string_equal(pier_errexception(-10000 + codes[i]), "gaierror");
    }
    assert_int_equal(PIER_EAI_IDN_ENCODE, -10000 + EAI_IDN_ENCODE);
    assert_int_equal(PIER_EAI_OVERFLOW, -10000 + EAI_OVERFLOW); /* glibc 2.36 has no sentence */
    assert_string_equal(pier_strerror(PIER_EAI_OVERFLOW), "Result too large for supplied buffer");
    assert_string_equal(pier_errname(PIER_EAI_NONAME), "EAI_NONAME");
    assert_int_equal(pier_errcode("EAI_NONAME"), PIER_EAI_NONAME);
}

TEST(the_older_resolvers_codes_say_what_hstrerror_says)
{
    for (int n = HOST_NOT_FOUND; n <= NO_DATA; n++) {
        assert_string_equal(pier_strerror(-11000 - n), hstrerror(n));
        assert_string_equal(pier_errexception(-11000 - n), "herror");
    }
    assert_string_equal(pier_errname(PIER_H_TRY_AGAIN), "TRY_AGAIN");
    assert_int_equal(pier_errcode("HOST_NOT_FOUND"), PIER_H_HOST_NOT_FOUND);
}

TEST(every_refused_argument_has_its_name_sentence_and_exception)
{
    for (int code = PIER_EPORT; code >= PIER_ESHUTDOWN; code--) {
        assert_non_null(pier_errname(code));
        assert_memory_equal(pier_errname(code), "PIER_E", 6);
        assert_string_not_equal(pier_strerror(code), "Unknown error");
        assert_non_null(pier_errexception(code));
        assert_int_equal(pier_errcode(pier_errname(code)), code);
    }
    assert_string_equal(pier_errname(PIER_EINCOMPLETE), "PIER_EINCOMPLETE");
}

TEST(refused_arguments_speak_as_cpython_does)
{
    assert_string_equal(pier_strerror(PIER_EPORT), "port must be 0-65535");
    assert_string_equal(pier_strerror(PIER_EFLOWINFO), "flowinfo must be 0-1048575");
    assert_string_equal(pier_strerror(PIER_EPATHLEN), "AF_UNIX path too long");
    assert_string_equal(pier_strerror(PIER_EIFNAMELEN), "interface name too long");
    assert_string_equal(pier_strerror(PIER_EBDADDR), "bad bluetooth address");
    assert_string_equal(pier_strerror(PIER_EIPTEXT), "illegal IP address string");
    assert_string_equal(pier_strerror(PIER_EPACKED), "packed IP wrong length");
    assert_string_equal(pier_strerror(PIER_EOPTLEN), "getsockopt buflen out of range");
    assert_string_equal(pier_strerror(PIER_ENOSERVICE), "service/proto not found");
    assert_string_equal(pier_strerror(PIER_ENOPROTOCOL), "protocol not found");
    assert_string_equal(pier_strerror(PIER_ENOINTERFACE), "no interface with this name");
}

TEST(exceptions_are_those_of_pep_3151)
{
    static const struct {
        int code;
        const char *exception;
    } rows[] = {
        {-EAGAIN, "BlockingIOError"},
        {-EALREADY, "BlockingIOError"},
        {-EINPROGRESS, "BlockingIOError"},
        {-EWOULDBLOCK, "BlockingIOError"},
        {-EPIPE, "BrokenPipeError"},
        {-ESHUTDOWN, "BrokenPipeError"},
        {-ECHILD, "ChildProcessError"},
        {-ECONNABORTED, "ConnectionAbortedError"},
        {-ECONNREFUSED, "ConnectionRefusedError"},
        {-ECONNRESET, "ConnectionResetError"},
        {-EEXIST, "FileExistsError"},
        {-ENOENT, "FileNotFoundError"},
        {-EINTR, "InterruptedError"},
        {-EISDIR, "IsADirectoryError"},
        {-ENOTDIR, "NotADirectoryError"},
        {-EACCES, "PermissionError"},
        {-EPERM, "PermissionError"},
        {-ESRCH, "ProcessLookupError"},
        {-ETIMEDOUT, "TimeoutError"},
        {-ETIME, "TimeoutError"},
        {-EADDRINUSE, "OSError"},
        {-ECANCELED, "OSError"},
        {-EHWPOISON, "OSError"},
        {PIER_EPORT, "OverflowError"},
        {PIER_EFLOWINFO, "OverflowError"},
        {PIER_ERANGE, "OverflowError"},
        {PIER_EPATHLEN, "OSError"},
        {PIER_EADDRTEXT, "ValueError"},
        {PIER_EHOSTTEXT, "UnicodeError"},
        {PIER_EINCOMPLETE, "EOFError"},
    };
    for (size_t i = 0; i < PIER_COUNT(rows); i++)
        assert_string_equal(pier_errexception(rows[i].code), rows[i].exception);
}

TEST(zero_is_success_and_no_exception)
{
    assert_string_equal(pier_errname(0), "OK");
    assert_string_equal(pier_strerror(0), "Success");
    assert_null(pier_errexception(0));
    assert_int_equal(pier_errcode("OK"), 0);
}

TEST(a_number_that_is_no_code_is_an_unknown_error)
{
    static const ssize_t numbers[] = {1, 24, -41, -58, -134, -512, -4095, -4096, -5000, -9999,
        -10000, -10013, -10099, -10106, -11000, -11005, -12000, -12033, -13000, INT_MIN, INT_MAX,
        SSIZE_MAX, -SSIZE_MAX - 1};
    for (size_t i = 0; i < PIER_COUNT(numbers); i++) {
        assert_string_equal(pier_strerror(numbers[i]), "Unknown error");
        assert_null(pier_errname(numbers[i]));
        assert_null(pier_errexception(numbers[i]));
    }
}

TEST(a_name_that_is_no_code_is_zero)
{
    assert_int_equal(pier_errcode(NULL), 0);
    assert_int_equal(pier_errcode(""), 0);
    assert_int_equal(pier_errcode("econnrefused"), 0);
    assert_int_equal(pier_errcode("ECONNREFUSE"), 0);
    assert_int_equal(pier_errcode("ECONNREFUSEDX"), 0);
}

TEST(the_version_at_run_time_is_that_of_the_header)
{
    assert_string_equal(pier_version(), PIER_VERSION);
}
