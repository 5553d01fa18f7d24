/* SPDX-License-Identifier: MIT */
/* Bytes in several buffers, and control data beside them. */
#include "module.h"

#include <errno.h>
#include <limits.h>

#define CONTROL_MOST 0x7fffffff

/* Several buffers, as Python gives them and as the kernel wants them. */
struct buffers {
    Py_buffer *views;
    struct iovec *iov;
    Py_ssize_t count;
};

static void release(struct buffers *b)
{
    while (b->count > 0) {
        PyBuffer_Release(&b->views[--b->count]);
    }
    PyMem_Free(b->views);
    PyMem_Free(b->iov);
}

/* How an argument that is a list of buffers is refused. */
struct complaint {
    const char *no_iterable, *too_long, *format;
};

static bool gather(struct buffers *b, PyObject *list, const struct complaint *complaint)
{
    *b = (struct buffers){0};
    PyObject *fast = PySequence_Fast(list, complaint->no_iterable);
    if (!fast) return false;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);
    bool done = false;
    if (count > INT_MAX) {
        raise_text(PyExc_OSError, complaint->too_long);
        goto end;
    }
    b->views = PyMem_New(Py_buffer, (size_t)count);
    b->iov = PyMem_New(struct iovec, (size_t)count);
    if (!b->views || !b->iov) {
        PyErr_NoMemory();
        goto end;
    }
    for (; b->count < count; b->count++) {
        Py_buffer *view = &b->views[b->count];
        /* The list may have been changed by an item's own code. */
        if (b->count >= PySequence_Fast_GET_SIZE(fast)) break;
        if (!PyArg_Parse(PySequence_Fast_GET_ITEM(fast, b->count), complaint->format, view))
            goto end;
        b->iov[b->count] = (struct iovec){.iov_base = view->buf, .iov_len = (size_t)view->len};
    }
    done = true;
end:
    Py_DECREF(fast);
    if (!done) {
        release(b);
        *b = (struct buffers){0};
    }
    return done;
}

/* The control messages of msg as a list of (level, type, bytes). NULL: an exception is set. */
static PyObject *show_control(const struct msghdr *msg)
{
    PyObject *list = PyList_New(0);
    pier_cmsg cmsg = {0};
    while (list && pier_cmsg_next(msg, &cmsg)) {
        bool bad = cmsg.truncated &&
                   PyErr_WarnEx(PyExc_RuntimeWarning,
                       "received malformed or improperly-truncated ancillary data", 1) < 0;
        PyObject *item =
            bad ? NULL
                : Py_BuildValue("iiy#", cmsg.level, cmsg.type, cmsg.data, (Py_ssize_t)cmsg.length);
        if (!item || PyList_Append(list, item) < 0) Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/*
 * The one call. Returns how many bytes came and, in the three outputs, what else; -1: an exception is set, and
 * descriptors that came are closed.
 */
static ssize_t receive(
    struct sock *s, struct msghdr *msg, int flags, PyObject **out_control, PyObject **out_address)
{
    ssize_t n = -EBADF;
    struct sockaddr_storage name;
    msg->msg_name = &name;
    msg->msg_namelen = sizeof name;
    if (s->fd >= 0) AWAY(n = pier_recvmsg(s->fd, msg, flags));
    msg->msg_name = NULL;
    if (n < 0) {
        raise_code(n);
        return -1;
    }
    pier_addr from = {0};
    if (msg->msg_namelen >= sizeof(sa_family_t)) from = pier_addr_raw(&name, msg->msg_namelen);
    *out_control = show_control(msg);
    *out_address = *out_control ? show_address(&from, s->proto) : NULL;
    if (*out_address) return n;
    Py_CLEAR(*out_control);
    pier_cmsg_close_fds(msg);
    return -1;
}

static ssize_t recv_message(struct sock *s, struct iovec *iov, Py_ssize_t count,
    Py_ssize_t control_room, int flags, PyObject **out_rest)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    PyObject *control, *address;
    if (!knows_addresses_of(s)) return -1;
    if (control_room < 0 || control_room > CONTROL_MOST) {
        raise_text(PyExc_ValueError, "invalid ancillary data buffer length");
        return -1;
    }
    if (control_room > 0 && !(msg.msg_control = PyMem_Malloc((size_t)control_room))) {
        PyErr_NoMemory();
        return -1;
    }
    msg.msg_controllen = (size_t)control_room;
    ssize_t n = receive(s, &msg, flags, &control, &address);
    if (n >= 0) {
        *out_rest = Py_BuildValue("NiN", control, msg.msg_flags, address);
        if (!*out_rest) {
            pier_cmsg_close_fds(&msg);
            n = -1;
        }
    }
    PyMem_Free(msg.msg_control);
    return n;
}

/* (first, *rest); takes both. */
static PyObject *put_before(PyObject *first, PyObject *rest)
{
    PyObject *result = NULL;
    if (first)
        result = PyTuple_Pack(4, first, PyTuple_GET_ITEM(rest, 0), PyTuple_GET_ITEM(rest, 1),
            PyTuple_GET_ITEM(rest, 2));
    Py_XDECREF(first);
    Py_DECREF(rest);
    return result;
}

PyObject *sock_recvmsg(struct sock *s, PyObject *args)
{
    Py_ssize_t room, control_room = 0;
    int flags = 0;
    PyObject *rest;
    if (!PyArg_ParseTuple(args, "n|ni:recvmsg", &room, &control_room, &flags)) return NULL;
    if (room < 0) return raise_text(PyExc_ValueError, "negative buffer size in recvmsg()");
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, room);
    if (!bytes) return NULL;
    struct iovec iov = {.iov_base = PyBytes_AS_STRING(bytes), .iov_len = (size_t)room};
    ssize_t n = recv_message(s, &iov, 1, control_room, flags, &rest);
    if (n < 0) {
        Py_DECREF(bytes);
        return NULL;
    }
    if (n < room) _PyBytes_Resize(&bytes, n); /* n may be more: MSG_TRUNC */
    return put_before(bytes, rest);
}

PyObject *sock_recvmsg_into(struct sock *s, PyObject *args)
{
    static const struct complaint complaint = {
        .no_iterable = "recvmsg_into() argument 1 must be an iterable",
        .too_long = "recvmsg_into() argument 1 is too long",
        .format =
            "w*;recvmsg_into() argument 1 must be an iterable of single-segment read-write buffers",
    };
    Py_ssize_t control_room = 0;
    int flags = 0;
    PyObject *list, *rest;
    struct buffers b;
    if (!PyArg_ParseTuple(args, "O|ni:recvmsg_into", &list, &control_room, &flags)) return NULL;
    if (!gather(&b, list, &complaint)) return NULL;
    ssize_t n = recv_message(s, b.iov, b.count, control_room, flags, &rest);
    release(&b);
    return n < 0 ? NULL : put_before(PyLong_FromSsize_t(n), rest);
}

static const struct complaint send_complaint = {
    .no_iterable = "sendmsg() argument 1 must be an iterable",
    .too_long = "sendmsg() argument 1 is too long",
    .format = "y*;sendmsg() argument 1 must be an iterable of bytes-like objects",
};

/* An item of sendmsg's ancdata. */
struct item {
    int level, type;
    Py_buffer data;
};

/* How much room an item takes; 0: an exception is set. */
static size_t room_for(const struct item *item, size_t already)
{
    ssize_t room = pier_cmsg_space((size_t)item->data.len);
    if (room < 0) {
        raise_text(PyExc_OSError, "ancillary data item too large");
        return 0;
    }
    if (already + (size_t)room > CONTROL_MOST) {
        raise_text(PyExc_OSError, "too much ancillary data");
        return 0;
    }
    return (size_t)room;
}

/* All items are looked at before anything is written. */
static bool parse_items(
    PyObject *fast, Py_ssize_t most, struct item *items, Py_ssize_t *count, size_t *out_room)
{
    *out_room = 0;
    while (*count < most && *count < PySequence_Fast_GET_SIZE(fast)) {
        struct item *item = &items[*count];
        if (!PyArg_Parse(PySequence_Fast_GET_ITEM(fast, *count),
                "(iiy*):[sendmsg() ancillary data items]", &item->level, &item->type, &item->data))
            return false;
        ++*count;
        size_t room = room_for(item, *out_room);
        if (!room) return false;
        *out_room += room;
    }
    return true;
}

static bool write_items(struct msghdr *msg, size_t room, const struct item *items, Py_ssize_t count)
{
    if (count == 0) return true;
    msg->msg_control = PyMem_Malloc(room);
    if (!msg->msg_control) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        const Py_buffer *data = &items[i].data;
        int err = pier_cmsg_put(msg, room, items[i].level, items[i].type,
            data->len ? data->buf : "", (size_t)data->len);
        if (err < 0) {
            raise_text(PyExc_RuntimeError, "ancillary data does not fit in calculated space");
            return false;
        }
    }
    return true;
}

/* Put the control data into msg, whose msg_control is to be freed in any case. */
static bool put_control(struct msghdr *msg, PyObject *list)
{
    if (!list) return true;
    PyObject *fast = PySequence_Fast(list, "sendmsg() argument 2 must be an iterable");
    if (!fast) return false;
    Py_ssize_t count = 0, most = PySequence_Fast_GET_SIZE(fast);
    size_t room = 0;
    struct item *items = PyMem_New(struct item, (size_t)most);
    if (!items) PyErr_NoMemory();
    bool done = items && parse_items(fast, most, items, &count, &room) &&
                write_items(msg, room, items, count);
    while (count > 0) {
        PyBuffer_Release(&items[--count].data);
    }
    PyMem_Free(items);
    Py_DECREF(fast);
    return done;
}

static PyObject *send_message(
    struct sock *s, PyObject *list, PyObject *control, const pier_addr *to, int flags)
{
    struct buffers b;
    if (!gather(&b, list, &send_complaint)) return NULL;
    pier_addr name = *to;
    struct msghdr msg = {.msg_name = name.length ? &name.sa : NULL,
        .msg_namelen = name.length,
        .msg_iov = b.iov,
        .msg_iovlen = (size_t)b.count};
    PyObject *result = NULL;
    if (put_control(&msg, control)) {
        ssize_t n = -EBADF;
        if (s->fd >= 0) AWAY(n = pier_sendmsg(s->fd, &msg, flags));
        result = n < 0 ? raise_code(n) : PyLong_FromSsize_t(n);
    }
    PyMem_Free(msg.msg_control);
    release(&b);
    return result;
}

PyObject *sock_sendmsg(struct sock *s, PyObject *args)
{
    PyObject *list, *control = NULL, *address = Py_None;
    int flags = 0;
    pier_addr to = {0};
    if (!PyArg_ParseTuple(args, "O|OiO:sendmsg", &list, &control, &flags, &address)) return NULL;
    if (address != Py_None && !read_address(s, address, "sendmsg", &to)) return NULL;
    if (PySys_Audit("socket.sendmsg", "OO", s, address) < 0) return NULL;
    return send_message(s, list, control, &to, flags);
}

/* Turns a keyword argument that must be a number of 0 or more into one; -1: it is none. */
static int natural(PyObject *number)
{
    int value = number ? _PyLong_AsInt(number) : -1;
    return value < 0 ? -1 : value;
}

PyObject *sock_sendmsg_afalg(struct sock *s, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"msg", "op", "iv", "assoclen", "flags", NULL};
    PyObject *list = NULL, *op = NULL, *assoclen = NULL, *result = NULL;
    Py_buffer iv = {0};
    struct buffers b = {0};
    int flags = 0;
    if (s->family != AF_ALG)
        return raise_text(PyExc_OSError, "algset is only supported for AF_ALG");
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$O!y*O!i:sendmsg_afalg", names, &list,
            &PyLong_Type, &op, &iv, &PyLong_Type, &assoclen, &flags))
        return NULL;
    pier_afalg_opts opts = {.iv = iv.buf,
        .iv_length = (size_t)iv.len,
        .assoclen = natural(assoclen),
        .has_assoclen = assoclen != NULL};
    if (natural(op) < 0) {
        raise_text(PyExc_TypeError, "Invalid or missing argument 'op'");
    } else if (assoclen && opts.assoclen < 0) {
        if (!PyErr_Occurred()) raise_text(PyExc_TypeError, "assoclen must be positive");
    } else if (!list || gather(&b, list, &send_complaint)) {
        ssize_t n = -EBADF;
        int order = natural(op);
        if (s->fd >= 0)
            AWAY(n = pier_sendmsg_afalg(s->fd, b.iov, (size_t)b.count, order, &opts, flags));
        result = n < 0 ? raise_code(n) : PyLong_FromSsize_t(n);
        release(&b);
    }
    if (iv.obj) PyBuffer_Release(&iv);
    return result;
}
