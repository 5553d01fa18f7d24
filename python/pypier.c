/* SPDX-License-Identifier: MIT */
/*
 * The Python interpreter, with pier for its _socket:
 *
 *     pypier SCRIPT...
 *     pypier -m test test_socket
 *
 * It is CPython's own, from libpython; only the table of built-in modules is changed before it starts.
 * The path finders are not asked, so it holds under -I, -E and -S, and in children too, of which
 * sys.executable is this program.
 *
 * The module is _socket.so beside this program, or what PIER_SOCKET_SO names; "none" leaves CPython's
 * own in place. A module that cannot be loaded is an ImportError.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <unistd.h>

static char module_path[PATH_MAX];

static PyObject *load_module(void)
{
    void *library = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return PyErr_Format(PyExc_ImportError, "_socket: %s", dlerror());
    /* Not by its name: libpython has a function of the same. */
    union {
        void *object;
        PyObject *(*call)(void);
    } init = {.object = dlsym(library, "PyInit__socket")};
    if (!init.object) return PyErr_Format(PyExc_ImportError, "_socket: %s", dlerror());
    PyObject *module = init.call();
    if (module && PyModule_AddStringConstant(module, "__file__", module_path) < 0) Py_CLEAR(module);
    return module;
}

/* False: CPython's own is wanted. */
static bool find_module(void)
{
    const char *wanted = getenv("PIER_SOCKET_SO");
    if (wanted && *wanted) {
        snprintf(module_path, sizeof module_path, "%s", wanted);
        return strcmp(wanted, "none") != 0;
    }
    char self[PATH_MAX - sizeof "/_socket.so"];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    snprintf(module_path, sizeof module_path, "%s/_socket.so", self);
    return true;
}

int main(int argc, char **argv)
{
    if (find_module()) {
        for (struct _inittab *module = PyImport_Inittab; module->name; module++) {
            if (strcmp(module->name, "_socket") == 0) module->initfunc = load_module;
        }
    }
    return Py_BytesMain(argc, argv);
}
