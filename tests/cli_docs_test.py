#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What docs/command.md says of the command: its sessions are run, and its table is compared with --help.

A block marked ```console holds commands after "$ " and what they print; a line "..." stands for any
lines, and "..." within a line for any text. The commands run in a folder of their own. The seconds that they give
a server to start are as long as it needs: until its socket "s", or "where" it is, is there.
"""
import pathlib
import re
import subprocess

import programs
from programs import PATIENCE, PIER, TOP

TEXT = (TOP / "docs/command.md").read_text()


class Docs(programs.Case):
    def sessions(self):
        for block in re.findall(r"(?ms)^```console\n(.*?)^```", TEXT):
            yield [tuple(part.split("\n", 1)) for part in re.split(r"(?m)^\$ ", block)[1:]]

    def test_the_sessions_of_the_document_go_as_it_says(self):
        script = 'PATH="$PIER_FOLDER:$PATH"; trap "kill 0" EXIT; ' \
            'sleep() { until [ -S s ] || [ -s where ]; do command sleep 0.1; done; command sleep 0.3; }; '
        for session in self.sessions():
            for command, expected in session:
                done = subprocess.run(
                    ["sh", "-c", script + command], cwd=self.folder, timeout=PATIENCE, text=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={"PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                         "PIER_FOLDER": str(pathlib.Path(PIER).parent)})
                pattern = re.escape(expected).replace("\\.\\.\\.\\\n", "(?:.*\n)*").replace(
                    r"\.\.\.", ".*")
                self.assertRegex(done.stdout, rf"\A{pattern}\Z", command)

    def test_the_table_of_the_document_has_every_verb_with_its_usage(self):
        said = self.run_program(PIER, "--help")[1].decode()
        verbs = re.findall(r"(?m)^  (\w+) +\w", said)
        rows = dict(re.findall(r"(?m)^\| `pier (\w+)([^`]*)` \|", TEXT))
        self.assertEqual(list(rows), verbs)
        for verb, row in rows.items():
            help_text = self.run_program(PIER, verb, "--help")[1].decode()
            usage = re.search(r"usage: pier (\w+)((?:.+\n)+)", help_text).group(2)
            self.assertEqual(row.replace("\\|", "|").split(), usage.split(), verb)


if __name__ == "__main__":
    programs.main()
