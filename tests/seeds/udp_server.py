"""recvfrom() and sendto() of the tutorials: udp_server.py [PORT]."""
import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', int(sys.argv[1]) if len(sys.argv) > 1 else 12345))
print('waiting on port', s.getsockname()[1], flush=True)
while True:
    data, addr = s.recvfrom(65536)
    s.sendto(data, addr)
