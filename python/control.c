/* SPDX-License-Identifier: MIT */
/* A socket's ends, time-outs and options. */
#include "module.h"

#include <errno.h>
#include <math.h>

_PyTime_t default_timeout = -1;

/* Time-outs. */

double seconds_of(_PyTime_t timeout) { return timeout < 0 ? INFINITY : (double)timeout / 1e9; }

bool parse_timeout(PyObject *seconds, _PyTime_t *out)
{
    *out = -1;
    if (seconds == Py_None) return true;
    if (_PyTime_FromSecondsObject(out, seconds, _PyTime_ROUND_TIMEOUT) < 0) return false;
    if (*out >= 0) return true;
    PyErr_SetString(PyExc_ValueError, "Timeout value out of range");
    return false;
}

static PyObject *set_timeout(struct sock *s, _PyTime_t timeout)
{
    s->timeout = timeout;
    if (s->fd < 0) return raise_code(-EBADF);
    int err;
    AWAY(err = pier_settimeout(s->fd, seconds_of(timeout)));
    if (err < 0) return raise_code(err);
    Py_RETURN_NONE;
}

PyObject *sock_settimeout(struct sock *s, PyObject *seconds)
{
    _PyTime_t timeout;
    return parse_timeout(seconds, &timeout) ? set_timeout(s, timeout) : NULL;
}

PyObject *sock_gettimeout(struct sock *s, PyObject *unused)
{
    (void)unused;
    if (s->timeout < 0) Py_RETURN_NONE;
    return PyFloat_FromDouble(seconds_of(s->timeout));
}

PyObject *sock_setblocking(struct sock *s, PyObject *flag)
{
    long blocking = PyLong_AsLong(flag);
    if (blocking == -1 && PyErr_Occurred()) return NULL;
    return set_timeout(s, blocking ? -1 : 0);
}

PyObject *sock_getblocking(struct sock *s, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(s->timeout != 0);
}

/* Connecting. */

/*
 * pier lets a failed bind or connect stand for its consequences, so that programs may check late. Python's
 * check at once, and ask a socket afterwards for ENOTCONN.
 */
static PyObject *raise_and_forget(const struct sock *s, int err)
{
    pier_forget_failure(s->fd);
    return raise_code(err);
}

PyObject *sock_bind(struct sock *s, PyObject *address)
{
    pier_addr addr;
    if (!read_address(s, address, "bind", &addr)) return NULL;
    if (PySys_Audit("socket.bind", "OO", s, address) < 0) return NULL;
    if (s->fd < 0) return raise_code(-EBADF);
    int err;
    AWAY(err = pier_bind(s->fd, addr));
    if (err < 0) return raise_and_forget(s, err);
    Py_RETURN_NONE;
}

PyObject *sock_connect(struct sock *s, PyObject *address)
{
    pier_addr addr;
    if (!read_address(s, address, "connect", &addr)) return NULL;
    if (PySys_Audit("socket.connect", "OO", s, address) < 0) return NULL;
    if (s->fd < 0) return raise_code(-EBADF);
    int err;
    AWAY(err = pier_connect(s->fd, addr));
    if (err < 0) return raise_and_forget(s, err);
    Py_RETURN_NONE;
}

PyObject *sock_connect_ex(struct sock *s, PyObject *address)
{
    pier_addr addr;
    if (!read_address(s, address, "connect_ex", &addr)) return NULL;
    if (PySys_Audit("socket.connect", "OO", s, address) < 0) return NULL;
    if (s->fd < 0) return PyLong_FromLong(EBADF);
    int err;
    AWAY(err = pier_connect_ex(s->fd, addr));
    if (err != 0) pier_forget_failure(s->fd);
    if (err < 0 || PyErr_Occurred()) return raise_code(err);
    return PyLong_FromLong(err == ECANCELED ? EBADF : err);
}

PyObject *sock_listen(struct sock *s, PyObject *args)
{
    int backlog = PIER_BACKLOG, err;
    if (!PyArg_ParseTuple(args, "|i:listen", &backlog)) return NULL;
    if (s->fd < 0) return raise_code(-EBADF);
    AWAY(err = pier_listen(s->fd, backlog));
    if (err < 0) return raise_code(err);
    Py_RETURN_NONE;
}

PyObject *sock_accept(struct sock *s, PyObject *unused)
{
    (void)unused;
    if (!knows_addresses_of(s)) return NULL;
    if (s->fd < 0) return raise_code(-EBADF);
    pier_addr peer;
    int fd;
    AWAY(fd = pier_accept(s->fd, &peer));
    if (fd < 0) return raise_code(fd);
    PyObject *address = show_address(&peer, s->proto);
    if (!address) {
        close_number(fd);
        return NULL;
    }
    note_accepted(fd);
    return Py_BuildValue("iN", fd, address);
}

PyObject *sock_shutdown(struct sock *s, PyObject *arg)
{
    int how = _PyLong_AsInt(arg), err;
    if (how == -1 && PyErr_Occurred()) return NULL;
    if (s->fd < 0) return raise_code(-EBADF);
    AWAY(err = pier_shutdown(s->fd, how));
    if (err < 0) return raise_code(err);
    Py_RETURN_NONE;
}

static PyObject *get_name(struct sock *s, int (*which)(int, pier_addr *))
{
    pier_addr addr;
    int err;
    if (!knows_addresses_of(s)) return NULL;
    if (s->fd < 0) return raise_code(-EBADF);
    AWAY(err = which(s->fd, &addr));
    return err < 0 ? raise_code(err) : show_address(&addr, s->proto);
}

PyObject *sock_getsockname(struct sock *s, PyObject *unused)
{
    (void)unused;
    return get_name(s, pier_getsockname);
}

PyObject *sock_getpeername(struct sock *s, PyObject *unused)
{
    (void)unused;
    return get_name(s, pier_getpeername);
}

/* Options. */

static PyObject *set_option(
    struct sock *s, int level, int name, const void *value, Py_ssize_t length)
{
    int err = s->fd < 0 ? -EBADF : pier_setsockopt(s->fd, level, name, value, (socklen_t)length);
    if (err < 0) return raise_code(err);
    Py_RETURN_NONE;
}

PyObject *sock_setsockopt(struct sock *s, PyObject *args)
{
    int level, name, number;
    unsigned length;
    unsigned long long wide;
    PyObject *none;
    Py_buffer bytes;
    if (s->family == AF_VSOCK) { /* whose options are all of 64 bits */
        if (!PyArg_ParseTuple(args, "iiK:setsockopt", &level, &name, &wide)) return NULL;
        return set_option(s, level, name, &wide, sizeof wide);
    }
    if (PyArg_ParseTuple(args, "iii:setsockopt", &level, &name, &number))
        return set_option(s, level, name, &number, sizeof number);
    PyErr_Clear();
    if (PyArg_ParseTuple(args, "iiO!I:setsockopt", &level, &name, Py_TYPE(Py_None), &none, &length))
        return set_option(s, level, name, NULL, length);
    PyErr_Clear();
    if (!PyArg_ParseTuple(args, "iiy*:setsockopt", &level, &name, &bytes)) return NULL;
    PyObject *result = set_option(s, level, name, bytes.buf, bytes.len);
    PyBuffer_Release(&bytes);
    return result;
}

static int get_option(const struct sock *s, int level, int name, void *value, socklen_t *length)
{
    return s->fd < 0 ? -EBADF : pier_getsockopt(s->fd, level, name, value, length);
}

static PyObject *get_number(const struct sock *s, int level, int name)
{
    uint64_t wide = 0;
    int number = 0;
    socklen_t length = s->family == AF_VSOCK ? sizeof wide : sizeof number;
    void *value = s->family == AF_VSOCK ? (void *)&wide : &number;
    int err = get_option(s, level, name, value, &length);
    if (err < 0) return raise_code(err);
    return s->family == AF_VSOCK ? PyLong_FromUnsignedLongLong(wide) : PyLong_FromLong(number);
}

PyObject *sock_getsockopt(struct sock *s, PyObject *args)
{
    int level, name, room = 0;
    if (!PyArg_ParseTuple(args, "ii|i:getsockopt", &level, &name, &room)) return NULL;
    if (room == 0) return get_number(s, level, name);
    if (s->family == AF_VSOCK)
        return raise_text(PyExc_OSError, "getsockopt string buffer not allowed");
    if (room < 0 || room > 1024) return raise_code(PIER_EOPTLEN);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, room);
    if (!bytes) return NULL;
    socklen_t length = (socklen_t)room;
    int err = get_option(s, level, name, PyBytes_AS_STRING(bytes), &length);
    if (err < 0) {
        Py_DECREF(bytes);
        return raise_code(err);
    }
    _PyBytes_Resize(&bytes, (Py_ssize_t)length);
    return bytes;
}
