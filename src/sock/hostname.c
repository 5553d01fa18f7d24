/* SPDX-License-Identifier: MIT */
/* What this host is called, and the full names of others. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/resolve.h"

#include <pier/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#define HOST_ROOM 1025

ssize_t pier__give_text(const char *text, char *buf, size_t size)
{
    size_t length = strlen(text);
    if (length >= size) return -ENOSPC;
    memcpy(buf, text, length + 1);
    return (ssize_t)length;
}

/* This host's name; out has HOST_ROOM bytes. */
static int own_name(char *out)
{
    int err = pier__seam->gethostname(out, HOST_ROOM);
    out[HOST_ROOM - 1] = '\0'; /* POSIX need not end a name that was cut */
    return err;
}

/*
 * May getfqdn() answer with the name as it is? Not when the caller's patience or argument was at
 * fault.
 */
static bool is_unknown(int64_t err)
{
    return err != -ETIME && err != -EINTR && err != -ENOMEM && err != PIER_EHOSTTEXT &&
           err != PIER_EAI_IDN_ENCODE;
}

static const char *full_name(const pier_hostent *host)
{
    if (strchr(host->name, '.')) return host->name;
    for (const char *const *alias = host->aliases; *alias; alias++) {
        if (strchr(*alias, '.')) return *alias;
    }
    return host->name;
}

static int64_t fqdn(const char *name, pier_time deadline, char *buf, size_t size)
{
    static const char spaces[] = " \t\n\r\v\f";
    char asked[HOST_ROOM];
    if (!buf) return -EINVAL;
    if (deadline < 0) return deadline;
    if (!name) name = "";
    name += strspn(name, spaces);
    size_t length = strlen(name);
    while (length > 0 && strchr(spaces, name[length - 1])) {
        length--;
    }
    if (length >= sizeof asked) return PIER_EHOSTTEXT;
    memcpy(asked, name, length);
    asked[length] = '\0';
    if (!asked[0] || strcmp(asked, "0.0.0.0") == 0 || strcmp(asked, "::") == 0) {
        int err = own_name(asked);
        if (err < 0) return err;
    }
    pier_hostent *host;
    int64_t err = pier__gethostbyaddr(asked, deadline, &host);
    if (err < 0) return is_unknown(err) ? pier__give_text(asked, buf, size) : err;
    const char *full = full_name(host);
    ssize_t n = pier__give_text(full, buf, size);
    pier__seam->release(host);
    return n;
}

ssize_t pier_getfqdn(const char *name, pier_time deadline, char *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    int64_t n = pier__failed("resolve", name, fqdn(name, deadline, buf, size));
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, n, "getfqdn(%s)", name ? name : "NULL");
    return n;
}

static ssize_t host_name(char *buf, size_t size)
{
    char name[HOST_ROOM];
    if (!buf) return -EINVAL;
    int err = own_name(name);
    return err < 0 ? err : pier__give_text(name, buf, size);
}

ssize_t pier_gethostname(char *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    ssize_t n = pier__failed("gethostname", NULL, host_name(buf, size));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, n, "gethostname(\"%s\")", n < 0 ? "" : buf);
    return n;
}

int pier_sethostname(const char *name, size_t length)
{
    pier_time began = pier__trace_begin();
    int err = !name || length > SSIZE_MAX ? -EINVAL : pier__seam->sethostname(name, length);
    err = (int)pier__failed("sethostname", NULL, err);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "sethostname(%s, %zu)",
            pier__trace_bytes(name, name ? (int64_t)length : -1), length);
    return err;
}
