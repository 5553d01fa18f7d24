"""The tutorials' client that connects to this host's name: hostname_client.py [PORT]."""
import socket
import sys

s = socket.socket()
host = socket.gethostname()
port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345
s.connect((host, port))
print(s.recv(1024).decode())
s.close()
