#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""asyncio_echo.py echo|large|sink [uvloop]: protocols on asyncio's own loop or on uvloop's."""
import asyncio
import socket
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Sink(asyncio.Protocol):
    def data_received(self, data):
        pass


async def main():
    listener = socket.socket(fileno=0)
    protocol = Sink if sys.argv[1] == "sink" else Echo
    server = await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=4096)
    await server.serve_forever()


if "uvloop" in sys.argv:
    import uvloop
    uvloop.install()
asyncio.run(main())
