/* SPDX-License-Identifier: MIT */
/* The module itself, and its functions about numbers, descriptors and time-outs. */
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Numbers between host and network order. */

static PyObject *refuse_number(const char *name, const char *text)
{
    PyErr_Format(PyExc_OverflowError, text, name);
    return NULL;
}

static PyObject *turn_16(PyObject *args, const char *format, const char *name, int (*turn)(int64_t))
{
    int number;
    if (!PyArg_ParseTuple(args, format, &number)) return NULL;
    int turned = turn(number);
    if (turned >= 0) return PyLong_FromLong(turned);
    if (number < 0)
        return refuse_number(
            name, "%s: can't convert negative Python int to C 16-bit unsigned integer");
    return refuse_number(name, "%s: Python int too large to convert to C 16-bit unsigned integer");
}

static PyObject *turn_32(PyObject *arg, int64_t (*turn)(int64_t))
{
    if (!PyLong_Check(arg))
        return PyErr_Format(PyExc_TypeError, "expected int, %s found", Py_TYPE(arg)->tp_name);
    unsigned long number = PyLong_AsUnsignedLong(arg);
    if (number == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    int64_t turned = number > UINT32_MAX ? PIER_ERANGE : turn((int64_t)number);
    if (turned < 0) return raise_text(PyExc_OverflowError, "int larger than 32 bits");
    return PyLong_FromLongLong(turned);
}

static PyObject *mod_htons(PyObject *self, PyObject *args)
{
    (void)self;
    return turn_16(args, "i:htons", "htons", pier_htons);
}

static PyObject *mod_ntohs(PyObject *self, PyObject *args)
{
    (void)self;
    return turn_16(args, "i:ntohs", "ntohs", pier_ntohs);
}

static PyObject *mod_htonl(PyObject *self, PyObject *arg)
{
    (void)self;
    return turn_32(arg, pier_htonl);
}

static PyObject *mod_ntohl(PyObject *self, PyObject *arg)
{
    (void)self;
    return turn_32(arg, pier_ntohl);
}

/* IP addresses as text and as bytes. */

static PyObject *mod_inet_aton(PyObject *self, PyObject *args)
{
    (void)self;
    const char *text;
    char word[64];
    struct in_addr address;
    if (!PyArg_ParseTuple(args, "s:inet_aton", &text)) return NULL;
    /* glibc does not look at what follows white space. */
    size_t length = strcspn(text, " \t\n\v\f\r");
    if (length < sizeof word && text[length]) {
        memcpy(word, text, length);
        word[length] = '\0';
        text = word;
    }
    if (pier_inet_aton(text, &address) < 0)
        return raise_text(PyExc_OSError, "illegal IP address string passed to inet_aton");
    return PyBytes_FromStringAndSize((char *)&address, sizeof address);
}

static PyObject *mod_inet_ntoa(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer packed;
    struct in_addr address = {0};
    if (!PyArg_ParseTuple(args, "y*:inet_ntoa", &packed)) return NULL;
    bool right = packed.len == sizeof address;
    if (right) memcpy(&address, packed.buf, sizeof address);
    PyBuffer_Release(&packed);
    if (!right) return raise_text(PyExc_OSError, "packed IP wrong length for inet_ntoa");
    return PyUnicode_FromString(pier_inet_ntoa(address).text);
}

static PyObject *mod_inet_pton(PyObject *self, PyObject *args)
{
    (void)self;
    int family;
    const char *text;
    char packed[sizeof(struct in6_addr)];
    if (!PyArg_ParseTuple(args, "is:inet_pton", &family, &text)) return NULL;
    int err = pier_inet_pton(family, text, packed);
    if (err == PIER_EIPTEXT)
        return raise_text(PyExc_OSError, "illegal IP address string passed to inet_pton");
    if (err < 0) return raise_code(err);
    return PyBytes_FromStringAndSize(
        packed, family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr));
}

static PyObject *mod_inet_ntop(PyObject *self, PyObject *args)
{
    (void)self;
    int family;
    Py_buffer packed;
    char text[64];
    if (!PyArg_ParseTuple(args, "iy*:inet_ntop", &family, &packed)) return NULL;
    ssize_t n = pier_inet_ntop(family, packed.buf, (size_t)packed.len, text, sizeof text);
    PyBuffer_Release(&packed);
    if (n == PIER_EPACKED)
        return raise_text(PyExc_ValueError, "invalid length of packed IP address string");
    if (n == -EAFNOSUPPORT)
        return PyErr_Format(PyExc_ValueError, "unknown address family %d", family);
    return n < 0 ? raise_code(n) : PyUnicode_FromString(text);
}

/* Lengths of control messages. */

static PyObject *mod_cmsg_len(PyObject *self, PyObject *args)
{
    (void)self;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "n:CMSG_LEN", &length)) return NULL;
    ssize_t n = length < 0 ? PIER_ERANGE : pier_cmsg_len((size_t)length);
    if (n < 0) return raise_text(PyExc_OverflowError, "CMSG_LEN() argument out of range");
    return PyLong_FromSsize_t(n);
}

static PyObject *mod_cmsg_space(PyObject *self, PyObject *args)
{
    (void)self;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "n:CMSG_SPACE", &length)) return NULL;
    ssize_t n = length < 0 ? PIER_ERANGE : pier_cmsg_space((size_t)length);
    if (n < 0) return raise_text(PyExc_OverflowError, "CMSG_SPACE() argument out of range");
    return PyLong_FromSsize_t(n);
}

/* Descriptors. These take any, not only sockets; for what is none the system is asked. */

static PyObject *mod_close(PyObject *self, PyObject *arg)
{
    (void)self;
    int fd = _PyLong_AsInt(arg), err = 0;
    if (fd == -1 && PyErr_Occurred()) return NULL;
    if (fd < 0) return raise_code(-EBADF);
    if (pier_birth(fd) == 0) err = pier_adopt(fd);
    if (err >= 0)
        err = close_number(fd);
    else if (err == -ENOTSOCK)
        err = close(fd) < 0 ? -errno : 0;
    if (err < 0) return raise_code(err);
    Py_RETURN_NONE;
}

static PyObject *mod_dup(PyObject *self, PyObject *arg)
{
    (void)self;
    int fd = _PyLong_AsInt(arg);
    if (fd == -1 && PyErr_Occurred()) return NULL;
    if (fd < 0) return raise_code(-EBADF);
    int copy = pier_dup(fd);
    if (copy == -ENOTSOCK) {
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        return copy < 0 ? raise_code(-errno) : PyLong_FromLong(copy);
    }
    if (copy < 0) return raise_code(copy);
    return PyLong_FromLong(pier_detach(copy)); /* whoever gets it will say what it is to be */
}

static PyObject *mod_socketpair(PyObject *self, PyObject *args)
{
    (void)self;
    int family = AF_UNIX, type = SOCK_STREAM, proto = 0, pair[2], err;
    if (!PyArg_ParseTuple(args, "|iii:socketpair", &family, &type, &proto)) return NULL;
    AWAY(err = pier_socketpair(family, type, proto, pair));
    if (err < 0) return raise_code(err);
    struct sock *a = make_socket(pair[0], family, type, proto);
    if (!a) close_number(pair[0]);
    struct sock *b = make_socket(pair[1], family, type, proto);
    if (!b) close_number(pair[1]);
    PyObject *result = a && b ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static PyObject *mod_getdefaulttimeout(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    if (default_timeout < 0) Py_RETURN_NONE;
    return PyFloat_FromDouble(seconds_of(default_timeout));
}

static PyObject *mod_setdefaulttimeout(PyObject *self, PyObject *seconds)
{
    (void)self;
    _PyTime_t timeout;
    if (!parse_timeout(seconds, &timeout)) return NULL;
    default_timeout = timeout;
    pier_setdefaulttimeout(seconds_of(timeout));
    Py_RETURN_NONE;
}

#define FUNCTION(name, flags, doc)                                  \
    {                                                               \
#        name, _PyCFunction_CAST(mod_##name), flags, PyDoc_STR(doc) \
    }

static PyMethodDef functions[] = {
    FUNCTION(htons, METH_VARARGS, "htons(integer) -> integer\n\n16 bits, host to network order."),
    FUNCTION(ntohs, METH_VARARGS, "ntohs(integer) -> integer\n\n16 bits, network to host order."),
    FUNCTION(htonl, METH_O, "htonl(integer) -> integer\n\n32 bits, host to network order."),
    FUNCTION(ntohl, METH_O, "ntohl(integer) -> integer\n\n32 bits, network to host order."),
    FUNCTION(inet_aton, METH_VARARGS, "inet_aton(string) -> bytes\n\nIPv4 text to 4 bytes."),
    FUNCTION(inet_ntoa, METH_VARARGS, "inet_ntoa(packed) -> string\n\n4 bytes to IPv4 text."),
    FUNCTION(inet_pton, METH_VARARGS, "inet_pton(family, text) -> bytes\n\nIP text to bytes."),
    FUNCTION(inet_ntop, METH_VARARGS, "inet_ntop(family, packed) -> string\n\nBytes to IP text."),
    {"CMSG_LEN", mod_cmsg_len, METH_VARARGS,
        PyDoc_STR("CMSG_LEN(length) -> length\n\nOf a control message, without padding.")},
    {"CMSG_SPACE", mod_cmsg_space, METH_VARARGS,
        PyDoc_STR("CMSG_SPACE(length) -> size\n\nThe room that a control message takes.")},
    FUNCTION(close, METH_O, "close(descriptor)\n\nClose it."),
    FUNCTION(dup, METH_O, "dup(descriptor) -> descriptor\n\nA copy, close-on-exec."),
    FUNCTION(socketpair, METH_VARARGS,
        "socketpair([family[, type [, proto]]]) -> (socket object, socket object)\n\n"
        "Two sockets that are connected to each other."),
    FUNCTION(getdefaulttimeout, METH_NOARGS,
        "getdefaulttimeout() -> timeout\n\nThe time-out of new sockets, or None."),
    FUNCTION(setdefaulttimeout, METH_O,
        "setdefaulttimeout(timeout)\n\nThe time-out of new sockets, or None."),
    {NULL, NULL, 0, NULL},
};

/* What _ssl asks for. */
static struct {
    PyTypeObject *type;
    PyObject *error, *timeout_error;
} api = {.type = &socket_type};

static int add_exception(PyObject *module, const char *name, const char *full, PyObject **out)
{
    *out = PyErr_NewException(full, PyExc_OSError, NULL);
    return *out ? PyModule_AddObjectRef(module, name, *out) : -1;
}

static int add_capsule(PyObject *module)
{
    api.error = PyExc_OSError;
    api.timeout_error = PyExc_TimeoutError;
    PyObject *capsule = PyCapsule_New(&api, "_socket.CAPI", NULL);
    int err = capsule ? PyModule_AddObjectRef(module, "CAPI", capsule) : -1;
    Py_XDECREF(capsule);
    return err;
}

/* What the stock module does not have, and only the judges see. */
static PyMethodDef judges_functions[] = {
    {"_run_in_task", mod_run_in_task, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module)
{
    PyObject *type = (PyObject *)&socket_type;
    if (getenv("PIER_TASKS") && PyModule_AddFunctions(module, judges_functions) < 0) return -1;
    if (PyModule_AddFunctions(module, name_functions) < 0 ||
        PyModule_AddObjectRef(module, "error", PyExc_OSError) < 0 ||
        PyModule_AddObjectRef(module, "timeout", PyExc_TimeoutError) < 0 ||
        add_exception(module, "herror", "socket.herror", &host_error) < 0 ||
        add_exception(module, "gaierror", "socket.gaierror", &resolver_error) < 0 ||
        PyModule_AddObjectRef(module, "SocketType", type) < 0 ||
        PyModule_AddObjectRef(module, "socket", type) < 0 ||
        PyModule_AddObjectRef(module, "has_ipv6", Py_True) < 0)
        return -1;
    return add_capsule(module) < 0 ? -1 : add_constants(module);
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_socket",
    .m_doc = PyDoc_STR("Implementation module for socket operations, on pier.\n\n"
                       "See the socket module for documentation."),
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__socket(void);

PyMODINIT_FUNC PyInit__socket(void)
{
    if (PyType_Ready(&socket_type) < 0) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module && fill(module) < 0) Py_CLEAR(module);
    return module;
}
