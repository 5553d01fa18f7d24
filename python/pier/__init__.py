# SPDX-License-Identifier: MIT
"""Python's sockets on pier.

    python3 -m pier SCRIPT...       run a program whose _socket is pier's
    import pier; pier.install()     the same, before anything imports socket
"""
import importlib.machinery
import importlib.util
import sys

__all__ = ["install"]


def install():
    """Make pier's module the _socket of this process."""
    old = sys.modules.get("_socket")
    if old is not None and not getattr(old, "__file__", "").startswith(__path__[0]):
        raise ImportError("socket is imported already, with the interpreter's own _socket")
    if old is None:
        path = importlib.util.find_spec("pier._socket").origin
        loader = importlib.machinery.ExtensionFileLoader("_socket", path)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_socket", loader))
        loader.exec_module(module)
        sys.modules["_socket"] = module
