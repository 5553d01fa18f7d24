/* SPDX-License-Identifier: MIT */
/* Receiving and sending bytes. */
#include "module.h"

#include <errno.h>

/* The result's length, in a bytes object that was made longer. NULL: an exception is set. */
static PyObject *cut_to(PyObject *bytes, Py_ssize_t length)
{
    if (length != PyBytes_GET_SIZE(bytes)) _PyBytes_Resize(&bytes, length);
    return bytes;
}

PyObject *sock_recv(struct sock *s, PyObject *args)
{
    Py_ssize_t room;
    int flags = 0;
    if (!PyArg_ParseTuple(args, "n|i:recv", &room, &flags)) return NULL;
    if (room < 0) return raise_text(PyExc_ValueError, "negative buffersize in recv");
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, room);
    if (!bytes || room == 0) return bytes;
    ssize_t n = -EBADF;
    if (s->fd >= 0) AWAY(n = pier_recv(s->fd, PyBytes_AS_STRING(bytes), (size_t)room, flags));
    if (n >= 0) return cut_to(bytes, n);
    Py_DECREF(bytes);
    return raise_code(n);
}

/*
 * The arguments of recv_into() and recvfrom_into(): 0 bytes, or none given, means as many as the buffer has.
 */
static bool parse_into(PyObject *args, PyObject *kwargs, const char *format, Py_buffer *buffer,
    Py_ssize_t *count, int *flags)
{
    static char *names[] = {"buffer", "nbytes", "flags", NULL};
    *count = 0;
    *flags = 0;
    return PyArg_ParseTupleAndKeywords(args, kwargs, format, names, buffer, count, flags);
}

static PyObject *refuse(Py_buffer *buffer, const char *text)
{
    PyBuffer_Release(buffer);
    return raise_text(PyExc_ValueError, text);
}

PyObject *sock_recv_into(struct sock *s, PyObject *args, PyObject *kwargs)
{
    Py_buffer buffer;
    Py_ssize_t count;
    int flags;
    if (!parse_into(args, kwargs, "w*|ni:recv_into", &buffer, &count, &flags)) return NULL;
    if (count < 0) return refuse(&buffer, "negative buffersize in recv_into");
    if (count == 0) count = buffer.len;
    if (count > buffer.len) return refuse(&buffer, "buffer too small for requested bytes");
    ssize_t n = count > 0 ? -EBADF : 0;
    if (s->fd >= 0 && count > 0) AWAY(n = pier_recv(s->fd, buffer.buf, (size_t)count, flags));
    PyBuffer_Release(&buffer);
    return n < 0 ? raise_code(n) : PyLong_FromSsize_t(n);
}

/* How many bytes came, and in *out_address from whom; -1: an exception is set. */
static ssize_t recv_from(
    struct sock *s, void *buf, Py_ssize_t count, int flags, PyObject **out_address)
{
    pier_addr from;
    ssize_t n = -EBADF;
    if (!knows_addresses_of(s)) return -1;
    if (s->fd >= 0) AWAY(n = pier_recvfrom(s->fd, buf, (size_t)count, flags, &from));
    if (n < 0) {
        raise_code(n);
        return -1;
    }
    *out_address = show_address(&from, s->proto);
    return *out_address ? n : -1;
}

PyObject *sock_recvfrom(struct sock *s, PyObject *args)
{
    Py_ssize_t room;
    int flags = 0;
    PyObject *address;
    if (!PyArg_ParseTuple(args, "n|i:recvfrom", &room, &flags)) return NULL;
    if (room < 0) return raise_text(PyExc_ValueError, "negative buffersize in recvfrom");
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, room);
    if (!bytes) return NULL;
    ssize_t n = recv_from(s, PyBytes_AS_STRING(bytes), room, flags, &address);
    if (n < 0) {
        Py_DECREF(bytes);
        return NULL;
    }
    return Py_BuildValue("NN", cut_to(bytes, n), address);
}

PyObject *sock_recvfrom_into(struct sock *s, PyObject *args, PyObject *kwargs)
{
    Py_buffer buffer;
    Py_ssize_t count;
    int flags;
    PyObject *address;
    if (!parse_into(args, kwargs, "w*|ni:recvfrom_into", &buffer, &count, &flags)) return NULL;
    if (count < 0) return refuse(&buffer, "negative buffersize in recvfrom_into");
    if (count > buffer.len)
        return refuse(&buffer, "nbytes is greater than the length of the buffer");
    if (count == 0) count = buffer.len;
    ssize_t n = recv_from(s, buffer.buf, count, flags, &address);
    PyBuffer_Release(&buffer);
    return n < 0 ? NULL : Py_BuildValue("nN", n, address);
}

PyObject *sock_send(struct sock *s, PyObject *args)
{
    Py_buffer data;
    int flags = 0;
    if (!PyArg_ParseTuple(args, "y*|i:send", &data, &flags)) return NULL;
    ssize_t n = -EBADF;
    if (s->fd >= 0) AWAY(n = pier_send(s->fd, data.buf, (size_t)data.len, flags));
    PyBuffer_Release(&data);
    return n < 0 ? raise_code(n) : PyLong_FromSsize_t(n);
}

PyObject *sock_sendall(struct sock *s, PyObject *args)
{
    Py_buffer data;
    int flags = 0;
    if (!PyArg_ParseTuple(args, "y*|i:sendall", &data, &flags)) return NULL;
    ssize_t n = -EBADF;
    if (s->fd >= 0) AWAY(n = pier_sendall(s->fd, data.buf, (size_t)data.len, flags));
    PyBuffer_Release(&data);
    if (n < 0) return raise_code(n);
    if (PyErr_CheckSignals()) return NULL; /* the last part may have been cut short by a signal */
    Py_RETURN_NONE;
}

static PyObject *send_to(struct sock *s, const Py_buffer *data, int flags, PyObject *address)
{
    pier_addr to;
    if (!read_address(s, address, "sendto", &to)) return NULL;
    if (PySys_Audit("socket.sendto", "OO", s, address) < 0) return NULL;
    ssize_t n = -EBADF;
    if (s->fd >= 0) AWAY(n = pier_sendto(s->fd, data->buf, (size_t)data->len, flags, to));
    return n < 0 ? raise_code(n) : PyLong_FromSsize_t(n);
}

PyObject *sock_sendto(struct sock *s, PyObject *args)
{
    Py_buffer data;
    PyObject *address;
    int flags = 0;
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    if (count != 2 && count != 3)
        return PyErr_Format(PyExc_TypeError, "sendto() takes 2 or 3 arguments (%zd given)", count);
    if (count == 2 ? !PyArg_ParseTuple(args, "y*O:sendto", &data, &address)
                   : !PyArg_ParseTuple(args, "y*iO:sendto", &data, &flags, &address))
        return NULL;
    PyObject *result = send_to(s, &data, flags, address);
    PyBuffer_Release(&data);
    return result;
}
