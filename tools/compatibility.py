#!/usr/bin/env python3
"""Writes docs/compatibility.md from the system call list: which calls are served, partly served, or not, and why.

A row S(name, …) counts only if some family file defines sys_name(). With --check nothing is written; the exit status says
whether the file is up to date.
"""
import pathlib
import re
import subprocess
import sys

TARGET = pathlib.Path("docs/compatibility.md")
ROW = re.compile(r'([SFN])\((\w+)(?:, (\w+))?, "([^"]*)"\)')
WORD = {"SYS_FULL": "yes", "SYS_PARTLY": "partly", "SYS_NO": "no"}


def defined_handlers():
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "sentry/*.c"],
                           capture_output=True, text=True, check=True).stdout.split()
    text = "".join(pathlib.Path(f).read_text() for f in files if pathlib.Path(f).exists())
    return set(re.findall(r"^long sys_(\w+)\(", text, re.M))


def main():
    handlers = defined_handlers()
    rows, served = [], 0
    for kind, name, status, note in ROW.findall(pathlib.Path("sentry/syscalls/syscall_list.h").read_text()):
        answer = status if kind == "F" else WORD[status or "SYS_NO"]
        if kind == "S" and name not in handlers:
            answer, note = "no", note or "not written yet"
        served += answer in ("yes", "partly")
        rows.append(f"| {name} | {answer} | {note} |")
    text = (
        "# Compatibility\n\n"
        "Made by `tools/compatibility.py` from `sentry/syscalls/syscall_list.h`; do not edit. \"no\" means ENOSYS, counted in\n"
        f"`--report`; an error's name that it is the answer always. {served} of {len(rows)} calls have a handler.\n\n"
        "| call | served | what is missing, or why not |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    if "--check" in sys.argv:
        if TARGET.exists() and TARGET.read_text() == text:
            return 0
        print("docs/compatibility.md is out of date: run tools/compatibility.py", file=sys.stderr)
        return 1
    TARGET.write_text(text)
    return 0


sys.exit(main())
