# SPDX-License-Identifier: MIT
"""The tasks of pier in gdb(1), of a process that runs or of a core file:

    pier tasks          every task: number, name, state, what it waits for and since when
    pier task 7 bt      where task 7 is
    pier tasks bt       where each of them is

gdb loads this by itself for an installed libpier.so; else: source .../pier_gdb.py. The library needs
its debug information (-g). Nothing in the process is called or changed.
"""
import re
import time

import gdb
from gdb.unwinder import Unwinder

STATES = ["ready", "running", "waiting", "ended"]
MOST_FRAMES = 1024

# What pier__switch_jump (src/wait/switch_*.S) leaves on a stack: registers, by where they lie above the saved sp.
MACHINES = {
    "i386:x86-64": {
        "sp": "rsp", "pc": "rip", "size": 64, "pc_at": 56,
        "registers": {"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40, "rbp": 48},
    },
    "aarch64": {
        "sp": "sp", "pc": "pc", "size": 176, "pc_at": 88,
        "registers": {f"x{19 + i}": 8 * i for i in range(12)},
    },
}


class Problem(gdb.GdbError):
    """What the user is told."""


def loops():
    """Every loop of the process: the list that begins at the static `loops` of wait/loop.c."""
    for symbol in gdb.lookup_static_symbols("loops"):
        if symbol.symtab.filename.endswith("wait/loop.c"):
            loop = symbol.value()
            while loop:
                yield loop.dereference()
                loop = loop["next"]
            return
    raise Problem("pier: no debug information of the library (is it built with -g, and loaded?)")


def tasks():
    """(loop, task) of every task, in the order of their numbers."""
    for loop in loops():
        found, task = [], loop["tasks"]
        while task:
            found.append(task.dereference())
            task = task["next"]
        yield loop, sorted(found, key=lambda task: int(task["number"]))


def is_here():
    """Is it a process on this machine, so that its clock can be read?"""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    return connection is not None and connection.type == "native"


def seconds(ns):
    return f"{ns / 1e9:.3f} s"


def since(loop, task):
    """How long it has waited; in a core file, where there is no clock, since when."""
    began = int(task["since"])
    if is_here():
        return f"for {seconds(max(0, time.monotonic_ns() - began))}"
    return f"since {seconds(began)} (the loop's last turn: {seconds(int(loop['now']))})"


def waits_for(task):
    count, doing = int(task["pending_count"]), task["doing"]
    what = doing.string() if doing else "the others"
    fds = [str(int(task["pendings"][i]["fd"])) for i in range(min(count, 4))]
    return what + (" on " + ", ".join(fds) if fds else "") + (", ..." if count > 4 else "")


def function_name(task):
    """The one that the task is made of."""
    found = re.search(r"<([^>+]+)", str(task["fn"]))
    return found.group(1) if found else str(task["fn"])


def describe(loop, task):
    name = task["name"].string(errors="replace")
    state = STATES[int(task["state"])]
    words = f"task {int(task['number'])} " + (f'"{name}" ' if name else "")
    words += f"{function_name(task)}(): {state}"
    if state == "waiting":
        words += f" for {waits_for(task)}, {since(loop, task)}"
    return words + (", cancelled" if int(task["cancel"]) else "")


def backend(loop):
    return loop["backend"]["name"].string()


def machine():
    try:
        name = gdb.selected_frame().architecture().name()
    except gdb.error:
        raise Problem("pier: there is no process and no core file") from None
    if name not in MACHINES:
        raise Problem(f"pier: cannot follow the stack of a task on {name}")
    return MACHINES[name]


class TaskUnwinder(Unwinder):
    """
    While there is a task in `task`, the caller of the innermost function of the thread is, to gdb, where that task
    was parked. So no register need be written, which in a core file none can be.
    """

    def __init__(self):
        super().__init__("pier-task")
        self.task = self.machine = self.innermost = None

    def __call__(self, pending):
        if self.task is None:
            return None
        regs = self.machine
        here = tuple(int(pending.read_register(regs[name])) for name in ("sp", "pc"))
        if here != self.innermost:
            return None
        saved = self.task["context"]["sp"].cast(gdb.lookup_type("unsigned long"))
        word = gdb.lookup_type("unsigned long").pointer()

        def at(offset):
            return (saved + offset).cast(word).dereference()

        # Frames must lie above each other, or gdb takes the stack to be corrupt: this one lies just below the task's.
        info = pending.create_unwind_info(FrameId(saved, gdb.Value(here[1])))
        for name, offset in regs["registers"].items():
            info.add_saved_register(name, at(offset))
        info.add_saved_register(regs["pc"], at(regs["pc_at"]))
        info.add_saved_register(regs["sp"], saved + regs["size"])
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


UNWINDER = TaskUnwinder()


def function_of(frame):
    """main (argc=1, argv=...) at file.c:12"""
    name = frame.name() or "??"
    arguments = []
    try:
        block = frame.block()
        while block and not block.function:
            block = block.superblock
        for symbol in block or ():
            if symbol.is_argument:
                value = frame.read_var(symbol).format_string(max_elements=40, repeat_threshold=8)
                arguments.append(f"{symbol.name}={value}")
    except (RuntimeError, gdb.error):
        pass  # no debug information here
    where = frame.find_sal()
    if where.symtab:
        at = f" at {where.symtab.filename}:{where.line}"
    else:
        library = gdb.solib_name(frame.pc())
        at = f" from {library}" if library else ""
    return f"{name} ({', '.join(arguments)}){at}"


def print_frames(frame, inside, regs):
    """The frames from there outwards that lie on the task's own stack. Returns how many."""
    number = 0
    while frame and frame.is_valid() and number < MOST_FRAMES:
        if inside(int(frame.read_register(regs["sp"]))):
            print(f"    #{number:<2} {function_of(frame)}")
            number += 1
        elif number:
            break
        frame = frame.older()
    return number


def on_stack(task):
    bottom = int(task["context"]["bottom"])
    return lambda sp: bottom <= sp <= bottom + int(task["context"]["size"])


def print_running(task, regs):
    """It is where its thread is."""
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        frame = gdb.newest_frame()
        while frame:
            if on_stack(task)(int(frame.read_register(regs["sp"]))):
                print_frames(frame, on_stack(task), regs)
                return
            frame = frame.older() if frame.level() < 8 else None  # a handler on a stack of its own
    print("    (no thread of this process is on its stack)")


def has_begun(task, regs):
    """Else its stack is as pier__switch_make left it: where to go on is the very beginning of a function."""
    word = gdb.lookup_type("unsigned long").pointer()
    pc = int((task["context"]["sp"].cast(gdb.lookup_type("unsigned long")) + regs["pc_at"])
             .cast(word).dereference())
    return "+" in gdb.execute(f"info symbol {pc:#x}", to_string=True).split(" in section")[0]


def print_parked(task, regs):
    # The innermost frame decides whether this is the one to replace; inlined ones share its registers.
    frame = gdb.newest_frame()
    UNWINDER.innermost = tuple(int(frame.read_register(regs[name])) for name in ("sp", "pc"))
    UNWINDER.task, UNWINDER.machine = task, regs
    try:
        gdb.invalidate_cached_frames()
        print_frames(gdb.newest_frame(), on_stack(task), regs)
    finally:
        UNWINDER.task = None
        gdb.invalidate_cached_frames()


def backtrace(task):
    """Whatever is selected stays so."""
    regs = machine()
    thread, level = gdb.selected_thread(), gdb.selected_frame().level()
    try:
        if STATES[int(task["state"])] == "running":
            print_running(task, regs)
        elif not has_begun(task, regs):
            print("    (has not begun)")
        else:
            print_parked(task, regs)
    finally:
        thread.switch()
        gdb.execute(f"frame level {level}", to_string=True)


class Pier(gdb.Command):
    """Tasks of the library pier: pier tasks, pier tasks bt, pier task NUMBER bt."""

    def __init__(self):
        super().__init__("pier", gdb.COMMAND_STACK, prefix=True)


class Tasks(gdb.Command):
    """pier tasks [bt]: every task of every loop, and where it is."""

    def __init__(self):
        super().__init__("pier tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if argument not in ("", "bt"):
            raise Problem("pier tasks, or pier tasks bt")
        count = 0
        for loop, found in tasks():
            count += 1
            print(f"{len(found)} tasks on {backend(loop)}")
            for task in found:
                print("  " + describe(loop, task))
                if argument == "bt":
                    backtrace(task)
        if count == 0:
            print("no loop is running")


class Task(gdb.Command):
    """pier task NUMBER [bt]: one task (of each loop that has one of that number), and where it is."""

    def __init__(self):
        super().__init__("pier task", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        asked = re.fullmatch(r"(\d+)\s*(bt)?", argument.strip())
        if not asked:
            raise Problem("pier task NUMBER bt")
        wanted = [(loop, task) for loop, found in tasks() for task in found
                  if int(task["number"]) == int(asked.group(1))]
        if not wanted:
            raise Problem(f"pier: there is no task {asked.group(1)}")
        for loop, task in wanted:
            print(describe(loop, task))
            if asked.group(2):
                backtrace(task)


gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)
Pier()
Tasks()
Task()
