/* SPDX-License-Identifier: MIT */
/* Which processes hold a socket: /proc/PID/fd, as far as this user may look. */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMM = 16 }; /* TASK_COMM_LEN: the kernel cuts names */

struct entry {
    uint32_t inode;
    struct diag_row *row;
};

struct search {
    struct entry *sorted; /* by inode; rows without one are left out */
    size_t count;
    const char *wanted; /* a name or a number, or NULL */
    bool denied;
};

/* A process that is being looked at. */
struct process {
    int folder;
    const char *pid;
    char name[COMM];
    bool wanted;
};

static int by_inode(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static struct diag_row *row_of(const struct search *it, uint32_t inode)
{
    const struct entry key = {.inode = inode};
    const struct entry *found = bsearch(&key, it->sorted, it->count, sizeof *it->sorted, by_inode);
    return found != NULL ? found->row : NULL;
}

static void name_process(struct process *it, const char *wanted)
{
    int fd = openat(it->folder, "comm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, it->name, sizeof it->name - 1) : -1;
    if (fd >= 0) close(fd);
    if (n <= 0) n = snprintf(it->name, sizeof it->name, "?");
    if (it->name[n - 1] == '\n') n--;
    it->name[n] = '\0';
    /* Whoever asks for systemd-resolved need not know what the kernel has made of it. */
    it->wanted =
        wanted == NULL || strcmp(wanted, it->pid) == 0 || strncmp(wanted, it->name, COMM - 1) == 0;
}

/* "nginx[812]", and more behind a comma. */
static void add_owner(struct diag_row *row, const struct process *owner)
{
    long pid = strtol(owner->pid, NULL, 10);
    if (row->last_owner == pid) return; /* by another descriptor */
    row->last_owner = pid;
    row->wanted = row->wanted || owner->wanted;
    if (row->owner_count++ >= OWNERS_NAMED) return;
    char *longer = NULL;
    if (asprintf(&longer, "%s%s%s[%s]", row->owners != NULL ? row->owners : "",
            row->owners != NULL ? "," : "", screen_quote(owner->name), owner->pid) < 0)
        return;
    free(row->owners);
    row->owners = longer;
}

static void look_at(const struct search *it, struct process *process, int fds, const char *number)
{
    static const char begin[] = "socket:[";
    char link[64];
    ssize_t n = readlinkat(fds, number, link, sizeof link - 1);
    if (n <= 0) return;
    link[n] = '\0';
    if (strncmp(link, begin, sizeof begin - 1) != 0) return;
    struct diag_row *row = row_of(it, (uint32_t)strtoul(link + sizeof begin - 1, NULL, 10));
    if (row == NULL) return;
    if (*process->name == '\0') name_process(process, it->wanted);
    add_owner(row, process);
}

static void look_into(struct search *it, int proc, const char *pid)
{
    struct process process = {.pid = pid};
    process.folder = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process.folder < 0) return; /* it has ended */
    int fds = openat(process.folder, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fds >= 0 ? fdopendir(fds) : NULL;
    if (fds < 0 && (errno == EACCES || errno == EPERM)) it->denied = true;
    if (list == NULL && fds >= 0) close(fds);
    for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
        look_at(it, &process, fds, entry->d_name);
    if (list != NULL) closedir(list);
    close(process.folder);
}

static void name_peers(const struct search *it)
{
    for (size_t i = 0; i < it->count; i++) {
        struct diag_row *row = it->sorted[i].row;
        if (row->peer_inode != 0) row->peer_row = row_of(it, row->peer_inode);
    }
}

int find_owners(struct diag *of, const char *wanted)
{
    struct search it = {.wanted = wanted};
    it.sorted = calloc(of->count + 1, sizeof *it.sorted);
    if (it.sorted == NULL) return -ENOMEM;
    for (size_t i = 0; i < of->count; i++) {
        of->rows[i].wanted = wanted == NULL;
        if (of->rows[i].inode != 0)
            it.sorted[it.count++] = (struct entry){of->rows[i].inode, &of->rows[i]};
    }
    qsort(it.sorted, it.count, sizeof *it.sorted, by_inode);
    name_peers(&it);
    DIR *proc = opendir("/proc");
    int err = proc == NULL ? -errno : 0;
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;)
        if (entry->d_name[strspn(entry->d_name, "0123456789")] == '\0')
            look_into(&it, dirfd(proc), entry->d_name);
    if (proc != NULL) closedir(proc);
    free(it.sorted);
    of->denied = it.denied || geteuid() != 0;
    return err;
}
