#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier get: against Python's and nginx's web servers, curl, and answers that no server should give."""
import contextlib
import os
import pty
import resource
import signal
import socket
import subprocess
import threading
import time

import programs
from programs import PATIENCE, PIER, wait_until


class Get(programs.Web):
    def get(self, url, *options, **more):
        return self.run_program(PIER, "get", *options, url, **more)

    def page(self, answer):
        """What is printed of an answer that is fine."""
        status, said, errors = self.get(self.answers(answer) + "/")
        self.assertEqual((status, errors), (0, ""), answer)
        return said

    def refused(self, answer, expected):
        """An answer that is not: nothing takes its name, and the line says why."""
        path = self.folder / "page"
        status, said, errors = self.get(self.answers(answer) + "/", "-o", path)
        self.assertEqual((status, said), (1, b""), answer)
        self.assertIn(expected, errors)
        self.assertRegex(errors, r"^pier get: [^\n]*\n$")
        self.assertEqual(os.listdir(self.folder), [])

    def test_asks_as_http_wants_it(self):
        self.assertEqual(self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\npage") + "/a%20b?c=d#e")[1],
                         b"page")
        lines = self.requests[0].split("\r\n")
        self.assertEqual(lines[0], "GET /a%20b?c=d HTTP/1.1")
        self.assertIn("Connection: close", lines)
        self.assertRegex(self.requests[0], r"\r\nHost: 127\.0\.0\.1:\d+\r\n")

    def test_writes_blanks_and_letters_beyond_ascii_as_percents(self):
        url = self.answers(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(self.get(url + "/a b?\u00fc")[0], 0)
        self.assertTrue(self.requests[0].startswith("GET /a%20b?%C3%BC HTTP/1.1\r\n"))

    def test_takes_a_url_without_its_scheme(self):
        url = self.answers(b"HTTP/1.1 200 OK\r\n\r\npage").removeprefix("http://")
        self.assertEqual(self.get(url)[1], b"page")
        self.assertTrue(self.requests[0].startswith("GET / HTTP/1.1\r\n"))

    def test_takes_dots_out_of_the_path(self):
        for path, expected in {"/a/./b/../c": "/a/c", "/../../x": "/x", "/a/..": "/", "/a/.": "/a/",
                               "/a/b/../..": "/", "/...": "/...", "/a?x=/../y": "/a?x=/../y",
                               "//a": "//a", "": "/", "?q": "/?q"}.items():
            self.requests.clear()
            self.assertEqual(self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\n") + path)[0], 0)
            self.assertEqual(self.requests[0].split(" ")[1], expected, path)

    def test_reads_until_the_end_where_no_length_is_given(self):
        self.assertEqual(self.page(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_000), b"x" * 100_000)

    def test_reads_no_further_than_the_length(self):
        self.assertEqual(self.page(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage and more"), b"page")
        self.assertEqual(self.page(b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\nmore"), b"")
        self.assertEqual(self.page(b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n"
                                   b"Content-Length: 4\r\n\r\npage"), b"page")

    def test_ends_with_the_length_though_the_server_stays(self):
        done = threading.Event()

        def answer(connection, _):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
            done.wait(PATIENCE)

        port = self.serve(answer)
        self.assertEqual(self.get(f"http://127.0.0.1:{port}/"), (0, b"page", ""))
        done.set()

    def test_puts_chunks_together(self):
        self.assertEqual(self.page(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n7;name=\"value\"\r\n, world\r\n0A \r\n0123456789\r\n"
            b"000\r\nTrailer: yes\r\n\r\nmore"), b"hello, world0123456789")
        self.assertEqual(self.page(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n"
                                   b"Content-Length: 3\r\n\r\n0\r\n\r\n"), b"")
        self.assertEqual(self.page(b"HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n1\nx\n0\n\n"), b"x")

    def test_puts_an_answer_together_that_comes_byte_by_byte(self):
        answer = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n")
        self.assertEqual(self.page([answer[i:i + 1] for i in range(len(answer))]), b"hello, world")

    def test_joins_a_folded_line(self):
        self.assertEqual(self.page(b"HTTP/1.1 200 OK\r\nX: a\r\n  b\r\nContent-Length:\r\n 4\r\n\r\npage!"),
                         b"page")

    def test_passes_over_interim_answers(self):
        self.assertEqual(self.page(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
                                   b"Location: /elsewhere\r\n\r\nHTTP/1.1 200 OK\r\n\r\npage"), b"page")

    def test_expects_no_page_with_204(self):
        self.assertEqual(self.page(b"HTTP/1.1 204 No Content\r\n\r\nmore"), b"")

    def test_refuses_what_is_cut_off(self):
        for answer in [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Le",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npag",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npa",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n"]:
            self.refused(answer, "the connection ended")

    def test_tells_how_much_of_a_page_came(self):
        self.refused(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                     "the connection ended after 4 of 10 bytes")

    def test_refuses_what_is_no_answer(self):
        for answer in [b"SSH-2.0-OpenSSH_9.2\r\n", b"<html>\n", b"HTTP/2 200 OK\r\n\r\n",
                       b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.12 200 OK\r\n\r\n",
                       b"HTTP/1.1 -20 OK\r\n\r\n", b"\r\n\r\n"]:
            self.refused(answer, "that is no answer of a web server")
        self.refused(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "a status that makes no sense: 101")
        self.refused(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "too many interim answers")

    def test_refuses_a_length_that_is_none(self):
        for length in [b"-1", b"+4", b"4x", b"0x4", b"", b"4,", b"9" * 30]:
            self.refused(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\npage",
                         "the length of the answer is no number")
        self.refused(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\npage",
                     "the answer has two lengths, 5 and 4")

    def test_refuses_chunks_that_are_none(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for chunk in [b"x\r\n", b"-1\r\n", b"\r\n", b"ffffffffffffffffffff\r\n", b"4 4\r\n"]:
            self.refused(head + chunk, "a chunk of the answer has no proper size")
        self.refused(head + b"4\r\npages\r\n", "a chunk of the answer is longer than it says")
        self.refused(head + b"4" * 10000 + b"\r\n", "a chunk of the answer is too long")
        self.refused(head + b"0\r\n" + b"A: b\r\n" * 2000, "has too many lines")

    def test_refuses_encodings_that_it_does_not_know(self):
        for encoding in [b"gzip", b"gzip, chunked", b"chunked, chunked"]:
            self.refused(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + encoding + b"\r\n\r\n0\r\n\r\n",
                         "encoded in a way not known here")

    def test_refuses_heads_that_do_not_end(self):
        self.refused(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000 + b"\r\n\r\n",
                     "the head of the answer is too long")
        self.refused(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000, "the head of the answer is too long")

    def test_refuses_heads_that_make_no_sense(self):
        for line in [b"no colon", b": no name", b" begins with a blank and no colon"]:
            self.refused(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n", "a line that makes no sense")
        self.refused(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "has a NUL in it")

    def test_fails_where_the_server_says_no(self):
        for status in [b"404 Not Found", b"500 Internal Server Error", b"304 Not Modified", b"300 Choose"]:
            self.refused(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nSorry",
                         "/: " + status.decode())

    def test_follows_redirections(self):
        for status in [301, 302, 303, 307, 308]:
            there = self.answers(b"HTTP/1.1 200 OK\r\n\r\npage")
            here = self.answers(f"HTTP/1.1 {status} x\r\nLocation: {there}/there\r\n\r\nno".encode())
            self.assertEqual(self.get(here + "/here"), (0, b"page", ""))
            self.assertEqual(self.requests[-1].split(" ")[1], "/there")

    def test_follows_every_form_of_a_reference(self):
        for location, expected in {
            "/x/y": "/x/y", "z": "/a/b/z", "./z": "/a/b/z", "../z": "/a/z", "../../../z": "/z",
            "?new": "/a/b/c?new", "#part": "/a/b/c?old", "": "/a/b/c?old", "z?q#f": "/a/b/z?q",
            "z:y": None, "/a b": "/a%20b", "..": "/a/", ".": "/a/b/",
        }.items():
            self.requests.clear()
            url = self.answers(f"HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n".encode(),
                               b"HTTP/1.1 200 OK\r\n\r\npage")
            status, said, errors = self.get(url + "/a/b/c?old")
            if expected is None:
                self.assertEqual(status, 1)
                self.assertIn("only http is spoken here", errors)
                continue
            self.assertEqual((status, said, errors), (0, b"page", ""), location)
            self.assertEqual(self.requests[1].split(" ")[1], expected, location)

    def test_follows_a_reference_to_another_host(self):
        there = self.answers(b"HTTP/1.1 200 OK\r\n\r\npage")
        here = self.answers(f"HTTP/1.1 302 x\r\nlocation:{there[5:]}/z\r\n\r\n".encode())
        self.assertEqual(self.get(here), (0, b"page", ""))

    def test_follows_ten_redirections_and_no_more(self):
        again = b"HTTP/1.1 302 x\r\nLocation: /again\r\n\r\n"
        self.assertEqual(self.get(self.answers(*[again] * 10, b"HTTP/1.1 200 OK\r\n\r\npage")),
                         (0, b"page", ""))
        status, said, errors = self.get(self.answers(*[again] * 11))
        self.assertEqual((status, said, errors), (1, b"", "pier get: more than 10 redirections\n"))

    def test_does_not_follow_into_other_schemes(self):
        for location, expected in {"https://a/": "https is not spoken yet", "file:///etc/passwd": "only http",
                                   "javascript:alert(1)": "only http", "http://": "it names no host"}.items():
            self.refused(f"HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n".encode(), expected)

    def test_never_takes_a_host_for_a_path(self):
        server = self.listen(socket.AF_UNIX, str(self.folder / "80"))
        for url in ["http://unix/", "http://unix:80/", "http://UNIX:/"]:
            status, said, errors = self.get(url, cwd=self.folder)
            self.assertEqual((status, said), (1, b""))
            self.assertRegex(errors, "(?i)unix.:80")
        server.settimeout(0)
        self.assertRaises(BlockingIOError, server.accept)

    def test_writes_its_file_when_it_is_complete(self):
        path = self.folder / "page"
        page = os.urandom(3_000_000)
        self.assertEqual(self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\n" + page), "-o", path),
                         (0, b"", ""))
        self.assertEqual(path.read_bytes(), page)
        self.assertEqual(os.listdir(self.folder), ["page"])

    def test_gives_its_file_the_usual_permissions(self):
        path = self.folder / "page"
        for mask, old, expected in [(0o022, None, 0o644), (0o077, None, 0o600), (0o022, 0o660, 0o660)]:
            path.unlink(missing_ok=True)
            if old:
                path.touch()
                path.chmod(old)
            self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\npage"), "-o", path, umask=mask)
            self.assertEqual(path.stat().st_mode & 0o777, expected)

    def test_keeps_the_old_file_until_the_new_one_is_complete(self):
        path = self.folder / "page"
        path.write_text("old")
        url = self.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nnew", b"HTTP/1.1 404 x\r\n\r\n",
                           b"HTTP/1.1 200 OK\r\n\r\nnew")
        for expected in ["old", "old", "new"]:
            self.get(url, "-o", path)
            self.assertEqual(path.read_text(), expected)
            self.assertEqual(os.listdir(self.folder), ["page"])

    def test_writes_through_a_symbolic_link(self):
        (self.folder / "real").mkdir()
        (self.folder / "real/page").touch()
        (self.folder / "link").symlink_to("real/page")
        self.assertEqual(self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\npage"), "-o",
                                  self.folder / "link")[0], 0)
        self.assertTrue((self.folder / "link").is_symlink())
        self.assertEqual((self.folder / "real/page").read_text(), "page")

    def test_writes_into_a_pipe_as_it_stands(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        client = self.start(PIER, "get", "-o", pipe, self.answers(b"HTTP/1.1 200 OK\r\n\r\npage"))
        self.assertEqual(pipe.read_text(), "page")
        self.assertEqual(client.wait(), 0)
        self.assertTrue(pipe.is_fifo())

    def test_to_a_dash_is_stdout(self):
        self.assertEqual(self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\npage"), "-o", "-"),
                         (0, b"page", ""))

    def test_tells_that_the_disk_is_full(self):
        status, _, errors = self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\npage"), "-o", "/dev/full")
        self.assertEqual((status, errors), (1, "pier get: /dev/full: No space left on device\n"))
        status, _, errors = self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\npage"),
                                     stdout=self.open("/dev/full", "wb"))
        self.assertEqual((status, errors), (1, "pier get: standard output: No space left on device\n"))

    def test_reads_an_answer_that_does_not_wait_for_the_question(self):
        server = self.listen()
        client = self.start(PIER, "get", "http://127.0.0.1:%d/" % server.getsockname()[1])
        connection = self.accept(server)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(client.wait(), 1)
        self.assertIn("503 Busy", client.errors)

    def test_leaves_nothing_behind_when_a_file_may_not_grow(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        status, _, errors = self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000), "-o",
                                     self.folder / "page", preexec_fn=limit)
        self.assertEqual(status, 1)
        self.assertIn("File too large", errors)
        self.assertEqual(os.listdir(self.folder), [])

    def test_asks_nobody_where_it_cannot_write(self):
        for path, expected in {self.folder: "Is a directory", self.folder / "no/page": "No such file",
                               "/dev/null/page": "Not a directory", "x" * 5000: "File name too long",
                               "": "No such file"}.items():
            status, _, errors = self.get(f"http://127.0.0.1:{self.refusing_port()}/", "-o", path)
            self.assertEqual(status, 1, path)
            self.assertIn(expected, errors)

    def half_fetched(self):
        """A get that has been sent half a page, and waits for the rest."""
        server = self.listen()
        client = self.start(PIER, "get", "-o", self.folder / "page",
                            "http://127.0.0.1:%d/" % server.getsockname()[1])
        connection = self.accept(server)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        return client

    def test_leaves_nothing_behind_when_a_signal_ends_it(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            client = self.half_fetched()
            wait_until(lambda: [path for path in self.folder.iterdir() if path.stat().st_size == 4],
                       "no temporary was written")
            client.kill(number)
            self.assertEqual(client.wait(), -number)
            self.assertEqual(os.listdir(self.folder), [])

    def test_never_gives_the_name_to_half_a_file(self):
        client = self.half_fetched()
        wait_until(lambda: os.listdir(self.folder), "no temporary was written")
        client.kill()
        client.wait()
        self.assertFalse((self.folder / "page").exists())

    def test_gives_up_when_its_time_is_over(self):
        def drip(connection, _):
            with contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for _ in range(1000):
                    connection.sendall(b".")
                    time.sleep(0.05)

        began = time.monotonic()
        status, _, errors = self.get(f"http://127.0.0.1:{self.serve(drip)}/", "-w", "0.5", "-o",
                                     self.folder / "page")
        self.assertEqual(status, 1)
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        self.assertIn("Timed out", errors)
        self.assertEqual(os.listdir(self.folder), [])

    def test_ends_quietly_with_a_reader_that_has_enough(self):
        reader, writer = os.pipe()
        client = self.start(PIER, "get", self.answers(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000),
                            stdout=writer)
        os.close(writer)
        os.read(reader, 100)
        os.close(reader)
        self.assertEqual((client.wait(), client.errors), (-signal.SIGPIPE, ""))

    def test_fetches_what_curl_fetches_from_pythons_server(self):
        curl = self.tool("curl")
        self.random_file("page", 2_000_000)
        (self.folder / "sub").mkdir()
        for version in ("HTTP/1.0", "HTTP/1.1"):
            url = f"http://127.0.0.1:{self.serve_folder(version)}"
            for path in ("/page", "/", "/sub", "/sub/"):
                expected = self.run_program(curl, "-sL", url + path)
                self.assertEqual(expected[0], 0)
                self.assertEqual(self.get(url + path), (0, expected[1], ""))
            self.assertIn("404", self.get(url + "/missing")[2])

    def test_fetches_a_page_from_nginx(self):
        nginx = self.tool("nginx")
        port = self.unused_port()
        (self.folder / "www").mkdir()
        (self.folder / "www/page").write_bytes(b"A page.\n" * 50_000)
        (self.folder / "www/sub").mkdir()
        (self.folder / "www/sub/index.html").write_text("the index")
        (self.folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {self.folder}/pid; error_log {self.folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {self.folder}/1; proxy_temp_path {self.folder}/2;
    fastcgi_temp_path {self.folder}/3; uwsgi_temp_path {self.folder}/4; scgi_temp_path {self.folder}/5;
    ssi on; ssi_types *;
    server {{ listen 127.0.0.1:{port}; root {self.folder}/www; index index.html; }}
}}
""")
        server = self.start(nginx, "-p", self.folder, "-e", self.folder / "error.log", "-c",
                            self.folder / "nginx.conf")
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0 or
                   server.process.poll() is not None, "nginx does not listen")
        url = f"http://127.0.0.1:{port}"
        # With server-side includes on, nginx knows no length and answers in chunks.
        self.assertEqual(self.get(url + "/page"), (0, b"A page.\n" * 50_000, ""))
        self.assertEqual(self.get(url + "/sub"), (0, b"the index", ""))
        self.assertIn("404 Not Found", self.get(url + "/missing")[2])

    def test_refuses_a_page_that_is_longer_than_it_may_be(self):
        for answer, expected in {
            b"HTTP/1.1 200 OK\r\nContent-Length: 2049\r\n\r\n": "the page has 2049 bytes, more than 2048",
            b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2049: "the page is longer than 2048 bytes",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n801\r\n" + b"x" * 2049 +
            b"\r\n0\r\n\r\n": "the page is longer than 2048 bytes",
        }.items():
            status, _, errors = self.get(self.answers(answer), "-m", "2K", "-o", self.folder / "page")
            self.assertEqual((status, os.listdir(self.folder)), (1, []))
            self.assertIn(expected, errors)
        self.assertEqual(self.get(self.answers(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2048), "-m", "2K"),
                         (0, b"x" * 2048, ""))

    def test_follows_as_many_redirections_as_it_may_and_tells_of_them(self):
        moved = b"HTTP/1.1 301 Moved\r\nLocation: /next\r\n\r\n"
        status, _, errors = self.get(self.answers(moved, moved), "-r", "1")
        self.assertEqual(status, 1)
        self.assertIn("more than 1 redirections", errors)
        url = self.answers(moved, b"HTTP/1.1 200 Fine\x1b\r\n\r\npage")
        status, said, errors = self.get(url + "/first", "-v", "-r", "1")
        self.assertEqual((status, said), (0, b"page"))
        self.assertEqual(errors, f"pier get: {url}/first: 301 Moved\n"
                         f"pier get: {url}/next: 200 Fine\\x1b\n")

    def test_shows_how_far_it_is_on_a_terminal(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        url = self.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
        done = subprocess.run([PIER, "get", "-o", str(self.folder / "page"), url], stderr=slave)
        os.close(slave)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"100% [", os.read(master, 1000))

    def test_over_ipv6_writes_brackets(self):
        if not programs.has_ipv6():
            self.skipTest("no IPv6 here")
        server = self.listen(socket.AF_INET6, ("::1", 0))
        port = server.getsockname()[1]
        client = self.start(PIER, "get", f"http://[::1]:{port}/")
        connection = self.accept(server)
        self.assertIn(f"\r\nHost: [::1]:{port}\r\n", connection.recv(65536).decode())
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\npage")
        connection.close()
        self.assertEqual((client.wait(), client.said), (0, b"page"))


if __name__ == "__main__":
    programs.main()
