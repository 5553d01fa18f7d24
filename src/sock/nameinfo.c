/* SPDX-License-Identifier: MIT */
/* The way back: an address and a port to their names. */
#include "base/addr.h"
#include "base/bits.h"
#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/resolve.h"
#include "wait/work.h"

#include <pier/error.h>

#include <errno.h>
#include <netdb.h>

struct search {
    struct pier__work work;
    pier_addr addr;
    int flags, result;
    pier_nameinfo names;
};

static void run(struct pier__work *work)
{
    struct search *search = PIER_CONTAINER_OF(work, struct search, work);
    pier_nameinfo *names = &search->names;
    int system;
    int eai = pier__seam->getnameinfo(&search->addr.sa.any, search->addr.length, names->host,
        sizeof names->host, names->service, sizeof names->service, search->flags, &system);
    search->result = eai == 0 ? 0 : pier__eai_code(eai, system);
}

static void drop(struct pier__work *work)
{
    pier__seam->release(PIER_CONTAINER_OF(work, struct search, work));
}

static int64_t look_up(const pier_addr *addr, int flags, pier_time deadline, pier_nameinfo *out)
{
    if (!out) return -EINVAL;
    if (deadline < 0) return deadline;
    int err = pier__addr_check(addr);
    if (err < 0) return err;
    int family = addr->sa.any.sa_family;
    if (family != AF_INET && family != AF_INET6) return PIER_EFAMILY;

    struct search *search = pier__allocate_zeroed(1, sizeof *search);
    if (!search) return -ENOMEM;
    search->work.run = run;
    search->work.drop = drop;
    search->addr = *addr;
    search->flags = flags;
    search->result = PIER_EAI_AGAIN; /* if it never runs */
    const int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    if ((flags & numeric) == numeric) {
        pier__work_here(&search->work);
    } else {
        err = pier__ask(&search->work, /* life= */ NULL, deadline);
        if (err < 0) return err;
    }
    err = search->result;
    if (err == 0) *out = search->names;
    drop(&search->work);
    return err;
}

int pier_getnameinfo(pier_addr addr, int flags, pier_time deadline, pier_nameinfo *out)
{
    pier_time began = pier__trace_begin();
    int64_t err = look_up(&addr, flags, deadline, out);
    if (err < 0) pier__failed("resolve", pier_addr_text(addr).text, err);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "getnameinfo(%s, %d)", pier_addr_text(addr).text, flags);
    return (int)err;
}
