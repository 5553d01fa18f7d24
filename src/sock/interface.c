/* SPDX-License-Identifier: MIT */
/* Network interfaces, by number and by name. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/resolve.h"

#include <pier/error.h>

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* One block: the list, ended by an entry of zeros as the system's is, and behind it the names. */
static ssize_t copy_list(const struct if_nameindex *from, pier_interface **out)
{
    size_t count = 0;
    while (from[count].if_index || from[count].if_name) {
        count++;
    }
    pier_interface *list = pier__allocate_zeroed(count + 1, sizeof *list + IF_NAMESIZE);
    if (!list) return -ENOMEM;
    char *name = (char *)(list + count + 1);
    for (size_t i = 0; i < count; i++, name += IF_NAMESIZE) {
        list[i].index = from[i].if_index;
        memcpy(name, from[i].if_name, strnlen(from[i].if_name, IF_NAMESIZE - 1));
        list[i].name = name;
    }
    *out = list;
    return (ssize_t)count;
}

static ssize_t list_interfaces(pier_interface **out_list)
{
    if (!out_list) return -EINVAL;
    *out_list = NULL;
    struct if_nameindex *found;
    int err = pier__seam->if_nameindex(&found);
    if (err < 0) return err;
    ssize_t n = copy_list(found, out_list);
    pier__seam->if_freenameindex(found);
    return n;
}

ssize_t pier_if_nameindex(pier_interface **out_list)
{
    pier_time began = pier__trace_begin();
    ssize_t n = pier__failed("list interfaces", NULL, list_interfaces(out_list));
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, n, "if_nameindex()");
    return n;
}

void pier_freenameindex(pier_interface *list) { pier__seam->release(list); }

int pier_if_nametoindex(const char *name)
{
    pier_time began = pier__trace_begin();
    int index = name ? pier__seam->if_nametoindex(name) : -EINVAL;
    if (index == -ENODEV) index = PIER_ENOINTERFACE;
    index = (int)pier__failed("resolve", name, index);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, index, "if_nametoindex(%s)", name ? name : "NULL");
    return index;
}

static ssize_t name_of(unsigned index, char *buf, size_t size)
{
    char name[IF_NAMESIZE] = "";
    if (!buf) return -EINVAL;
    int err = pier__seam->if_indextoname(index, name);
    return err < 0 ? err : pier__give_text(name, buf, size);
}

ssize_t pier_if_indextoname(unsigned index, char *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    char target[24];
    snprintf(target, sizeof target, "interface %u", index);
    ssize_t n = pier__failed("resolve", target, name_of(index, buf, size));
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, n, "if_indextoname(%u)", index);
    return n;
}
