/* SPDX-License-Identifier: MIT */
/* For the judges in tests/conformance: Python code, and so each of its blocking calls, inside a task. */
#include "module.h"

/* The interpreter's own frames are large. */
#define STACK ((size_t)64 << 20)

struct call {
    PyObject *function, *args, *result;
};

static int make_call(void *arg)
{
    struct call *call = arg;
    call->result = PyObject_CallObject(call->function, call->args);
    return 0;
}

/* _run_in_task(backend, function, args): what function(*args) returns. */
PyObject *mod_run_in_task(PyObject *module, PyObject *args)
{
    const char *backend;
    struct call call = {.result = NULL};
    (void)module;
    if (!PyArg_ParseTuple(
            args, "sOO!:_run_in_task", &backend, &call.function, &PyTuple_Type, &call.args))
        return NULL;
    const pier_run_opts opts = {.backend = backend, .stack_size = STACK, .keep_sigsegv = true};
    int err = pier_run(make_call, &call, &opts);
    if (err < 0 && !call.result && !PyErr_Occurred()) return raise_code(err);
    return call.result;
}
