"""The greeting client on a Unix socket: unix_client.py PATH."""
import socket
import sys

s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(sys.argv[1])
print(s.recv(1024).decode())
s.close()
