/* SPDX-License-Identifier: MIT */
/* The module's functions that look up names: hosts, services, interfaces. */
#include "module.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A port as glibc reads it, which takes a number of any size and keeps 16 bits; pier is
 * strict. Returns the text to look up, in room if it is a number.
 */
static const char *port_text(const char *service, char *room, size_t size)
{
    char *end;
    if (!service) return NULL;
    int number = (int)strtoul(service, &end, 10);
    if (*end || number < 0) return service;
    snprintf(room, size, "%d", number & 0xffff);
    return room;
}

/* All that getaddrinfo() is asked. */
struct question {
    PyObject *host, *encoded; /* the encoded one is ours */
    const char *host_text, *service;
    char number[24], room[24];
    pier_addrinfo_opts opts;
};

static bool read_host(struct question *q)
{
    if (q->host == Py_None) return true;
    if (PyUnicode_Check(q->host)) {
        q->encoded = PyUnicode_AsEncodedString(q->host, "idna", NULL);
        if (!q->encoded) return false;
    } else if (PyBytes_Check(q->host)) {
        q->encoded = Py_NewRef(q->host);
    } else {
        raise_text(PyExc_TypeError, "getaddrinfo() argument 1 must be string or None");
        return false;
    }
    q->host_text = PyBytes_AS_STRING(q->encoded);
    return true;
}

static bool read_port(struct question *q, PyObject *port)
{
    const char *text = NULL;
    if (PyLong_CheckExact(port)) {
        long value = PyLong_AsLong(port);
        if (value == -1 && PyErr_Occurred()) return false;
        snprintf(q->number, sizeof q->number, "%ld", value);
        text = q->number;
    } else if (PyUnicode_Check(port)) {
        text = PyUnicode_AsUTF8(port);
        if (!text) return false;
    } else if (PyBytes_Check(port)) {
        text = PyBytes_AS_STRING(port);
    } else if (port != Py_None) {
        raise_text(PyExc_OSError, "Int or String expected");
        return false;
    }
    q->service = port_text(text, q->room, sizeof q->room);
    return true;
}

static PyObject *show_answers(const pier_addrinfo *list, ssize_t count, int proto)
{
    PyObject *result = PyList_New(0);
    for (ssize_t i = 0; result && i < count; i++) {
        const pier_addrinfo *a = &list[i];
        PyObject *address = show_address(&a->addr, proto);
        PyObject *item =
            address ? Py_BuildValue("iiisN", a->family, a->type, a->protocol, a->canonname, address)
                    : NULL;
        if (!item || PyList_Append(result, item) < 0) Py_CLEAR(result);
        Py_XDECREF(item);
    }
    return result;
}

static PyObject *find_addresses(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"host", "port", "family", "type", "proto", "flags", NULL};
    struct question q = {0};
    PyObject *port, *result = NULL;
    pier_addrinfo_opts *o = &q.opts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|iiii:getaddrinfo", names, &q.host, &port,
            &o->family, &o->type, &o->protocol, &o->flags))
        return NULL;
    if (read_host(&q) && read_port(&q, port) &&
        PySys_Audit("socket.getaddrinfo", "OOiii", q.host, port, o->family, o->type, o->protocol) >=
            0) {
        pier_addrinfo *list;
        ssize_t count;
        LOOK_UP(count = pier_getaddrinfo(q.host_text, q.service, o, &list));
        result = count < 0 ? raise_host_code(count) : show_answers(list, count, o->protocol);
        pier_freeaddrinfo(list);
    }
    Py_XDECREF(q.encoded);
    return result;
}

/* The one address of a numeric host, or an error's. */
static pier_addr numeric_address(const char *host, int port, ssize_t *out_count)
{
    const pier_addrinfo_opts opts = {.type = SOCK_DGRAM, .flags = AI_NUMERICHOST};
    pier_addrinfo *list;
    char number[24], room[24];
    snprintf(number, sizeof number, "%d", port);
    *out_count = pier_getaddrinfo(host, port_text(number, room, sizeof room), &opts, &list);
    pier_addr addr = *out_count < 0 ? pier_addr_failed((int)*out_count) : list->addr;
    pier_freeaddrinfo(list);
    return addr;
}

static PyObject *name_address(PyObject *sockaddr, int flags)
{
    const char *host;
    int port, err;
    unsigned flowinfo = 0, scope = 0;
    ssize_t count;
    if (!PyArg_ParseTuple(sockaddr, "si|II;getnameinfo(): illegal sockaddr argument", &host, &port,
            &flowinfo, &scope))
        return NULL;
    if (flowinfo > 0xfffff)
        return raise_text(PyExc_OverflowError, "getnameinfo(): flowinfo must be 0-1048575.");
    if (PySys_Audit("socket.getnameinfo", "(O)", sockaddr) < 0) return NULL;
    pier_addr addr = numeric_address(host, port, &count);
    if (addr.error) return raise_host_code(addr.error);
    if (count > 1) return raise_code(PIER_EMULTIPLE);
    if (pier_addr_family(addr) == AF_INET6) {
        struct sockaddr_in6 inet6 = addr.sa.inet6;
        inet6.sin6_flowinfo = htonl(flowinfo);
        inet6.sin6_scope_id = scope;
        addr = pier_addr_raw(&inet6, sizeof inet6);
    } else if (PyTuple_GET_SIZE(sockaddr) != 2) {
        return raise_text(PyExc_OSError, "IPv4 sockaddr must be 2 tuple");
    }
    pier_nameinfo names;
    LOOK_UP(err = pier_getnameinfo(addr, flags, PIER_NEVER, &names));
    return err < 0 ? raise_code(err) : Py_BuildValue("ss", names.host, names.service);
}

static PyObject *find_names(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *sockaddr;
    int flags;
    if (!PyArg_ParseTuple(args, "Oi:getnameinfo", &sockaddr, &flags)) return NULL;
    if (!PyTuple_Check(sockaddr))
        return raise_text(PyExc_TypeError, "getnameinfo() argument 1 must be a tuple");
    return name_address(sockaddr, flags);
}

/* Python's codec "idna", and the audit event that the older calls share. NULL: an exception is set. */
static char *host_argument(PyObject *args, const char *format, const char *event)
{
    char *host = NULL;
    if (!PyArg_ParseTuple(args, format, "idna", &host)) return NULL;
    if (PySys_Audit(event, "O", args) >= 0) return host;
    PyMem_Free(host);
    return NULL;
}

static PyObject *find_host(PyObject *self, PyObject *args)
{
    (void)self;
    char *host = host_argument(args, "et:gethostbyname", "socket.gethostbyname");
    if (!host) return NULL;
    pier_addr addr;
    LOOK_UP(addr = pier_gethostbyname(host, PIER_NEVER));
    PyMem_Free(host);
    if (addr.error) return raise_host_code(addr.error);
    return PyUnicode_FromString(pier_addr_host(addr).text);
}

static PyObject *show_host(const pier_hostent *host)
{
    PyObject *aliases = PyList_New(0), *addrs = PyList_New(0), *result = NULL;
    bool good = aliases && addrs;
    for (const char *const *alias = host->aliases; good && *alias; alias++) {
        PyObject *text = PyUnicode_FromString(*alias);
        good = text && PyList_Append(aliases, text) == 0;
        Py_XDECREF(text);
    }
    for (size_t i = 0; good && i < host->addr_count; i++) {
        PyObject *text = PyUnicode_FromString(pier_addr_host(host->addrs[i]).text);
        good = text && PyList_Append(addrs, text) == 0;
        Py_XDECREF(text);
    }
    if (good) result = Py_BuildValue("sOO", host->name, aliases, addrs);
    Py_XDECREF(aliases);
    Py_XDECREF(addrs);
    return result;
}

static PyObject *find_all_of_host(char *host, int (*ask)(const char *, pier_time, pier_hostent **))
{
    pier_hostent *found;
    int err;
    if (!host) return NULL;
    LOOK_UP(err = ask(host, PIER_NEVER, &found));
    PyMem_Free(host);
    if (err == PIER_EMULTIPLE)
        return raise_text(PyExc_OSError, "wildcard resolved to multiple address");
    PyObject *result = err < 0 ? raise_host_code(err) : show_host(found);
    pier_freehostent(found);
    return result;
}

static PyObject *find_host_ex(PyObject *self, PyObject *args)
{
    (void)self;
    return find_all_of_host(
        host_argument(args, "et:gethostbyname_ex", "socket.gethostbyname"), pier_gethostbyname_ex);
}

static PyObject *find_by_address(PyObject *self, PyObject *args)
{
    (void)self;
    return find_all_of_host(
        host_argument(args, "et:gethostbyaddr", "socket.gethostbyaddr"), pier_gethostbyaddr);
}

static PyObject *own_name(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    char name[1024];
    if (PySys_Audit("socket.gethostname", NULL) < 0) return NULL;
    ssize_t n = pier_gethostname(name, sizeof name);
    return n < 0 ? raise_code(n) : PyUnicode_DecodeFSDefault(name);
}

static PyObject *set_own_name(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *name, *result = NULL;
    if (PyArg_ParseTuple(args, "S:sethostname", &name)) {
        Py_INCREF(name);
    } else {
        PyErr_Clear();
        if (!PyArg_ParseTuple(args, "O&:sethostname", PyUnicode_FSConverter, &name)) return NULL;
    }
    if (PySys_Audit("socket.sethostname", "(O)", name) >= 0) {
        int err = pier_sethostname(PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name));
        result = err < 0 ? raise_code(err) : Py_NewRef(Py_None);
    }
    Py_DECREF(name);
    return result;
}

static PyObject *find_service(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name, *protocol = NULL;
    int port;
    if (!PyArg_ParseTuple(args, "s|s:getservbyname", &name, &protocol)) return NULL;
    if (PySys_Audit("socket.getservbyname", "ss", name, protocol) < 0) return NULL;
    LOOK_UP(port = pier_getservbyname(name, protocol));
    return port < 0 ? raise_code(port) : PyLong_FromLong(port);
}

static PyObject *find_service_of_port(PyObject *self, PyObject *args)
{
    (void)self;
    const char *protocol = NULL;
    char name[256];
    int port;
    ssize_t n;
    if (!PyArg_ParseTuple(args, "i|s:getservbyport", &port, &protocol)) return NULL;
    if (port < 0 || port > 0xffff)
        return raise_text(PyExc_OverflowError, "getservbyport: port must be 0-65535.");
    if (PySys_Audit("socket.getservbyport", "is", port, protocol) < 0) return NULL;
    LOOK_UP(n = pier_getservbyport(port, protocol, name, sizeof name));
    if (n == PIER_ENOSERVICE) return raise_text(PyExc_OSError, "port/proto not found");
    return n < 0 ? raise_code(n) : PyUnicode_FromString(name);
}

static PyObject *find_protocol(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    int number;
    if (!PyArg_ParseTuple(args, "s:getprotobyname", &name)) return NULL;
    LOOK_UP(number = pier_getprotobyname(name));
    return number < 0 ? raise_code(number) : PyLong_FromLong(number);
}

static PyObject *list_interfaces(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    pier_interface *list;
    ssize_t count = pier_if_nameindex(&list);
    if (count < 0) return raise_code(count);
    PyObject *result = PyList_New(0);
    for (ssize_t i = 0; result && i < count; i++) {
        PyObject *item =
            Py_BuildValue("IO&", list[i].index, PyUnicode_DecodeFSDefault, list[i].name);
        if (!item || PyList_Append(result, item) < 0) Py_CLEAR(result);
        Py_XDECREF(item);
    }
    pier_freenameindex(list);
    return result;
}

static PyObject *find_interface(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *name;
    if (!PyArg_ParseTuple(args, "O&:if_nametoindex", PyUnicode_FSConverter, &name)) return NULL;
    int index = pier_if_nametoindex(PyBytes_AS_STRING(name));
    Py_DECREF(name);
    if (index == PIER_EIFNAMELEN) index = PIER_ENOINTERFACE;
    return index < 0 ? raise_code(index) : PyLong_FromLong(index);
}

static PyObject *name_interface(PyObject *self, PyObject *arg)
{
    (void)self;
    char name[64];
    unsigned long index = PyLong_AsUnsignedLong(arg);
    if (index == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    ssize_t n = pier_if_indextoname((unsigned)index, name, sizeof name);
    return n < 0 ? raise_code(n) : PyUnicode_DecodeFSDefault(name);
}

PyMethodDef name_functions[] = {
    {"getaddrinfo", _PyCFunction_CAST(find_addresses), METH_VARARGS | METH_KEYWORDS,
        PyDoc_STR("getaddrinfo(host, port [, family, type, proto, flags])\n"
                  "    -> list of (family, type, proto, canonname, address)\n\n"
                  "All addresses of a host and a service.")},
    {"getnameinfo", find_names, METH_VARARGS,
        PyDoc_STR("getnameinfo(address, flags) -> (host, service)\n\nThe names of an address.")},
    {"gethostbyname", find_host, METH_VARARGS,
        PyDoc_STR("gethostbyname(host) -> address\n\nA host's first IPv4 address.")},
    {"gethostbyname_ex", find_host_ex, METH_VARARGS,
        PyDoc_STR("gethostbyname_ex(host) -> (name, aliases, addresses)\n\nIPv4 only.")},
    {"gethostbyaddr", find_by_address, METH_VARARGS,
        PyDoc_STR("gethostbyaddr(address) -> (name, aliases, addresses)\n\nWho has it.")},
    {"gethostname", own_name, METH_NOARGS, PyDoc_STR("gethostname() -> name\n\nThis host's name.")},
    {"sethostname", set_own_name, METH_VARARGS,
        PyDoc_STR("sethostname(name)\n\nSet this host's name.")},
    {"getservbyname", find_service, METH_VARARGS,
        PyDoc_STR("getservbyname(service[, protocol]) -> port\n\nThe port of a service.")},
    {"getservbyport", find_service_of_port, METH_VARARGS,
        PyDoc_STR("getservbyport(port[, protocol]) -> service\n\nThe service of a port.")},
    {"getprotobyname", find_protocol, METH_VARARGS,
        PyDoc_STR("getprotobyname(name) -> number\n\nThe number of a protocol.")},
    {"if_nameindex", list_interfaces, METH_NOARGS,
        PyDoc_STR("if_nameindex() -> list of (index, name)\n\nAll interfaces.")},
    {"if_nametoindex", find_interface, METH_VARARGS,
        PyDoc_STR("if_nametoindex(name) -> index\n\nThe number of an interface.")},
    {"if_indextoname", name_interface, METH_O,
        PyDoc_STR("if_indextoname(index) -> name\n\nThe name of an interface.")},
    {NULL, NULL, 0, NULL},
};
