/* SPDX-License-Identifier: MIT */
/*
 * The module _pier, in the same file as _socket: what pier has in C of the things that socket.py adds in
 * Python. tests/conformance/shim.py puts it in their place. Sockets are descriptors here, which
 * socket.socket(fileno=...) takes over.
 */
#include "module.h"

#include <errno.h>

static PyObject *give_away(int fd)
{
    return fd < 0 ? raise_code(fd) : PyLong_FromLong(pier_detach(fd));
}

static PyObject *net_create_connection(PyObject *self, PyObject *args)
{
    (void)self;
    const char *address, *source = NULL;
    PyObject *seconds = Py_None;
    _PyTime_t timeout;
    int fd;
    if (!PyArg_ParseTuple(args, "s|Oz:create_connection", &address, &seconds, &source)) return NULL;
    if (!parse_timeout(seconds, &timeout)) return NULL;
    pier_connection_opts opts = {.timeout = seconds_of(timeout)};
    if (source) opts.source = pier_addr_parse(source, NULL);
    AWAY(fd = pier_create_connection(address, &opts));
    return give_away(fd);
}

static PyObject *net_create_server(PyObject *self, PyObject *args)
{
    (void)self;
    const char *address;
    int family, backlog, reuse_port, fd;
    if (!PyArg_ParseTuple(args, "siip:create_server", &address, &family, &backlog, &reuse_port))
        return NULL;
    pier_server_opts opts = {.family = family, .backlog = backlog, .reuse_port = reuse_port};
    AWAY(fd = pier_create_server(address, &opts));
    return give_away(fd);
}

/* (bytes sent, offset reached); offset None: the file's own position. */
static PyObject *net_sendfile(PyObject *self, PyObject *args)
{
    (void)self;
    int fd, file;
    long long offset;
    unsigned long long count;
    ssize_t n;
    if (!PyArg_ParseTuple(args, "iiLK:sendfile", &fd, &file, &offset, &count)) return NULL;
    off_t at = (off_t)offset;
    AWAY(n = pier_sendfile(fd, file, &at, (size_t)count));
    PyObject *reached = PyLong_FromLongLong(at);
    if (n >= 0) return Py_BuildValue("nN", n, reached);
    raise_code(n);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback); /* the caller moves its file on all the same */
    PyErr_NormalizeException(&type, &value, &traceback);
    if (reached) PyObject_SetAttrString(value, "reached", reached);
    Py_XDECREF(reached);
    PyErr_Restore(type, value, traceback);
    return NULL;
}

static PyObject *net_send_fds(PyObject *self, PyObject *args)
{
    (void)self;
    int fd, flags;
    Py_buffer data, fds;
    ssize_t n;
    if (!PyArg_ParseTuple(args, "iy*iy*:send_fds", &fd, &data, &flags, &fds)) return NULL;
    AWAY(n = pier_send_fds(
             fd, data.buf, (size_t)data.len, flags, fds.buf, (size_t)fds.len / sizeof(int)));
    PyBuffer_Release(&data);
    PyBuffer_Release(&fds);
    return n < 0 ? raise_code(n) : PyLong_FromSsize_t(n);
}

static PyObject *net_recv_fds(PyObject *self, PyObject *args)
{
    (void)self;
    int fd, flags;
    Py_buffer data;
    unsigned most;
    int fds[PIER_FDS_MAX];
    if (!PyArg_ParseTuple(args, "iw*Ii:recv_fds", &fd, &data, &most, &flags)) return NULL;
    size_t count = Py_MIN(most, PIER_FDS_MAX);
    ssize_t n;
    AWAY(n = pier_recv_fds(fd, data.buf, (size_t)data.len, flags, fds, &count));
    PyBuffer_Release(&data);
    if (n < 0) return raise_code(n);
    return Py_BuildValue("ny#", n, (const char *)fds, (Py_ssize_t)(count * sizeof *fds));
}

static PyObject *net_getfqdn(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name = "";
    char full[1025];
    ssize_t n;
    if (!PyArg_ParseTuple(args, "|s:getfqdn", &name)) return NULL;
    LOOK_UP(n = pier_getfqdn(name, PIER_NEVER, full, sizeof full));
    return n < 0 ? raise_host_code(n) : PyUnicode_FromString(full);
}

static PyObject *net_has_dualstack_ipv6(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return PyBool_FromLong(pier_has_dualstack_ipv6());
}

static PyMethodDef functions[] = {
    {"create_connection", net_create_connection, METH_VARARGS,
        PyDoc_STR("create_connection(address[, timeout[, source]]) -> descriptor")},
    {"create_server", net_create_server, METH_VARARGS,
        PyDoc_STR("create_server(address, family, backlog, reuse_port) -> descriptor")},
    {"sendfile", net_sendfile, METH_VARARGS,
        PyDoc_STR("sendfile(descriptor, file, offset, count) -> (sent, offset)")},
    {"send_fds", net_send_fds, METH_VARARGS,
        PyDoc_STR("send_fds(descriptor, data, flags, array of descriptors) -> count")},
    {"recv_fds", net_recv_fds, METH_VARARGS,
        PyDoc_STR("recv_fds(descriptor, buffer, most, flags) -> (count, array of descriptors)")},
    {"getfqdn", net_getfqdn, METH_VARARGS, PyDoc_STR("getfqdn([name]) -> name")},
    {"has_dualstack_ipv6", net_has_dualstack_ipv6, METH_NOARGS,
        PyDoc_STR("has_dualstack_ipv6() -> bool")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_pier",
    .m_doc = PyDoc_STR("pier's own calls, beyond those of _socket."),
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__pier(void);

PyMODINIT_FUNC PyInit__pier(void) { return PyModule_Create(&definition); }
