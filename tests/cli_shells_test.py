#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the shells complete of the command, asked of the real bash, zsh and fish; and its man pages.

Both come from the tables that --help prints, and so does the list of verbs here: a new verb is
tested without a word in this file."""
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time

import programs
from programs import PATIENCE, PIER, TOP

SHELLS = TOP / "cli/shells"


class Shells(programs.Case):
    def setUp(self):
        super().setUp()
        for name in ("page.html", "page two", "other"):
            (self.folder / name).touch()
        (self.folder / "sub").mkdir()
        self.env = {"PATH": f"{pathlib.Path(PIER).parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                    "HOME": str(self.folder / "sub"), "TERM": "dumb", "SHELLS": str(SHELLS)}

    def complete(self, *words):
        """What the command itself answers, as a dictionary."""
        status, said, errors = self.run_program(PIER, "--complete", *words)
        self.assertEqual((status, errors), (0, ""), words)
        return dict(line.partition("\t")[::2] for line in said.decode().splitlines())

    def helps(self):
        """verb, its summary, its --help."""
        said = self.run_program(PIER, "--help")[1].decode()
        for verb, summary in re.findall(r"(?m)^  (\w+) +(\w.*)", said):
            yield verb, summary, self.run_program(PIER, verb, "--help")[1].decode()

    def options(self, text):
        """The options and operands that a --help lists, each with the beginning of what it says."""
        rows = re.findall(r"(?m)^  (\S.*?)   +(\S.*)$", text[text.index("usage: "):])
        return {word: said for label, said in rows for word in re.findall(r"--?[\w-]+|\S+", label)
                if word.startswith("-")}

    def ask(self, *command):
        done = subprocess.run(command, env=self.env, cwd=self.folder, timeout=PATIENCE, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        return done.stdout.splitlines()

    def type(self, command, begin, *lines):
        """Types lines into a shell on a terminal, each with a TAB and then printed by echo: what stood there."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe(command[0], command, self.env)
        said = b""

        def until(mark):
            nonlocal said
            end = time.monotonic() + PATIENCE
            while mark not in said:
                left = end - time.monotonic()
                if left < 0 or not select.select([terminal], [], [], left)[0]:
                    raise AssertionError(f"{command[0]} does not say {mark!r}: {said[-2000:]!r}")
                said += os.read(terminal, 65536)

        try:
            os.write(terminal, begin.encode() + b"; echo re''ady\n")
            until(b"ready")
            found = []
            for number, line in enumerate(lines):
                # What TAB has made of the line is then an argument of a command that prints it.
                os.write(terminal, line.encode() + b"\t\x05\x01printf '<%s>' \x05; echo d''one" + b"%d\n" % number)
                until(b"done%d" % number)
                plain = re.sub(rb"\x1b\[[?\d;]*[a-zA-Z]|\r|\n", b"", said).decode()
                found.append(re.findall("<([^<>%]*)>", plain[plain.rindex("<pier>"):]))
            return found
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)

    def bash(self, line):
        """COMPREPLY, as bash cuts the line into words at COMP_WORDBREAKS."""
        words = [word for word in re.findall(r"[=:]+|[^\s=:]+", line)] + ([""] if line[-1] == " " else [])
        script = f'. "$SHELLS/pier.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' \
                 f'COMP_LINE=$LINE COMP_POINT=${{#LINE}}; _pier; printf "%s\\n" "${{COMPREPLY[@]}}"'
        self.env["LINE"] = line
        return self.ask(self.tool("bash"), "--norc", "-c", script, "bash", *words)

    def fish(self, line):
        return dict(part.partition("\t")[::2] for part in self.ask(
            self.tool("fish"), "--no-config", "-c",
            f'source $SHELLS/pier.fish; complete -C "{line}"'))


class Command(Shells):
    def test_completion_and_man_page_tell_of_every_verb_and_option_as_help_does(self):
        verbs = {verb: summary for verb, summary, _ in self.helps()}
        self.assertEqual(self.complete(""), {**verbs, "help": "tell of a verb"})
        self.assertEqual(self.complete("help", ""), verbs)
        page = self.man()
        for verb, summary, text in self.helps():
            self.assertRegex(page, rf"(?m)^ +{verb} +{re.escape(summary[:20])}", verb)
            self.assertIn(f"pier-{verb}(1)", page)
            options = self.options(text)
            self.assertIn("--help", options)
            found = self.complete(verb, "-")
            self.assertEqual(list(found), list(options), verb)
            for word, said in options.items():
                self.assertTrue(found[word].startswith(said), f"{verb} {word}")
            of_verb = self.man(verb)
            self.assertIn(summary, " ".join(of_verb.split()))
            rows = re.findall(r"(?m)^  (\S.*?)   +(\S.*)$", text[text.index("usage: "):])
            for label, _ in rows:
                self.assertRegex(of_verb, rf"(?m)^ +{re.escape(label.strip())}( |$)", verb)

    def man(self, *verb):
        status, said, errors = self.run_program(PIER, "--man", *verb)
        self.assertEqual((status, errors), (0, ""))
        (self.folder / "page.1").write_bytes(said)
        done = subprocess.run([self.tool("man"), "--warnings", "-l", self.folder / "page.1"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                              env={**self.env, "MANWIDTH": "200", "MAN_KEEP_FORMATTING": ""})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return re.sub(".\b", "", done.stdout)

    def test_man_pages_have_no_faults(self):
        lint = self.tool("mandoc")
        for verb in [[], *[[verb] for verb, _, _ in self.helps()]]:
            page = self.man(*verb)
            for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES",
                            "SEE ALSO"):
                self.assertRegex(page, rf"(?m)^{heading}$", verb)
            done = subprocess.run([lint, "-Tlint", "-Wwarning", self.folder / "page.1"],
                                  stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
            # There is no date: the version says more.
            faults = [line for line in done.stdout.splitlines() if "missing date" not in line]
            self.assertEqual(faults, [], verb)

    def test_man_of_no_verb_is_misuse(self):
        self.assertEqual(self.run_program(PIER, "--man", "frobnicate")[0], 2)
        self.assertEqual(self.run_program(PIER, "--man", "get", "get")[0], 2)
        self.assertEqual(self.run_program(PIER, "--complete")[0], 2)

    def test_what_comes_next_is_what_the_line_leaves_open(self):
        files, nothing = {"@": ""}, {}
        for line, expected in {
            "get -o": {"-o": "write to FILE instead; - is stdout"},
            "get -o |": files,
            "get -vo |": files,
            "get -vopa": {"@-vo": ""},
            "get --output |": files,
            "get --outp |": files,
            "get --output=": {"@--output=": ""},
            "get -o x -w |": nothing,
            "get -w 5 --verb": {"--verbose": "tell on stderr what each server answers"},
            "get -- -": nothing,
            "send |": files,
            "send -q |": files,
            "send -w 5 |": files,
            "send -w5 |": files,
            "send -- |": files,
            "send -- -q": files,
            "send a unix:": {"@unix:": ""},
            "send a unix:@": nothing,
            "receive unix:a |": files,
            "receive -m 1K :1 |": files,
            "connect -s unix:/": {"@unix:": ""},
            "connect --source=unix:/": {"@--source=unix:": ""},
            "connect lo": {"localhost:": "this host"},
            "connect vsock:": nothing,
            "connect there:https": {"there:https": "443/tcp"},
            "explain econn": nothing,
            "explain ECONNREF": {"ECONNREFUSED": "Connection refused"},
            "explain PIER_EPO": {"PIER_EPORT": "port must be 0-65535"},
            "port gophe": {"gopher": "70/tcp"},
            "frobnicate |": nothing,
            "--man expl": {"explain": "explain an error"},
            "help expl": {"explain": "explain an error"},
            "help explain |": nothing,
            "--ver": {"--version": "which pier this is"},
        }.items():
            words = [word if word != "|" else "" for word in line.split(" ")]
            self.assertEqual(self.complete(*words), expected, line)
        # All operands are there: options are what is left.
        self.assertIn("--wait", self.complete("send", "a", ":1", ""))
        self.assertIn("--max-size", self.complete("get", "-v", "--m"))

    def test_what_is_told_as_a_choice_of_words_is_completed(self):
        for verb, _, text in self.helps():
            for what in re.findall(r"(?m)^  [A-Z]\S* +([a-z0-9-]+(?:, [a-z0-9-]+)* or [a-z0-9-]+)$", text):
                self.assertEqual(list(self.complete(verb, "")), re.split(", | or ", what), verb)

    def test_completion_survives_any_words(self):
        for verb in ["connect", "receive", "explain", "", "-", "help", "x" * 5000]:
            for word in ("", "-", "---", "-=", "--=", "--x=y", "\x1b", "\xff", "%s%n", "x" * 5000,
                         "-" + "x" * 5000, "unix:", "::::", "a:" + "b" * 5000):
                self.complete(verb, word)
                self.complete(verb, "a", "b", word, word)

    def test_completion_that_cannot_be_written_is_a_failure(self):
        for words in [["--complete", ""], ["--man"], ["--man", "get"]]:
            status, _, errors = self.run_program(PIER, *words, stdout=self.open("/dev/full", "wb"))
            self.assertEqual(status, 1)
            self.assertIn("No space left on device", errors)


class Bash(Shells):
    def test_bash_completes_verbs_and_options(self):
        for verb, _, text in self.helps():
            self.assertIn(verb, self.bash(f"pier {verb[:2]}"))
            self.assertEqual(self.bash(f"pier {verb} -"), list(self.options(text)))

    def test_bash_completes_behind_colons_and_equals_signs(self):
        self.assertEqual(self.bash("pier connect lo"), ["localhost:"])
        self.assertEqual(self.bash("pier connect localhost:https"), ["https"])
        self.assertEqual(self.bash("pier connect --source=localhost:https"), ["https"])
        self.assertEqual(self.bash("pier connect :https"), ["https"])
        self.assertEqual(sorted(self.bash("pier get -opag")), ["-opage two", "-opage.html"])

    def test_bash_completes_at_the_cursor_and_not_behind_it(self):
        words = ["pier", "lis", "b"]
        script = '. "$SHELLS/pier.bash"; COMP_WORDS=("$@"); COMP_CWORD=1; ' \
                 'COMP_LINE="pier lis b" COMP_POINT=7; _pier; printf "%s\\n" "${COMPREPLY[@]}"'
        self.assertEqual(self.ask(self.tool("bash"), "--norc", "-c", script, "bash", *words), ["listen"])

    def test_bash_completes_on_a_terminal(self):
        found = self.type([self.tool("bash"), "--norc", "--noprofile", "-i"], '. "$SHELLS/pier.bash"',
                          "pier li", "pier get --outp", "pier get -o page.h", "pier get --output=oth",
                          "pier connect localhost:https", "pier connect loca", "pier connect unix:oth",
                          "pier connect -s unix:oth", "pier send su", "pier send page\\ t", "pier send 'page t")
        self.assertEqual(found, [
            ["pier", "listen"], ["pier", "get", "--output"], ["pier", "get", "-o", "page.html"],
            ["pier", "get", "--output=other"], ["pier", "connect", "localhost:https"],
            ["pier", "connect", "localhost:"], ["pier", "connect", "unix:other"],
            ["pier", "connect", "-s", "unix:other"], ["pier", "send", "sub/"], ["pier", "send", "page two"],
            ["pier", "send", "page two"]])


class Zsh(Shells):
    def test_zsh_completes_on_a_terminal(self):
        begin = "fpath=($SHELLS $fpath); autoload -Uz compinit; compinit -D -u"
        found = self.type([self.tool("zsh"), "-f", "-i"], begin,
                          "pier li", "pier get --outp", "pier get -o page.h", "pier get --output=oth",
                          "pier connect localhost:https", "pier connect loca", "pier get -ooth",
                          "pier connect unix:oth", "pier connect -s unix:oth", "pier send page\\ t",
                          "pier send 'page t", "pier explain ECONNREF", "pier port gophe",
                          "pier help expl")
        self.assertEqual(found, [
            ["pier", "listen"], ["pier", "get", "--output"], ["pier", "get", "-o", "page.html"],
            ["pier", "get", "--output=other"], ["pier", "connect", "localhost:https"],
            ["pier", "connect", "localhost:"], ["pier", "get", "-oother"],
            ["pier", "connect", "unix:other"], ["pier", "connect", "-s", "unix:other"],
            ["pier", "send", "page two"], ["pier", "send", "page two"],
            ["pier", "explain", "ECONNREFUSED"], ["pier", "port", "gopher"],
            ["pier", "help", "explain"]])


class Fish(Shells):
    def test_fish_completes_verbs_and_options_with_what_they_do(self):
        for verb, summary, text in self.helps():
            self.assertEqual(self.fish(f"pier {verb}").get(verb), summary)
            found = self.fish(f"pier {verb} --")
            self.assertEqual(set(found), {word for word in self.options(text) if word[:2] == "--"})

    def test_fish_completes_values_and_files(self):
        self.assertEqual(self.fish("pier explain ECONNREF"), {"ECONNREFUSED": "Connection refused"})
        self.assertEqual(self.fish("pier port gophe"), {"gopher": "70/tcp"})
        self.assertEqual(set(self.fish("pier connect localhost:https")), {"localhost:https"})
        self.assertEqual(set(self.fish("pier send page")), {"page.html", "page two"})
        self.assertEqual(set(self.fish("pier get -o su")), {"sub/"})
        self.assertEqual(set(self.fish("pier get --output=oth")), {"--output=other"})
        self.assertEqual(set(self.fish("pier connect unix:oth")), {"unix:other"})


if __name__ == "__main__":
    programs.main()
