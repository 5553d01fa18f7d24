"""The tutorials' client of a web server: web_client.py HOST PORT PATH."""
import socket
import sys

host, port, path = sys.argv[1:]
# create a socket object
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect((host, int(port)))
s.send(b'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' % (path.encode(), host.encode()))
while 1:
    data = s.recv(128)
    sys.stdout.buffer.write(data)
    if data == b"":
        break
s.close()
