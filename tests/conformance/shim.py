# SPDX-License-Identifier: MIT
"""Put pier's C versions of what socket.py adds in Python into `socket`.

What only Python can do stays here: file objects without a descriptor, and arguments of the wrong type.
"""
import array
import errno
import importlib.machinery
import importlib.util
import os
import socket

import _socket

SOCKET_PY = {name: getattr(socket.socket, name) for name in ("_sendfile_use_send", "_sendfile_use_sendfile")}


def load():
    loader = importlib.machinery.ExtensionFileLoader("_pier", _socket.__file__)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_pier", loader))
    loader.exec_module(module)
    return module


def text(address):
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def install():
    pier = load()
    default = object()

    def taken(fd, timeout):
        sock = socket.socket(fileno=fd)
        if timeout is not default:
            sock.settimeout(timeout)
        return sock

    def create_connection(address, timeout=default, source_address=None, *, all_errors=False):
        limit = socket.getdefaulttimeout() if timeout is default else timeout
        source = source_address and text(source_address)
        return taken(pier.create_connection(text(address), limit, source), timeout)

    def create_server(address, *, family=socket.AF_INET, backlog=None, reuse_port=False, dualstack_ipv6=False):
        host = address[0] or ("" if dualstack_ipv6 else "::" if family == socket.AF_INET6 else "0.0.0.0")
        wanted = 0 if dualstack_ipv6 else family
        return taken(pier.create_server(text((host, address[1])), wanted, backlog or 0, reuse_port), default)

    def sendfile(self, file, offset=0, count=None, *, instead):
        self._check_sendfile_params(file, offset, count)
        try:
            number = file.fileno()
        except (AttributeError, OSError):
            return SOCKET_PY[instead](self, file, offset, count)
        try:
            sent, reached = pier.sendfile(self.fileno(), number, offset, count or 0)
        except OSError as e:
            if hasattr(file, "seek"):
                file.seek(getattr(e, "reached", offset))
            if e.errno == errno.EINVAL:
                raise ValueError("non-blocking sockets are not supported") from None
            raise
        if hasattr(file, "seek"):
            file.seek(reached)
        return sent

    def send_fds(sock, buffers, fds, flags=0, address=None):
        return pier.send_fds(sock.fileno(), b"".join(buffers), flags, array.array("i", fds))

    def recv_fds(sock, bufsize, maxfds, flags=0):
        data = bytearray(bufsize)
        n, fds = pier.recv_fds(sock.fileno(), data, maxfds, flags)
        return bytes(data[:n]), list(array.array("i", fds)), 0, None

    for function in create_connection, create_server, send_fds, recv_fds:
        setattr(socket, function.__name__, function)
    socket.getfqdn, socket.has_dualstack_ipv6 = pier.getfqdn, pier.has_dualstack_ipv6
    for name in SOCKET_PY:
        setattr(socket.socket, name,
                lambda self, file, offset=0, count=None, name=name:
                    sendfile(self, file, offset, count, instead=name))
