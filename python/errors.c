/* SPDX-License-Identifier: MIT */
/* pier's codes as Python's exceptions, and the way out of the interpreter and back. */
#include "module.h"

#include <errno.h>

PyObject *resolver_error, *host_error;

PyObject *raise_text(PyObject *exception, const char *text)
{
    PyErr_SetString(exception, text);
    return NULL;
}

static PyObject *raise_numbered(PyObject *exception, int number, ssize_t code)
{
    PyObject *args = Py_BuildValue("(is)", number, pier_strerror(code));
    if (args) PyErr_SetObject(exception, args);
    Py_XDECREF(args);
    return NULL;
}

/* One of Python's built-in exceptions, by the name that pier's table has for it. */
static PyObject *raise_named(const char *name, const char *text)
{
    PyObject *exception = PyDict_GetItemString(PyEval_GetBuiltins(), name);
    return raise_text(exception ? exception : PyExc_OSError, text);
}

static bool is_errno(ssize_t code) { return code < 0 && code > -4096; }

PyObject *raise_code(ssize_t code)
{
    if (PyErr_Occurred()) return NULL; /* what a signal handler raised is the reason */
    if (code == -ETIME) return raise_text(PyExc_TimeoutError, "timed out");
    if (is_errno(code)) {
        /* Another thread closed the socket: for Python that is a bad descriptor. */
        errno = code == -ECANCELED ? EBADF : (int)-code;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    const char *name = pier_errexception(code);
    if (!name) return raise_text(PyExc_SystemError, "unknown result of pier");
    if (strcmp(name, "gaierror") == 0)
        return raise_numbered(resolver_error, (int)(code + 10000), code);
    if (strcmp(name, "herror") == 0) return raise_numbered(host_error, (int)(-11000 - code), code);
    return raise_named(name, pier_strerror(code));
}

static int check_signals(void *arg)
{
    struct away *away = arg;
    PyEval_RestoreThread(away->state);
    int raised = PyErr_CheckSignals();
    away->state = PyEval_SaveThread();
    return raised;
}

void leave_python(struct away *away)
{
    away->state = PyEval_SaveThread();
    away->before = pier_sethook(check_signals, away);
}

void leave_to_look_up(struct away *away)
{
    away->state = PyEval_SaveThread();
    away->before = pier_sethook(NULL, NULL);
}

void enter_python(struct away *away)
{
    pier_sethook(away->before.call, away->before.arg);
    PyEval_RestoreThread(away->state);
}
