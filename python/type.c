/* SPDX-License-Identifier: MIT */
/* The type _socket.socket: how its objects are made and closed, and the list of their methods. */
#include "module.h"

#include <errno.h>
#include <stddef.h>
#include <structmember.h>

/* Where _ssl looks. */
_Static_assert(offsetof(struct sock, fd) == 16 && offsetof(struct sock, timeout) == 40,
    "the layout of CPython 3.11's PySocketSockObject");

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

/*
 * Whose a number is.
 *
 * Several objects may have one number: Python takes over a descriptor with socket(fileno=...), and then lets go
 * of one of the two. In pier's table the number has the time-out of the latest; when that one is
 * detached, the object before it goes on. Who is not in the list any more, or whose number pier has given to
 * another socket since, has nothing to close.
 */
struct owners {
    uint64_t birth;
    struct sock *latest; /* and from it on by `elder`; borrowed */
};

static struct owners *owned;
static size_t owned_count;

static struct owners *owners_of(int fd)
{
    size_t at = (size_t)fd;
    if (at < owned_count) return &owned[at];
    size_t count = owned_count ? 2 * owned_count : 64;
    while (count <= at) {
        count *= 2;
    }
    struct owners *more = PyMem_Resize(owned, struct owners, count);
    if (!more) return NULL;
    memset(more + owned_count, 0, (count - owned_count) * sizeof *more);
    owned = more;
    owned_count = count;
    return &owned[at];
}

/* s has this number from now on, as all those have that had it when its birth was `before`. */
static int begin_to_own(struct sock *s, int fd, uint64_t before)
{
    struct owners *o = owners_of(fd);
    if (!o) return -ENOMEM;
    s->elder = before && o->birth == before ? o->latest : NULL;
    *o = (struct owners){.birth = pier_birth(fd), .latest = s};
    return 0;
}

/* s has no number any more. Returns whether it was its own to close; out of whose it is now, or NULL. */
static bool cease_to_own(struct sock *s, struct sock **out_next)
{
    struct owners *o = owners_of(s->fd);
    uint64_t now = pier_birth(s->fd);
    s->fd = -1;
    *out_next = NULL;
    if (!o) return false;
    for (struct sock **link = &o->latest; *link; link = &(*link)->elder) {
        if (*link != s) continue;
        *link = s->elder;
        if (link == &o->latest) *out_next = o->latest;
        return now && o->birth == now;
    }
    return false;
}

/* The number is closed; whoever else has it will find that out. */
static void forget_owners(int fd) { owners_of(fd)->latest = NULL; }

/* What _accept() gave out last: it need not be asked what it is when it becomes an object, which is next. */
static _Thread_local struct {
    int fd;
    uint64_t birth;
} accepted = {.fd = -1};

void note_accepted(int fd)
{
    accepted.fd = fd;
    accepted.birth = pier_birth(fd);
}

/* Making. */

static int become(struct sock *s, int fd, int family, int type, int proto, uint64_t before)
{
    if (begin_to_own(s, fd, before) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    s->fd = fd;
    s->family = family;
    s->type = type & ~TYPE_FLAGS;
    s->proto = proto;
    s->timeout = type & SOCK_NONBLOCK ? 0 : default_timeout;
    return 0;
}

struct sock *make_socket(int fd, int family, int type, int proto)
{
    struct sock *s = (struct sock *)PyType_GenericNew(&socket_type, NULL, NULL);
    if (s && become(s, fd, family, type, proto, /* before= */ 0) < 0) Py_CLEAR(s);
    return s;
}

static int make_new(struct sock *s, int family, int type, int proto)
{
    int fd;
    if (family == -1) family = AF_INET;
    if (type == -1) type = SOCK_STREAM;
    if (proto == -1) proto = 0;
    AWAY(fd = pier_socket(family, type, proto));
    if (fd < 0) {
        raise_code(fd);
        return -1;
    }
    int err = become(s, fd, family, type, proto, /* before= */ 0);
    if (err < 0) close_number(fd);
    return err;
}

static int ask(int fd, int option, int *value)
{
    socklen_t length = sizeof *value;
    return *value == -1 ? pier_getsockopt(fd, SOL_SOCKET, option, value, &length) : 0;
}

static int adopt(int fd, uint64_t before)
{
    if (fd == accepted.fd && before == accepted.birth && before) {
        accepted.fd = -1;
        return 0;
    }
    int err;
    AWAY(err = pier_adopt(fd));
    return err;
}

/* What is given is believed, as in the stock module; only what is not is found out. */
static int take_over(struct sock *s, PyObject *fileno, int family, int type, int proto)
{
    int fd = _PyLong_AsInt(fileno);
    if (fd == -1 && PyErr_Occurred()) return -1;
    if (fd < 0) {
        PyErr_SetString(PyExc_ValueError, "negative file descriptor");
        return -1;
    }
    pier_addr own;
    int err = pier_getsockname(fd, &own); /* AF_ALG has none */
    if (err < 0 && family != -1 && err != -EBADF && err != -ENOTSOCK) err = 0;
    if (family == -1) family = own.sa.any.sa_family;
    if (err == 0) err = ask(fd, SO_TYPE, &type);
    if (err == 0) err = ask(fd, SO_PROTOCOL, &proto);
    uint64_t before = pier_birth(fd);
    if (err == 0) err = adopt(fd, before);
    if (err >= 0 && type & SOCK_NONBLOCK) err = pier_settimeout(fd, 0);
    if (err < 0) {
        raise_code(err);
        return -1;
    }
    return become(s, fd, family, type, proto, before);
}

/* As "i", with the words of _PyLong_AsInt(). */
static int convert_int(PyObject *arg, void *out)
{
    int value = _PyLong_AsInt(arg);
    if (value == -1 && PyErr_Occurred()) return 0;
    *(int *)out = value;
    return 1;
}

static int sock_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"family", "type", "proto", "fileno", NULL};
    int family = -1, type = -1, proto = -1;
    PyObject *fileno = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&O&O&O:socket", names, convert_int, &family,
            convert_int, &type, convert_int, &proto, &fileno))
        return -1;
    if (PySys_Audit("socket.__new__", "Oiii", self, family, type, proto) < 0) return -1;
    struct sock *s = (struct sock *)self, *next;
    if (s->fd >= 0) (void)cease_to_own(s, &next); /* made anew: the old number is nobody's */
    if (fileno != Py_None) return take_over(s, fileno, family, type, proto);
    return make_new(s, family, type, proto);
}

static PyObject *sock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    struct sock *s = (struct sock *)type->tp_alloc(type, 0);
    if (!s) return NULL;
    s->fd = -1;
    s->timeout = -1;
    return (PyObject *)s;
}

/* Closing. */

int close_number(int fd)
{
    int err;
    AWAY(err = pier_close(fd));
    return err;
}

/* Close the number that s has. Returns 0 or a code. */
static int close_own(struct sock *s)
{
    int fd = s->fd;
    struct sock *next;
    if (!cease_to_own(s, &next)) return -EBADF;
    forget_owners(fd);
    return close_number(fd);
}

PyObject *sock_close(struct sock *s, PyObject *unused)
{
    (void)unused;
    int err = s->fd >= 0 ? close_own(s) : 0;
    if (err < 0) return raise_code(err);
    Py_RETURN_NONE;
}

PyObject *sock_detach(struct sock *s, PyObject *unused)
{
    (void)unused;
    int fd = s->fd;
    struct sock *next = NULL;
    if (fd >= 0 && cease_to_own(s, &next)) {
        /* While another thread waits in it pier keeps it; the number is given away all the same. */
        if (owners_of(fd)->latest == NULL)
            (void)pier_detach(fd);
        else if (next)
            (void)pier_settimeout(fd, seconds_of(next->timeout));
    }
    return PyLong_FromLong(fd);
}

static void sock_finalize(PyObject *self)
{
    struct sock *s = (struct sock *)self;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (s->fd >= 0) {
        /* The warning shows the socket, so it comes before the closing. */
        if (PyErr_ResourceWarning(self, 1, "unclosed %R", s) &&
            PyErr_ExceptionMatches(PyExc_Warning))
            PyErr_WriteUnraisable(self);
        (void)close_own(s);
    }
    PyErr_Restore(type, value, traceback);
}

static void sock_dealloc(PyObject *self)
{
    if (PyObject_CallFinalizerFromDealloc(self) < 0) return;
    Py_TYPE(self)->tp_free(self);
}

PyObject *sock_fileno(struct sock *s, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(s->fd);
}

static PyObject *sock_repr(PyObject *self)
{
    struct sock *s = (struct sock *)self;
    return PyUnicode_FromFormat("<socket object, fd=%d, family=%d, type=%d, proto=%d>", s->fd,
        s->family, s->type, s->proto);
}

static PyObject *get_timeout(PyObject *self, void *unused)
{
    (void)unused;
    return sock_gettimeout((struct sock *)self, NULL);
}

#define METHOD(name, flags, doc)                                     \
    {                                                                \
#        name, _PyCFunction_CAST(sock_##name), flags, PyDoc_STR(doc) \
    }

static PyMethodDef methods[] = {
    {"_accept", _PyCFunction_CAST(sock_accept), METH_NOARGS,
        PyDoc_STR("_accept() -> (descriptor, address)\n\nWait for a connection and take it.")},
    METHOD(bind, METH_O, "bind(address)\n\nGive the socket a local address."),
    METHOD(close, METH_NOARGS, "close()\n\nClose the socket."),
    METHOD(connect, METH_O, "connect(address)\n\nConnect to a remote address."),
    METHOD(connect_ex, METH_O,
        "connect_ex(address) -> errno\n\nLike connect(), but returns the error's number, or 0."),
    METHOD(detach, METH_NOARGS,
        "detach() -> descriptor\n\nGive the descriptor away; the object is closed then."),
    METHOD(fileno, METH_NOARGS, "fileno() -> descriptor\n\n-1 if closed."),
    METHOD(getpeername, METH_NOARGS, "getpeername() -> address\n\nThe other end's address."),
    METHOD(getsockname, METH_NOARGS, "getsockname() -> address\n\nThe socket's own address."),
    METHOD(getsockopt, METH_VARARGS,
        "getsockopt(level, option[, buffersize]) -> value\n\n"
        "A number, or bytes if a buffer size is given."),
    METHOD(listen, METH_VARARGS, "listen([backlog])\n\nAccept connections from now on."),
    METHOD(setblocking, METH_O, "setblocking(flag)\n\nsettimeout(None if flag else 0)."),
    METHOD(getblocking, METH_NOARGS, "getblocking() -> bool\n\nFalse if the time-out is 0."),
    METHOD(settimeout, METH_O,
        "settimeout(timeout)\n\nSeconds that an operation may wait; None: for ever, 0: not at all."),
    METHOD(gettimeout, METH_NOARGS, "gettimeout() -> timeout\n\nSeconds, or None."),
    METHOD(setsockopt, METH_VARARGS,
        "setsockopt(level, option, value: int)\n"
        "setsockopt(level, option, value: buffer)\n"
        "setsockopt(level, option, None, optlen: int)\n\nSet an option."),
    METHOD(shutdown, METH_O,
        "shutdown(how)\n\nEnd one direction or both: SHUT_RD, SHUT_WR, SHUT_RDWR."),
    METHOD(recv, METH_VARARGS,
        "recv(buffersize[, flags]) -> data\n\nUp to so many bytes; b\"\" at the end of the stream."),
    METHOD(recv_into, METH_VARARGS | METH_KEYWORDS,
        "recv_into(buffer, [nbytes[, flags]]) -> nbytes_read\n\nrecv() into a buffer."),
    METHOD(recvfrom, METH_VARARGS,
        "recvfrom(buffersize[, flags]) -> (data, address)\n\nrecv() that tells from whom."),
    METHOD(recvfrom_into, METH_VARARGS | METH_KEYWORDS,
        "recvfrom_into(buffer[, nbytes[, flags]]) -> (nbytes, address)\n\nrecvfrom() into a buffer."),
    METHOD(send, METH_VARARGS,
        "send(data[, flags]) -> count\n\nSend what can go; tells how many bytes went."),
    METHOD(sendall, METH_VARARGS,
        "sendall(data[, flags])\n\nSend all, under one time-out. After an error nobody knows how "
        "much went."),
    METHOD(sendto, METH_VARARGS, "sendto(data[, flags], address) -> count\n\nSend to an address."),
    METHOD(recvmsg, METH_VARARGS,
        "recvmsg(bufsize[, ancbufsize[, flags]]) -> (data, ancdata, msg_flags, address)\n\n"
        "Receive with control data: a list of (level, type, bytes)."),
    METHOD(recvmsg_into, METH_VARARGS,
        "recvmsg_into(buffers[, ancbufsize[, flags]]) -> (nbytes, ancdata, msg_flags, address)\n\n"
        "recvmsg() into several buffers."),
    METHOD(sendmsg, METH_VARARGS,
        "sendmsg(buffers[, ancdata[, flags[, address]]]) -> count\n\n"
        "Send from several buffers, with control data: (level, type, bytes)."),
    METHOD(sendmsg_afalg, METH_VARARGS | METH_KEYWORDS,
        "sendmsg_afalg([msg], *, op[, iv[, assoclen[, flags=MSG_MORE]]])\n\n"
        "Tell an AF_ALG socket what to do, and with which vector."),
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"family", T_INT, offsetof(struct sock, family), READONLY, "the socket family"},
    {"type", T_INT, offsetof(struct sock, type), READONLY, "the socket type"},
    {"proto", T_INT, offsetof(struct sock, proto), READONLY, "the socket protocol"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"timeout", get_timeout, NULL, PyDoc_STR("the socket timeout"), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(doc, "socket(family=AF_INET, type=SOCK_STREAM, proto=0) -> socket object\n"
                  "socket(family=-1, type=-1, proto=-1, fileno=None) -> socket object\n\n"
                  "A socket, on pier.");

PyTypeObject socket_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_socket.socket",
    .tp_basicsize = sizeof(struct sock),
    .tp_dealloc = sock_dealloc,
    .tp_repr = sock_repr,
    .tp_getattro = PyObject_GenericGetAttr,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_doc = doc,
    .tp_methods = methods,
    .tp_members = members,
    .tp_getset = properties,
    .tp_init = sock_init,
    .tp_alloc = PyType_GenericAlloc,
    .tp_new = sock_new,
    .tp_free = PyObject_Del,
    .tp_finalize = sock_finalize,
};
