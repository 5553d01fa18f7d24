"""recvfrom() and sendto() of the tutorials: udp_client.py PORT TEXT."""
import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(sys.argv[2].encode(), ('127.0.0.1', int(sys.argv[1])))
data, addr = s.recvfrom(65536)
print(data.decode(), 'from', addr)
