/* SPDX-License-Identifier: MIT */
/* A report of the tasks of a loop, for people. */
#include "base/failure.h"
#include "base/seam.h"
#include "base/text.h"
#include "wait/loop.h"

#include <pier/error.h>

#include <errno.h>

#define LINE 256

static const char *state_name(const struct pier__task *task)
{
    switch (task->state) {
    case PIER__TASK_READY: return "ready";
    case PIER__TASK_RUNNING: return "running";
    case PIER__TASK_PARKED: return "waiting";
    case PIER__TASK_ENDED: return "ended";
    }
    return "?";
}

/* task 7 "greet": waiting for recv on 12, for 3.120 s */
static void describe(const struct pier__task *task, pier_time now, struct pier__text *t)
{
    pier__text_format(t, "task %d", task->number);
    if (task->name[0]) {
        pier__text_format(t, " \"");
        pier__text_escape(t, task->name);
        pier__text_format(t, "\"");
    }
    pier__text_format(t, ": %s", state_name(task));
    if (task->state == PIER__TASK_PARKED) {
        pier__text_format(t, " for %s", task->doing ? task->doing : "the others");
        for (size_t i = 0, told = 0; i < task->pending_count && told < 4; i++) {
            int fd = task->pendings[i].fd;
            if (fd >= 0) pier__text_format(t, "%s %d", told++ == 0 ? " on" : ",", fd);
        }
        pier_time since = now > task->since ? now - task->since : 0;
        pier__text_format(t, ", for %lld.%03lld s", (long long)(since / PIER_SECOND),
            (long long)(since % PIER_SECOND / 1000000));
    }
    if (task->cancel) pier__text_format(t, ", cancelled");
    pier__text_format(t, "\n");
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = pier__seam->write(fd, text, size);
        if (n == -EINTR) continue;
        if (n < 0) return (int)n;
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

int pier__loop_dump(struct pier__loop *loop, int fd)
{
    char line[LINE];
    pier_time now = pier__seam->now();
    struct pier__text head = pier__text_begin(line, sizeof line, 0);
    pier__text_format(&head, "pier: %zu tasks on %s\n", loop->task_count, loop->backend->name);
    int err = write_all(fd, line, head.used);
    for (const struct pier__task *task = loop->tasks; task && err == 0; task = task->next) {
        struct pier__text t = pier__text_begin(line, sizeof line, 0);
        pier__text_format(&t, "pier:   ");
        describe(task, now, &t);
        err = write_all(fd, line, t.used);
    }
    return err;
}

int pier_dump_tasks(int fd)
{
    int err = pier__loop_here ? pier__loop_dump(pier__loop_here, fd) : PIER_ENOTASK;
    return (int)pier__failed("report the tasks", NULL, err);
}
