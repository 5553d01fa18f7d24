"""The first client of the tutorials: greeting_client.py [PORT]."""
# Import socket module
import socket
import sys

# Create a socket object
s = socket.socket()

# Define the port on which you want to connect
port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345

# connect to the server on local computer
s.connect(('127.0.0.1', port))

# receive data from the server and decoding to get the string.
print(s.recv(1024).decode())
# close the connection
s.close()
