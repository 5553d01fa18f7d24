# SPDX-License-Identifier: MIT
"""Read the greeting: pypier greeting_client.py [PORT]"""
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345
s = socket.socket()
s.connect(("127.0.0.1", port))
print(s.recv(1024).decode())
s.close()
