"""The tutorials' server that listens at this host's name: hostname_server.py [PORT]."""
import socket
import sys

s = socket.socket()
host = socket.gethostname()
port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345
s.bind((host, port))
s.listen(5)
print('listening on port', s.getsockname()[1], flush=True)
while True:
    con, addr = s.accept()
    print('Connecting with', addr, flush=True)
    con.send(b'Connection is successful')
    con.close()
