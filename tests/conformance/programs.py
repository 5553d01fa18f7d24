#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Unchanged programs of the standard library, and the tutorials' own, over pier.

    tests/conformance/programs.py PYPIER
"""
import pathlib
import re
import subprocess
import sys
import tempfile

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent.parent / "examples/python"
PYPIER = str(pathlib.Path(sys.argv[1]).resolve())

ASYNCIO = """
import asyncio, _socket
async def echo(reader, writer):
    writer.write(await reader.readline()); await writer.drain(); writer.close()
async def main():
    server = await asyncio.start_server(echo, "localhost", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(b"over pier\\n")
    print(await reader.readline(), _socket.__file__)
    writer.close(); server.close()
asyncio.run(main())
"""


def python(*args, **more):
    return subprocess.run([PYPIER, *args], text=True, capture_output=True, timeout=60, **more)


def serve(*args, cwd=None):
    """A server that says its port in its first line."""
    process = subprocess.Popen([PYPIER, "-u", *args], text=True, cwd=cwd, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    return process, re.search(r"(?:port|listening on) (\d+)", process.stdout.readline())[1]


def greeting():
    server, port = serve(EXAMPLES / "greeting_server.py", "0", "2")
    said = [python(EXAMPLES / "greeting_client.py", port).stdout for _ in range(2)]
    assert said == ["Thank you for connecting\n"] * 2, said
    assert server.communicate(timeout=20)[0].count("Got connection from ('127.0.0.1', ") == 2


def web():
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "page").write_bytes(bytes(range(256)) * 4000)
        server, port = serve("-m", "http.server", "0", "--bind", "127.0.0.1", cwd=folder)
        try:
            got = python("-c", "import sys, urllib.request\n"
                         f"print(hash(urllib.request.urlopen('http://127.0.0.1:{port}/page', timeout=60).read())"
                         " == hash(bytes(range(256)) * 4000))").stdout
            assert got == "True\n", got
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()


def streams():
    said = python("-c", ASYNCIO)
    assert said.stdout.startswith("b'over pier\\n'") and "_socket.so" in said.stdout, said


for program in greeting, web, streams:
    program()
    print("ok", program.__name__)
