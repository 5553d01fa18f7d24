"""The first server of the tutorials, for one client: greeting_server.py [PORT]."""
# Import the socket library
import socket
import sys

# next create a socket object
s = socket.socket()
print("Socket successfully created")

# reserve a port on your computer in our
# case it is 12345 but it can be anything
port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345

# Next bind to the port
s.bind(('', port))
print("socket binded to %s" % s.getsockname()[1])

# put the socket into listening mode
s.listen(5)
print("socket is listening", flush=True)

# a forever loop until we interrupt it or
# an error occurs
while True:
    # Establish connection with client.
    c, addr = s.accept()
    print('Got connection from', addr)

    # send a thank you message to the client. encoding to send byte type.
    c.send('Thank you for connecting'.encode())

    # Close the connection with the client
    c.close()

    # Breaking once connection closed
    break
