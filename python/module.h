/* SPDX-License-Identifier: MIT */
#ifndef PIER_PYTHON_MODULE_H
#define PIER_PYTHON_MODULE_H

/*
 * CPython's _socket on pier. Each method parses its arguments, makes one call of pier with the
 * interpreter's lock released, and turns a code into Python's exception. What stands here beyond that is
 * Python's own: tuples for addresses, IDNA by its codec, audit events, warnings, and the faults of
 * the stock module that programs may lean on.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pier.h>
#include <stdbool.h>

/*
 * A socket object. _ssl reads `fd` and `timeout` at these very places (Modules/socketmodule.h of
 * CPython 3.11); what follows `timeout` is ours.
 */
struct sock {
    PyObject_HEAD int fd; /* -1: closed */
    int family, type, proto;
    void *unused;       /* CPython's errorhandler */
    _PyTime_t timeout;  /* ns; -1: none, 0: non-blocking */
    struct sock *elder; /* that had the number before; see type.c */
};

/* type.c */
extern PyTypeObject socket_type;
struct sock *make_socket(int fd, int family, int type, int proto);
int close_number(int fd); /* 0 or a code */

/* What _accept() gave out last need not be asked what it is when it becomes an object, which is next. */
void note_accepted(int fd);

PyObject *sock_close(struct sock *s, PyObject *unused);
PyObject *sock_detach(struct sock *s, PyObject *unused);
PyObject *sock_fileno(struct sock *s, PyObject *unused);

/* control.c */
extern _PyTime_t default_timeout;
bool parse_timeout(PyObject *seconds, _PyTime_t *out); /* false: an exception is set */
double seconds_of(_PyTime_t timeout);                  /* as pier wants it */

PyObject *sock_accept(struct sock *s, PyObject *unused);
PyObject *sock_getblocking(struct sock *s, PyObject *unused);
PyObject *sock_getpeername(struct sock *s, PyObject *unused);
PyObject *sock_getsockname(struct sock *s, PyObject *unused);
PyObject *sock_gettimeout(struct sock *s, PyObject *unused);
PyObject *sock_bind(struct sock *s, PyObject *address);
PyObject *sock_connect(struct sock *s, PyObject *address);
PyObject *sock_connect_ex(struct sock *s, PyObject *address);
PyObject *sock_setblocking(struct sock *s, PyObject *flag);
PyObject *sock_settimeout(struct sock *s, PyObject *seconds);
PyObject *sock_shutdown(struct sock *s, PyObject *arg);
PyObject *sock_getsockopt(struct sock *s, PyObject *args);
PyObject *sock_listen(struct sock *s, PyObject *args);
PyObject *sock_setsockopt(struct sock *s, PyObject *args);

/* transfer.c */
PyObject *sock_recv(struct sock *s, PyObject *args);
PyObject *sock_recvfrom(struct sock *s, PyObject *args);
PyObject *sock_send(struct sock *s, PyObject *args);
PyObject *sock_sendall(struct sock *s, PyObject *args);
PyObject *sock_sendto(struct sock *s, PyObject *args);
PyObject *sock_recv_into(struct sock *s, PyObject *args, PyObject *kwargs);
PyObject *sock_recvfrom_into(struct sock *s, PyObject *args, PyObject *kwargs);

/* message.c */
PyObject *sock_recvmsg(struct sock *s, PyObject *args);
PyObject *sock_recvmsg_into(struct sock *s, PyObject *args);
PyObject *sock_sendmsg(struct sock *s, PyObject *args);
PyObject *sock_sendmsg_afalg(struct sock *s, PyObject *args, PyObject *kwargs);

/* errors.c */
extern PyObject *resolver_error, *host_error;
PyObject *raise_code(ssize_t code);                          /* always NULL */
PyObject *raise_text(PyObject *exception, const char *text); /* always NULL */

/* names.c */
extern PyMethodDef name_functions[];

/* constants.c */
int add_constants(PyObject *module);

/* address.c */

/*
 * A Python address, for a socket of this family and protocol, as pier's. Resolves host names. False: an
 * exception is set, in which `caller` is named.
 */
bool read_address(struct sock *s, PyObject *address, const char *caller, pier_addr *out);

/* pier's address in Python's form; None if it is none. */
PyObject *show_address(const pier_addr *addr, int proto);

/* Has Python a form for addresses of this socket? If not, an exception is set. */
bool knows_addresses_of(const struct sock *s);

/* A host that a look-up refused before anybody was asked is, for Python, one that was not found. */
PyObject *raise_host_code(ssize_t code);

/* task.c */
PyObject *mod_run_in_task(PyObject *module, PyObject *args);

/*
 * Outside the interpreter: its lock is released, and a signal that arrives meanwhile comes back for as long as
 * its Python handler takes (PEP 475). A handler that raises makes pier's call return -EINTR.
 */
struct away {
    PyThreadState *state;
    pier_hook before;
};

void leave_python(struct away *away);
void leave_to_look_up(struct away *away);
void enter_python(struct away *away);

/* call, outside the interpreter. */
#define AWAY(call)            \
    do {                      \
        struct away away_;    \
        leave_python(&away_); \
        (call);               \
        enter_python(&away_); \
    } while (0)

/* A look-up, outside the interpreter and without the hook, under which pier would ask in another thread. */
#define LOOK_UP(call)             \
    do {                          \
        struct away away_;        \
        leave_to_look_up(&away_); \
        (call);                   \
        enter_python(&away_);     \
    } while (0)

#endif
