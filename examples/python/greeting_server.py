# SPDX-License-Identifier: MIT
"""Greet each client: pypier greeting_server.py [PORT] [HOW MANY]"""
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345
clients = int(sys.argv[2]) if len(sys.argv) > 2 else -1
s = socket.socket()
s.bind(("", port))
s.listen(5)
print("socket is listening on", s.getsockname()[1], flush=True)
while clients != 0:
    c, addr = s.accept()
    print("Got connection from", addr, flush=True)
    c.send(b"Thank you for connecting")
    c.close()
    clients -= 1
s.close()
