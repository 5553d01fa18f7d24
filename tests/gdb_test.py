#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The commands of tools/gdb/pier_gdb.py, on a process that runs and on a core file of one."""
import os
import pathlib
import re
import resource
import signal

import programs

SCRIPT = str(programs.TOP / "tools/gdb/pier_gdb.py")
PARKED = str(programs.BUILD / "tests/parked")

# What the program's own functions look like in a backtrace, from the innermost on.
OWN = {
    "reader": ["wait_deeply", "wait_deeply", "wait_deeply", "wait_deeply", "receives"],
    "sleeper": ["sleeps"],
    "main": ["tells", "begin"],
}


class Gdb(programs.Case):
    def setUp(self):
        super().setUp()
        if programs.sanitized():
            self.skipTest("a sanitizer holds its own view of stacks, and of who traces")
        self.gdb = self.tool("gdb")

    def parked(self, *arguments, **more):
        program = self.start(PARKED, *arguments, cwd=self.folder, **more)
        self.assertEqual(program.line(), f"ready {arguments[0]}")
        state = pathlib.Path(f"/proc/{program.pid}/stat")
        programs.wait_until(lambda: state.read_text().split(") ")[1][0] == "S", f"{program} does not wait")
        return program

    def ask(self, target, *commands):
        """What gdb says to these commands."""
        words = [self.gdb, "-nx", "-batch", *target, "-x", SCRIPT]
        for command in commands:
            words += ["-ex", command]
        status, said, errors = self.run_program(*words)
        if "ptrace: Operation not permitted" in errors:
            self.skipTest("tracing is not permitted here")
        self.assertNotIn("Python Exception", errors)
        self.assertEqual(status, 0, errors)
        return said.decode(), errors

    def check_list(self, said, since):
        self.assertIn("4 tasks on ", said)
        for line in (rf'task 1 "main" begin\(\): waiting for a point in time, {since}',
                     rf'task 2 "reader" receives\(\): waiting for recv on \d+, {since}',
                     rf'task 3 "sleeper" sleeps\(\): waiting for a point in time, {since}',
                     rf"task 4 joins\(\): waiting for a task, {since}"):
            self.assertRegex(said, line)

    def check_frames(self, said, name):
        """The frames of one task: the program's own, as they called each other, and all of them on its stack."""
        part = re.search(rf'task \d+ "{name}".*\n((?:    #.*\n)+)', said)
        self.assertTrue(part, said)
        frames = re.findall(r"^    #(\d+) +(\w+) \((.*?)\) at (\S+):\d+$", part.group(1), re.M)
        self.assertEqual([int(number) for number, *_ in frames], list(range(len(frames))))
        own = [function for _, function, _, file in frames if file.endswith("parked.c")]
        self.assertEqual(own, OWN[name])
        if name == "reader":
            depths = [text for _, function, text, _ in frames if function == "wait_deeply"]
            self.assertEqual([text.split("depth=")[1] for text in depths], ["0", "1", "2", "3"])

    def test_tasks_of_a_live_process_are_listed(self):
        for backend in "epoll", "uring":
            program = self.parked(backend)
            said, _ = self.ask(["-p", program.pid], "pier tasks")
            self.assertIn(f"4 tasks on {backend}", said)
            self.check_list(said, r"for \d+\.\d{3} s")

    def test_backtraces_of_parked_tasks_are_their_own(self):
        for backend in "epoll", "uring":
            program = self.parked(backend)
            said, _ = self.ask(["-p", program.pid], "pier tasks bt")
            for name in OWN:
                self.check_frames(said, name)
            said, _ = self.ask(["-p", program.pid], "pier task 2 bt")
            self.check_frames(said, "reader")
            self.assertNotIn("sleeper", said)

    def test_what_was_selected_stays_so_and_the_process_goes_on(self):
        program = self.parked("epoll")
        said, _ = self.ask(["-p", program.pid], "up 2", "echo MARK\\n", "frame", "bt", "echo MARK\\n",
                           "pier tasks bt", "pier tasks bt", "echo MARK\\n", "frame", "bt",
                           "echo MARK\\n")
        _, before, _, after, _ = said.split("MARK\n")
        self.assertRegex(before, "^#2 ")
        self.assertEqual(before, after)
        self.assertIsNone(program.process.poll())

    def test_task_that_runs_is_where_its_thread_is_and_one_that_never_did_says_so(self):
        program = self.parked("epoll", "busy")
        said, _ = self.ask(["-p", program.pid], "pier tasks bt")
        self.assertRegex(said, r'task 1 "main" begin\(\): running\n(    #.*\n)*    #\d+ +stop_here \(')
        self.assertRegex(said, r'task \d+ "last" never_begun\(\): ready\n    \(has not begun\)\n')
        self.check_frames(said, "reader")

    def test_core_file_tells_the_same(self):
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        if not re.fullmatch(r"[\w.%-]+", pattern):
            self.skipTest("core files are not written to the folder of the program here")
        if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
            self.skipTest("core files are not permitted here")
        for backend in "epoll", "uring":
            infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            program = self.parked(
                backend, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, infinite))
            program.kill(signal.SIGABRT)
            self.assertEqual(program.wait(), -signal.SIGABRT)
            cores = list(self.folder.iterdir())
            if not cores:
                self.skipTest("no core file was written")
            said, _ = self.ask([PARKED, cores[0]], "pier tasks bt")
            self.check_list(said, r"since \d+\.\d{3} s \(the loop's last turn: \d+\.\d{3} s\)")
            for name in OWN:
                self.check_frames(said, name)
            cores[0].unlink()

    def test_what_cannot_be_is_refused_in_a_sentence(self):
        program = self.parked("epoll")
        for command, sentence in (("pier task 99 bt", "there is no task 99"),
                                  ("pier task x bt", "pier task NUMBER bt"),
                                  ("pier tasks nonsense", "pier tasks, or pier tasks bt")):
            words = [self.gdb, "-nx", "-batch", "-p", program.pid, "-x", SCRIPT, "-ex", command]
            _, _, errors = self.run_program(*words)
            if "ptrace: Operation not permitted" in errors:
                self.skipTest("tracing is not permitted here")
            self.assertIn(sentence, errors)
            self.assertNotIn("Traceback", errors)
        _, _, errors = self.run_program(self.gdb, "-nx", "-batch", "-x", SCRIPT, "-ex", "pier tasks",
                                        "/bin/true")
        self.assertIn("no debug information of the library", errors)


os.environ["DEBUGINFOD_URLS"] = ""
programs.main()
