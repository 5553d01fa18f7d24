"""The greeting server on a Unix socket: unix_server.py PATH."""
import socket
import sys

s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind(sys.argv[1])
s.listen(5)
print('listening on', sys.argv[1], flush=True)
c, addr = s.accept()
c.send(b'Thank you for connecting')
c.close()
