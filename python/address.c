/* SPDX-License-Identifier: MIT */
/* Python's addresses, which are tuples and strings, to pier's and back. */
#include "module.h"

#include <errno.h>
#include <linux/can.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/qrtr.h>
#include <linux/tipc.h>
#include <linux/vm_sockets.h>
#include <net/if.h>

/* <bluetooth/bluetooth.h> and its kin are not part of the C library. */
#define BTPROTO_L2CAP  0
#define BTPROTO_HCI    1
#define BTPROTO_SCO    2
#define BTPROTO_RFCOMM 3

#define PATH_AT   offsetof(struct sockaddr_un, sun_path)
#define PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

bool knows_addresses_of(const struct sock *s)
{
    switch (s->family) {
    case AF_UNIX:
    case AF_INET:
    case AF_INET6:
    case AF_NETLINK:
    case AF_QIPCRTR:
    case AF_VSOCK:
    case AF_RDS:
    case AF_PACKET:
    case AF_TIPC:
    case AF_CAN:
    case AF_ALG: return true;
    case AF_BLUETOOTH:
        if (s->proto >= BTPROTO_L2CAP && s->proto <= BTPROTO_RFCOMM) return true;
        PyErr_SetString(PyExc_OSError, "getsockaddrlen: unknown BT protocol");
        return false;
    default: PyErr_SetString(PyExc_OSError, "getsockaddrlen: bad family"); return false;
    }
}

/* In. */

/* A host: any text without NUL. Not ASCII: by Python's codec "idna". */
struct host {
    PyObject *encoded; /* NULL: `text` is the argument's own */
    const char *text;
};

static int convert_host(PyObject *arg, void *out)
{
    struct host *host = out;
    Py_ssize_t length;
    if (!arg) {
        Py_CLEAR(host->encoded);
        return 1;
    }
    host->encoded = NULL;
    if (PyBytes_Check(arg)) {
        host->text = PyBytes_AS_STRING(arg);
        length = PyBytes_GET_SIZE(arg);
    } else if (PyByteArray_Check(arg)) {
        host->text = PyByteArray_AS_STRING(arg);
        length = PyByteArray_GET_SIZE(arg);
    } else if (!PyUnicode_Check(arg)) {
        PyErr_Format(
            PyExc_TypeError, "str, bytes or bytearray expected, not %s", Py_TYPE(arg)->tp_name);
        return 0;
    } else if (PyUnicode_IS_COMPACT_ASCII(arg)) {
        host->text = PyUnicode_AsUTF8AndSize(arg, &length);
    } else {
        host->encoded = PyUnicode_AsEncodedString(arg, "idna", NULL);
        if (!host->encoded) {
            PyErr_SetString(PyExc_TypeError, "encoding of hostname failed");
            return 0;
        }
        host->text = PyBytes_AS_STRING(host->encoded);
        length = PyBytes_GET_SIZE(host->encoded);
    }
    if (strlen(host->text) == (size_t)length) return Py_CLEANUP_SUPPORTED;
    Py_CLEAR(host->encoded);
    PyErr_SetString(PyExc_TypeError, "host name must not contain null character");
    return 0;
}

PyObject *raise_host_code(ssize_t code)
{
    switch (code) {
    case PIER_EAI_IDN_ENCODE:
    case PIER_EHOSTTEXT:
    case PIER_EIPTEXT:
    case PIER_EIFNAMELEN: return raise_code(PIER_EAI_NONAME);
    case PIER_EPORT: return raise_code(PIER_EAI_SERVICE);
    default: return raise_code(code);
    }
}

static bool is_tuple(PyObject *address, const char *family, const char *caller)
{
    if (PyTuple_Check(address)) return true;
    PyErr_Format(PyExc_TypeError, "%s%s %s address must be tuple, not %.500s", caller,
        *caller == 'g' ? ":" : "():", family, Py_TYPE(address)->tp_name);
    return false;
}

static bool refuse_port(const char *caller)
{
    PyErr_Format(PyExc_OverflowError, "%s(): port must be 0-65535.", caller);
    return false;
}

/* A number in a tuple was too large: Python says so in these words. */
static bool parse_failed(const char *caller, const char *text)
{
    if (PyErr_ExceptionMatches(PyExc_OverflowError))
        PyErr_Format(PyExc_OverflowError, "%s(): %s", caller, text);
    return false;
}

/* The look-up, which releases the GIL; the text of the host is kept by its own object. */
static bool resolve(pier_addr *addr, struct host *host)
{
    pier_addr answer = *addr;
    if (!answer.error && answer.pending) LOOK_UP(answer = pier_resolve(*addr, PIER_NEVER));
    Py_CLEAR(host->encoded);
    *addr = answer;
    if (!answer.error) return true;
    raise_host_code(answer.error);
    return false;
}

static bool read_inet(PyObject *address, const char *caller, pier_addr *out)
{
    struct host host;
    int port;
    if (!is_tuple(address, "AF_INET", caller)) return false;
    if (!PyArg_ParseTuple(
            address, "O&i;AF_INET address must be a pair (host, port)", convert_host, &host, &port))
        return parse_failed(caller, "port must be 0-65535.");
    bool bad_port = port < 0 || port > 0xffff; /* the host comes first */
    *out = pier_inet(host.text, bad_port ? 0 : port);
    if (!resolve(out, &host)) return false;
    return bad_port ? refuse_port(caller) : true;
}

static bool is_broadcast(const char *host)
{
    return strcmp(host, "<broadcast>") == 0 || strcmp(host, "255.255.255.255") == 0;
}

static bool read_inet6(PyObject *address, const char *caller, pier_addr *out)
{
    struct host host;
    int port;
    unsigned flowinfo = 0, scope = 0;
    if (!is_tuple(address, "AF_INET6", caller)) return false;
    if (!PyArg_ParseTuple(address,
            "O&i|II;AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])",
            convert_host, &host, &port, &flowinfo, &scope))
        return parse_failed(caller, "port must be 0-65535.");
    bool bad_port = port < 0 || port > 0xffff, bad_flow = flowinfo > 0xfffff;
    *out = pier_inet6_scoped(host.text, bad_port ? 0 : port, bad_flow ? 0 : flowinfo, scope);
    if (is_broadcast(host.text)) *out = pier_addr_failed(PIER_EFAMILY);
    if (!resolve(out, &host)) return false;
    if (bad_port) return refuse_port(caller);
    if (bad_flow) {
        PyErr_Format(PyExc_OverflowError, "%s(): flowinfo must be 0-1048575.", caller);
        return false;
    }
    /* The stock module lets the tuple's scope win over the text's, also if it is not given. */
    struct sockaddr_in6 inet6 = out->sa.inet6;
    inet6.sin6_scope_id = scope;
    *out = pier_addr_raw(&inet6, sizeof inet6);
    return true;
}

static bool read_unix(PyObject *address, pier_addr *out)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    Py_buffer path;
    PyObject *encoded =
        PyUnicode_Check(address) ? PyUnicode_EncodeFSDefault(address) : Py_NewRef(address);
    if (!encoded) return false;
    bool done = PyArg_Parse(encoded, "y*", &path);
    Py_DECREF(encoded);
    if (!done) return false;
    /* An empty one lets the kernel choose a name, one that begins with NUL is abstract. */
    size_t length = (size_t)path.len, nul = length && *(const char *)path.buf;
    done = length + nul <= PATH_SIZE;
    if (done) {
        memcpy(local.sun_path, path.buf, length);
        *out = pier_addr_raw(&local, (socklen_t)(PATH_AT + length + nul));
    } else {
        raise_code(PIER_EPATHLEN);
    }
    PyBuffer_Release(&path);
    return done;
}

/* The number of an interface, at once: for the stock module a bad name is a bad argument. */
static bool find_interface(pier_addr *addr)
{
    if (!addr->error && addr->pending) *addr = pier_resolve(*addr, PIER_NEVER);
    if (!addr->error) return true;
    raise_code(addr->error == PIER_EIFNAMELEN ? -ENODEV : addr->error);
    return false;
}

static bool read_packet(PyObject *address, const char *caller, pier_addr *out)
{
    const char *interface;
    int protocol, hatype = 0, pkttype = PACKET_HOST;
    Py_buffer hwaddr = {0};
    if (!is_tuple(address, "AF_PACKET", caller)) return false;
    if (!PyArg_ParseTuple(address,
            "si|iiy*;AF_PACKET address must be a tuple of two to five elements", &interface,
            &protocol, &pkttype, &hatype, &hwaddr))
        return parse_failed(caller, "address argument out of range");
    bool bad_proto = protocol < 0 || protocol > 0xffff, bad_hwaddr = hwaddr.len > 8;
    *out = pier_packet(interface, bad_proto ? 0 : protocol, (uint8_t)pkttype, (uint16_t)hatype,
        hwaddr.buf, bad_hwaddr ? 0 : (size_t)hwaddr.len);
    if (hwaddr.obj) PyBuffer_Release(&hwaddr);
    if (!*interface) *out = pier_addr_failed(-ENODEV); /* what the kernel says of it */
    if (!find_interface(out)) return false;
    if (bad_hwaddr)
        raise_text(PyExc_ValueError, "Hardware address must be 8 bytes or less");
    else if (bad_proto)
        PyErr_Format(PyExc_OverflowError, "%s(): proto must be 0-65535.", caller);
    return !PyErr_Occurred();
}

static bool read_netlink(PyObject *address, const char *caller, pier_addr *out)
{
    unsigned pid, groups;
    if (!is_tuple(address, "AF_NETLINK", caller)) return false;
    if (!PyArg_ParseTuple(
            address, "II;AF_NETLINK address must be a pair (pid, groups)", &pid, &groups))
        return false;
    *out = pier_netlink(pid, groups);
    return true;
}

/* AF_QIPCRTR and AF_VSOCK: two numbers. */
static bool read_pair(PyObject *address, int family, pier_addr *out)
{
    unsigned first, second;
    const char *name = family == AF_VSOCK ? "AF_VSOCK" : "AF_QIPCRTR";
    if (!is_tuple(address, name, "getsockaddrarg")) return false;
    if (!PyArg_ParseTuple(address, "II:getsockaddrarg", &first, &second)) return false;
    *out = family == AF_VSOCK ? pier_vsock(first, second) : pier_qipcrtr(first, second);
    return true;
}

static bool read_tipc(PyObject *address, const char *caller, pier_addr *out)
{
    unsigned type, v1, v2, v3, scope = TIPC_CLUSTER_SCOPE;
    if (!is_tuple(address, "AF_TIPC", caller)) return false;
    if (!PyArg_ParseTuple(address,
            "IIII|I;AF_TIPC address must be a tuple (addr_type, v1, v2, v3[, scope])", &type, &v1,
            &v2, &v3, &scope))
        return false;
    if (type < TIPC_ADDR_NAMESEQ || type > TIPC_ADDR_ID) {
        raise_text(PyExc_TypeError, "Invalid address type");
        return false;
    }
    *out = pier_tipc((int)type, v1, v2, v3, (int)scope);
    if (out->error) raise_code(out->error);
    return !out->error;
}

static bool finish_can(PyObject *interface, pier_addr *out)
{
    Py_DECREF(interface);
    if (out->error == PIER_EIFNAMELEN) raise_text(PyExc_OSError, "AF_CAN interface name too long");
    return !PyErr_Occurred() && find_interface(out);
}

static bool read_can(const struct sock *s, PyObject *address, const char *caller, pier_addr *out)
{
    PyObject *interface;
    unsigned long rx, tx;
    unsigned long long name;
    unsigned pgn;
    uint8_t number;
    if (!is_tuple(address, "AF_CAN", caller)) return false;
    switch (s->proto) {
    case CAN_RAW:
    case CAN_BCM:
        if (!PyArg_ParseTuple(address, "O&;AF_CAN address must be a tuple (interface, )",
                PyUnicode_FSConverter, &interface))
            return false;
        *out = pier_can(PyBytes_AS_STRING(interface));
        return finish_can(interface, out);
    case CAN_ISOTP:
        if (!PyArg_ParseTuple(address, "O&kk", PyUnicode_FSConverter, &interface, &rx, &tx))
            return false;
        *out = pier_can_isotp(PyBytes_AS_STRING(interface), (uint32_t)rx, (uint32_t)tx);
        return finish_can(interface, out);
    case CAN_J1939:
        if (!PyArg_ParseTuple(
                address, "O&KIB", PyUnicode_FSConverter, &interface, &name, &pgn, &number))
            return false;
        *out = pier_can_j1939(PyBytes_AS_STRING(interface), name, pgn, number);
        return finish_can(interface, out);
    default: PyErr_Format(PyExc_OSError, "%s(): unsupported CAN protocol", caller); return false;
    }
}

static bool read_alg(PyObject *address, const char *caller, pier_addr *out)
{
    const char *type, *name;
    unsigned short features = 0, mask = 0;
    if (!is_tuple(address, "AF_ALG", caller)) return false;
    if (!PyArg_ParseTuple(address,
            "ss|HH;AF_ALG address must be a tuple (type, name[, feat[, mask]])", &type, &name,
            &features, &mask))
        return false;
    *out = pier_alg(type, name, features, mask);
    if (out->error == PIER_EALGTYPE)
        raise_text(PyExc_ValueError, "AF_ALG type too long.");
    else if (out->error == PIER_EALGNAME)
        raise_text(PyExc_ValueError, "AF_ALG name too long.");
    return !out->error;
}

/* Numbers too large are cut, as the stock module does. */
static bool read_bluetooth(int proto, PyObject *address, const char *caller, pier_addr *out)
{
    const char *text;
    int number = 0;
    bool parsed = false;
    if (proto < BTPROTO_L2CAP || proto > BTPROTO_RFCOMM) {
        PyErr_Format(PyExc_OSError, "%s(): unknown Bluetooth protocol", caller);
        return false;
    }
    if (proto == BTPROTO_SCO) {
        parsed = PyBytes_Check(address);
        if (parsed) text = PyBytes_AS_STRING(address);
    } else if (PyTuple_Check(address)) {
        parsed = proto == BTPROTO_HCI ? PyArg_ParseTuple(address, "i", &number)
                                      : PyArg_ParseTuple(address, "si", &text, &number);
    }
    if (!parsed) {
        PyErr_Format(PyExc_OSError, "%s(): wrong format", caller);
        return false;
    }
    switch (proto) {
    case BTPROTO_L2CAP: *out = pier_l2cap(text, (uint16_t)number, 0, 0); break;
    case BTPROTO_RFCOMM: *out = pier_rfcomm(text, (uint8_t)number); break;
    case BTPROTO_SCO: *out = pier_sco(text); break;
    default: *out = pier_hci((uint16_t)number, (uint16_t)((unsigned)number >> 16)); break;
    }
    if (out->error) raise_code(out->error);
    return !out->error;
}

bool read_address(struct sock *s, PyObject *address, const char *caller, pier_addr *out)
{
    switch (s->family) {
    case AF_UNIX: return read_unix(address, out);
    case AF_RDS:
    case AF_INET: return read_inet(address, caller, out);
    case AF_INET6: return read_inet6(address, caller, out);
    case AF_NETLINK: return read_netlink(address, caller, out);
    case AF_QIPCRTR:
    case AF_VSOCK: return read_pair(address, s->family, out);
    case AF_PACKET: return read_packet(address, caller, out);
    case AF_TIPC: return read_tipc(address, caller, out);
    case AF_CAN: return read_can(s, address, caller, out);
    case AF_ALG: return read_alg(address, caller, out);
    case AF_BLUETOOTH: return read_bluetooth(s->proto, address, caller, out);
    default: PyErr_Format(PyExc_OSError, "%s(): bad family", caller); return false;
    }
}

/* Out. A sockaddr is copied to what it is; what the kernel did not write is zero. */

static PyObject *show_ip(const pier_addr *addr, int family, const void *packed, size_t length)
{
    char host[INET6_ADDRSTRLEN];
    pier_inet_ntop(family, packed, length, host, sizeof host);
    if (family == AF_INET) return Py_BuildValue("si", host, (int)ntohs(addr->sa.inet.sin_port));
    const struct sockaddr_in6 *inet6 = &addr->sa.inet6;
    return Py_BuildValue("siII", host, (int)ntohs(inet6->sin6_port), ntohl(inet6->sin6_flowinfo),
        inet6->sin6_scope_id);
}

static PyObject *show_unix(const pier_addr *addr)
{
    const char *path = addr->sa.local.sun_path;
    Py_ssize_t length = (Py_ssize_t)addr->length - (Py_ssize_t)PATH_AT;
    if (length <= 0) return PyUnicode_FromString("");
    if (!*path) return PyBytes_FromStringAndSize(path, length);
    return PyUnicode_DecodeFSDefaultAndSize(path, (Py_ssize_t)strnlen(path, (size_t)length));
}

/* The name of an interface, "" for none. */
static const char *interface_name(int index, char *name)
{
    if (index == 0 || pier_if_indextoname((unsigned)index, name, IF_NAMESIZE) < 0) *name = '\0';
    return name;
}

static PyObject *show_packet(const pier_addr *addr)
{
    struct sockaddr_ll ll;
    char name[IF_NAMESIZE];
    memcpy(&ll, &addr->sa, sizeof ll);
    const char *hwaddr = (const char *)&addr->sa + offsetof(struct sockaddr_ll, sll_addr);
    return Py_BuildValue("siiiy#", interface_name(ll.sll_ifindex, name),
        (int)ntohs(ll.sll_protocol), (int)ll.sll_pkttype, (int)ll.sll_hatype, hwaddr,
        (Py_ssize_t)Py_MIN(ll.sll_halen, sizeof addr->sa - offsetof(struct sockaddr_ll, sll_addr)));
}

static PyObject *show_tipc(const pier_addr *addr)
{
    struct sockaddr_tipc tipc;
    memcpy(&tipc, &addr->sa, sizeof tipc);
    unsigned type = tipc.addrtype, scope = (unsigned)tipc.scope;
    switch (type) {
    case TIPC_ADDR_NAMESEQ:
        return Py_BuildValue("IIIII", type, tipc.addr.nameseq.type, tipc.addr.nameseq.lower,
            tipc.addr.nameseq.upper, scope);
    case TIPC_ADDR_NAME: /* the instance twice: so does the stock module */
        return Py_BuildValue("IIIII", type, tipc.addr.name.name.type, tipc.addr.name.name.instance,
            tipc.addr.name.name.instance, scope);
    case TIPC_ADDR_ID:
        return Py_BuildValue("IIIII", type, tipc.addr.id.node, tipc.addr.id.ref, 0U, scope);
    default: return raise_text(PyExc_ValueError, "Invalid address type");
    }
}

static PyObject *show_can(const pier_addr *addr, int proto)
{
    struct sockaddr_can can;
    char room[IF_NAMESIZE];
    memcpy(&can, &addr->sa, sizeof can);
    const char *name = interface_name(can.can_ifindex, room);
    switch (proto) {
    case CAN_ISOTP:
        return Py_BuildValue("O&kk", PyUnicode_DecodeFSDefault, name,
            (unsigned long)can.can_addr.tp.rx_id, (unsigned long)can.can_addr.tp.tx_id);
    case CAN_J1939:
        return Py_BuildValue("O&KIB", PyUnicode_DecodeFSDefault, name,
            (unsigned long long)can.can_addr.j1939.name, can.can_addr.j1939.pgn,
            can.can_addr.j1939.addr);
    default: return Py_BuildValue("(O&)", PyUnicode_DecodeFSDefault, name);
    }
}

static PyObject *show_alg(const pier_addr *addr)
{
    struct sockaddr_alg alg;
    memcpy(&alg, &addr->sa, sizeof alg);
    const char *type = (const char *)alg.salg_type, *name = (const char *)alg.salg_name;
    return Py_BuildValue("s#s#II", type, (Py_ssize_t)strnlen(type, sizeof alg.salg_type), name,
        (Py_ssize_t)strnlen(name, sizeof alg.salg_name), alg.salg_feat, alg.salg_mask);
}

static PyObject *show_bdaddr(const unsigned char *b)
{
    char text[18];
    snprintf(
        text, sizeof text, "%02X:%02X:%02X:%02X:%02X:%02X", b[5], b[4], b[3], b[2], b[1], b[0]);
    return PyUnicode_FromString(text);
}

/* Their structs, by offset: family (2 bytes), then as named. */
static PyObject *show_bluetooth(const pier_addr *addr, int proto)
{
    const unsigned char *b = (const unsigned char *)&addr->sa + sizeof(sa_family_t);
    switch (proto) {
    case BTPROTO_L2CAP: /* psm, little endian; address */
        return Py_BuildValue("Ni", show_bdaddr(b + 2), b[0] | b[1] << 8);
    case BTPROTO_RFCOMM: /* address, channel */
        return Py_BuildValue("Ni", show_bdaddr(b), (int)b[6]);
    case BTPROTO_HCI: { /* device */
        uint16_t device;
        memcpy(&device, b, sizeof device);
        return PyLong_FromLong(device);
    }
    case BTPROTO_SCO: return show_bdaddr(b);
    default: return raise_text(PyExc_ValueError, "Unknown Bluetooth protocol");
    }
}

static PyObject *show_numbers(const pier_addr *addr)
{
    struct sockaddr_nl netlink;
    struct sockaddr_qrtr qrtr;
    struct sockaddr_vm vm;
    switch (addr->sa.any.sa_family) {
    case AF_NETLINK:
        memcpy(&netlink, &addr->sa, sizeof netlink);
        return Py_BuildValue("II", netlink.nl_pid, netlink.nl_groups);
    case AF_QIPCRTR:
        memcpy(&qrtr, &addr->sa, sizeof qrtr);
        return Py_BuildValue("II", qrtr.sq_node, qrtr.sq_port);
    default: memcpy(&vm, &addr->sa, sizeof vm); return Py_BuildValue("II", vm.svm_cid, vm.svm_port);
    }
}

PyObject *show_address(const pier_addr *addr, int proto)
{
    if (addr->length == 0) Py_RETURN_NONE;
    const void *inet = &addr->sa.inet.sin_addr, *inet6 = &addr->sa.inet6.sin6_addr;
    int family = addr->sa.any.sa_family;
    switch (family) {
    case AF_INET: return show_ip(addr, AF_INET, inet, sizeof(struct in_addr));
    case AF_INET6: return show_ip(addr, AF_INET6, inet6, sizeof(struct in6_addr));
    case AF_UNIX: return show_unix(addr);
    case AF_NETLINK:
    case AF_QIPCRTR:
    case AF_VSOCK: return show_numbers(addr);
    case AF_BLUETOOTH: return show_bluetooth(addr, proto);
    case AF_PACKET: return show_packet(addr);
    case AF_TIPC: return show_tipc(addr);
    case AF_CAN: return show_can(addr, proto);
    case AF_ALG: return show_alg(addr);
    default:
        return Py_BuildValue(
            "iy#", family, addr->sa.any.sa_data, (Py_ssize_t)sizeof addr->sa.any.sa_data);
    }
}
