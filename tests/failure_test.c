/* SPDX-License-Identifier: MIT */
/* The last failure of a thread, and the sentence that tells it. */
#include "base/failure.h"
#include "harness.h"

#include <pier/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct pier__sockaddr at(pier_addr addr)
{
    struct pier__sockaddr a = {.length = addr.length};
    assert_int_equal(addr.error, 0);
    assert_int_equal(addr.pending, 0);
    memcpy(&a.storage, &addr.sa, addr.length);
    return a;
}

static struct pier__failure *begin(const char *verb, int code, const char *target)
{
    struct pier__failure *f = pier__failure_begin(verb, code);
    if (target) (void)snprintf(f->target, sizeof f->target, "%s", target);
    return f;
}

static void try(struct pier__failure *f, pier_addr to, int code)
{
    if (f->attempt_count < PIER__ATTEMPTS) {
        f->attempts[f->attempt_count].to = at(to);
        f->attempts[f->attempt_count].code = code;
    }
    f->attempt_count++;
}

TEST(nothing_has_failed_yet)
{
    assert_string_equal(pier_error(), "no error");
    assert_int_equal(pier_error_code(), 0);
    assert_int_equal(pier_error_moved(), 0);
}

TEST(a_look_up_that_failed_is_told)
{
    assert_int_equal(pier__failed("resolve", "nosuch.invalid", PIER_EAI_NONAME), PIER_EAI_NONAME);
    assert_string_equal(pier_error(), "resolve nosuch.invalid: Name or service not known");
    assert_int_equal(pier_error_code(), PIER_EAI_NONAME);
}

TEST(a_failure_without_an_object_is_told)
{
    pier__failed("make a socket", NULL, -EMFILE);
    assert_string_equal(pier_error(), "make a socket: Too many open files");
    pier__failed("resolve", "", -ENOMEM);
    assert_string_equal(pier_error(), "resolve: Cannot allocate memory");
}

TEST(success_and_eagain_are_no_failures)
{
    pier__failed("resolve", "a", -EIO);
    assert_int_equal(pier__failed("resolve", "b", -EAGAIN), -EAGAIN);
    assert_int_equal(pier__failed("resolve", "b", 0), 0);
    assert_int_equal(pier__failed("resolve", "b", INT64_C(1) << 40), INT64_C(1) << 40);
    assert_string_equal(pier_error(), "resolve a: Input/output error");
}

TEST(an_unknown_code_is_told_by_its_number)
{
    pier__failed("resolve", "a", -5000);
    assert_string_equal(pier_error(), "resolve a: Unknown error -5000");
}

TEST(one_attempt_at_what_was_given_is_not_repeated)
{
    struct pier__failure *f = begin("connect to", -ECONNREFUSED, "127.0.0.1:12345");
    try(f, pier_inet("127.0.0.1", 12345), -ECONNREFUSED);
    assert_string_equal(pier_error(), "connect to 127.0.0.1:12345: Connection refused");
}

TEST(attempts_that_ended_alike_are_listed)
{
    struct pier__failure *f = begin("connect to", -ECONNREFUSED, "localhost:12345");
    try(f, pier_inet6("::1", 12345), -ECONNREFUSED);
    try(f, pier_inet("127.0.0.1", 12345), -ECONNREFUSED);
    assert_string_equal(pier_error(),
        "connect to localhost:12345 (tried [::1]:12345, 127.0.0.1:12345): Connection refused");
}

TEST(attempts_that_ended_differently_tell_each_reason)
{
    struct pier__failure *f = begin("connect to", -ETIME, "example.com:http");
    try(f, pier_inet6("2001:db8::1", 80), -ENETUNREACH);
    try(f, pier_inet("192.0.2.1", 80), -ECONNREFUSED);
    try(f, pier_inet("192.0.2.2", 80), 0);
    assert_string_equal(pier_error(),
        "connect to example.com:http (tried [2001:db8::1]:80: Network is unreachable; "
        "192.0.2.1:80: Connection refused; 192.0.2.2:80: no answer): Timed out");
}

TEST(attempts_that_had_not_ended_share_the_reason_of_the_whole)
{
    struct pier__failure *f = begin("connect to", -ETIME, "example.com:http");
    try(f, pier_inet6("2001:db8::1", 80), 0);
    try(f, pier_inet("192.0.2.1", 80), 0);
    assert_string_equal(pier_error(),
        "connect to example.com:http (tried [2001:db8::1]:80, 192.0.2.1:80): Timed out");
}

TEST(attempts_beyond_those_kept_are_counted)
{
    struct pier__failure *f = begin("connect to", -ECONNREFUSED, "many:80");
    for (int i = 0; i < 20; i++)
        try(f, pier_inet("192.0.2.1", 80 + i), -ECONNREFUSED);
    assert_string_equal(pier_error(),
        "connect to many:80 (tried 192.0.2.1:80, 192.0.2.1:81, 192.0.2.1:82, 192.0.2.1:83, "
        "192.0.2.1:84, 192.0.2.1:85, 192.0.2.1:86, 192.0.2.1:87, and 12 more): "
        "Connection refused");
    f->attempts[0].code = -ENETUNREACH;
    assert_non_null(strstr(pier_error(), "192.0.2.1:87: Connection refused; and 12 more): "));
}

TEST(both_ends_are_told)
{
    struct pier__failure *f = begin("recv on", -ECONNRESET, NULL);
    f->socket = 5;
    f->local = at(pier_inet("127.0.0.1", 41022));
    f->peer = at(pier_inet("127.0.0.1", 80));
    assert_string_equal(
        pier_error(), "recv on 127.0.0.1:41022 from 127.0.0.1:80: Connection reset by peer");
    f->verb = "send on";
    assert_string_equal(
        pier_error(), "send on 127.0.0.1:41022 to 127.0.0.1:80: Connection reset by peer");
    f->verb = "shut down";
    assert_string_equal(pier_error(),
        "shut down 127.0.0.1:41022, connected to 127.0.0.1:80: Connection reset by peer");
}

TEST(the_local_end_alone_is_told)
{
    struct pier__failure *f = begin("accept on", -EMFILE, NULL);
    f->socket = 5;
    f->local = at(pier_inet6("", 80));
    assert_string_equal(pier_error(), "accept on [::]:80: Too many open files");
}

TEST(the_other_end_alone_is_told)
{
    struct pier__failure *f = begin("receive on", -ECONNRESET, NULL);
    f->socket = 5;
    f->local = (struct pier__sockaddr){.length = sizeof(sa_family_t)}; /* unnamed */
    f->peer = at(pier_unix("/run/x.sock"));
    assert_string_equal(pier_error(), "receive from unix:/run/x.sock: Connection reset by peer");
    f->verb = "set the time-out of";
    assert_string_equal(pier_error(),
        "set the time-out of socket 5, connected to unix:/run/x.sock: Connection reset by peer");
}

TEST(a_socket_of_which_nothing_is_known_is_told_by_its_number)
{
    struct pier__failure *f = begin("receive on", -EBADF, NULL);
    f->socket = 5;
    assert_string_equal(pier_error(), "receive on socket 5: Bad file descriptor");
    f->verb = "close";
    assert_string_equal(pier_error(), "close socket 5: Bad file descriptor");
    f->verb = "connect to";
    assert_string_equal(pier_error(), "connect on socket 5: Bad file descriptor");
    f->verb = "set the deadline of";
    assert_string_equal(pier_error(), "set the deadline of socket 5: Bad file descriptor");
}

TEST(a_verb_that_goes_to_the_other_end_tells_that_end)
{
    struct pier__failure *f = begin("connect to", -ETIMEDOUT, NULL);
    f->socket = 5;
    f->local = at(pier_inet("127.0.0.1", 41022));
    f->peer = at(pier_inet("192.0.2.1", 80));
    assert_string_equal(pier_error(), "connect to 192.0.2.1:80: Connection timed out");
}

TEST(an_end_without_a_port_says_nothing)
{
    struct pier__failure *f = begin("receive on", -ENOTCONN, NULL);
    f->socket = 5;
    f->local = at(pier_inet("", 0));
    assert_string_equal(pier_error(), "receive on socket 5: Transport endpoint is not connected");
    f->local = at(pier_inet6("", 0));
    assert_string_equal(pier_error(), "receive on socket 5: Transport endpoint is not connected");
}

TEST(a_bind_tells_the_address_that_was_asked_for)
{
    struct pier__failure *f = begin("bind", -EADDRNOTAVAIL, "192.0.2.1:0");
    f->socket = 5;
    f->local = at(pier_inet("", 0));
    assert_string_equal(pier_error(), "bind 192.0.2.1:0: Cannot assign requested address");
    f->target[0] = '\0';
    assert_string_equal(pier_error(), "bind socket 5: Cannot assign requested address");
}

TEST(the_bytes_that_moved_are_told)
{
    struct pier__failure *f = begin("send all on", -ECONNRESET, NULL);
    f->local = at(pier_inet("127.0.0.1", 41022));
    f->peer = at(pier_inet("127.0.0.1", 80));
    f->moved = 219264;
    assert_string_equal(pier_error(), "send all on 127.0.0.1:41022 to 127.0.0.1:80: "
                                      "Connection reset by peer, after 219264 bytes");
    assert_int_equal(pier_error_moved(), 219264);
    f->moved = 1;
    assert_string_equal(pier_error(), "send all on 127.0.0.1:41022 to 127.0.0.1:80: "
                                      "Connection reset by peer, after 1 byte");
}

TEST(a_new_failure_forgets_the_old_one)
{
    struct pier__failure *f = begin("connect to", -ECONNREFUSED, "localhost:1");
    f->socket = 3;
    f->moved = 7;
    f->local = f->peer = at(pier_inet("127.0.0.1", 1));
    try(f, pier_inet("127.0.0.1", 1), -EIO);
    pier__failed("resolve", NULL, -ENOMEM);
    assert_string_equal(pier_error(), "resolve: Cannot allocate memory");
    assert_int_equal(pier_error_moved(), 0);
}

TEST(a_bare_minus_one_did_not_come_from_pier)
{
    assert_int_equal(pier__passed_on(-1), -1);
    assert_string_equal(pier_error(), "handle -1 did not come from pier");
    assert_int_equal(pier_error_code(), PIER_ENOTHANDLE);
    assert_int_equal(pier__passed_on(-7777), -7777);
    assert_string_equal(pier_error(), "handle -7777 did not come from pier");
}

TEST(an_error_that_is_passed_on_leaves_the_record_alone)
{
    pier__failed("make a socket", NULL, -EMFILE);
    assert_int_equal(pier__passed_on(-EMFILE), -EMFILE);
    assert_string_equal(pier_error(), "make a socket: Too many open files");
    assert_int_equal(pier__passed_on(-EAGAIN), -EAGAIN);
    assert_string_equal(pier_error(), "make a socket: Too many open files");
    assert_int_equal(pier__passed_on(PIER_EAI_NONAME), PIER_EAI_NONAME);
    assert_string_equal(pier_error(), "make a socket: Too many open files");
}

TEST(an_older_error_that_is_passed_on_is_no_stranger)
{
    pier__failed("make a socket", NULL, -EPERM);
    pier__failed("resolve", "a", -EIO);
    assert_int_equal(pier__passed_on(-EPERM), -EPERM); /* which is -1 */
    assert_string_equal(pier_error(), "resolve a: Input/output error");
}

TEST(an_errno_from_elsewhere_is_named)
{
    assert_int_equal(pier__passed_on(-EMFILE), -EMFILE);
    assert_string_equal(
        pier_error(), "handle -24 (Too many open files) did not come from a call of this thread");
    assert_int_equal(pier_error_code(), PIER_ENOTHANDLE);
}

TEST(text_of_others_cannot_smuggle_control_bytes)
{
    pier__failed("resolve",
        "a\033]0;owned\007\r\n\xc2\x9b"
        "b",
        PIER_EAI_NONAME);
    assert_string_equal(pier_error(), "resolve a\\x1b]0;owned\\x07\\x0d\\x0a\\xc2\\x9bb: "
                                      "Name or service not known");
    struct pier__failure *f = begin("receive on", -ECONNRESET, NULL);
    f->peer = at(pier_unix("/tmp/\033[2J"));
    assert_string_equal(pier_error(), "receive from unix:/tmp/\\x1b[2J: Connection reset by peer");
}

TEST(the_reason_is_told_however_long_the_rest)
{
    char target[300];
    memset(target, '\001', sizeof target);
    target[sizeof target - 1] = '\0';
    struct pier__failure *f = begin("connect to", -ECONNREFUSED, target);
    char path[108];
    memset(path, '\002', sizeof path);
    path[sizeof path - 1] = '\0';
    for (int i = 0; i < 20; i++)
        try(f, pier_unix(path), -ENOENT);
    f->moved = SIZE_MAX;
    const char *said = pier_error();
    static const char end[] = "...: Connection refused, after 18446744073709551615 bytes";
    assert_true(strlen(said) > sizeof end);
    assert_string_equal(said + strlen(said) - sizeof end + 1, end);
}

TEST(a_target_longer_than_its_room_is_cut_and_not_overrun)
{
    char name[1000];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    pier__failed("resolve", name, PIER_EHOSTTEXT);
    assert_int_equal(strlen(pier__failure()->target), sizeof pier__failure()->target - 1);
    assert_non_null(strstr(pier_error(), "aaa: host name label empty or too long"));
}

TEST(a_record_can_be_saved_and_put_back)
{
    pier__failed("resolve", "a", -EIO);
    struct pier__failure saved = *pier__failure();
    pier__failed("close", NULL, -EBADF);
    *pier__failure() = saved;
    assert_string_equal(pier_error(), "resolve a: Input/output error");
}

static void *fail_elsewhere(void *arg)
{
    assert_string_equal(pier_error(), "no error");
    pier__failed("resolve", arg, -ENOENT);
    assert_string_equal(pier_error(), "resolve b: No such file or directory");
    return NULL;
}

TEST(each_thread_has_its_own_failure)
{
    pier__failed("resolve", "a", -EIO);
    char b[] = "b";
    test_join(test_thread(fail_elsewhere, b));
    assert_string_equal(pier_error(), "resolve a: Input/output error");
}
