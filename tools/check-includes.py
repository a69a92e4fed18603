#!/usr/bin/env python3
"""Checks that folders include downward only.

Each folder below may include headers of itself and of the folders listed for it; `lib/` and `include/` are open to all.
kernel/ is the base of the sentry: what it needs of upper layers (files, mm) it holds as opaque pointers.
"""
import pathlib
import re
import subprocess
import sys

ALLOWED = {
    "lib": [],
    "include": [],
    "gofer": [],
    "platform": [],
    "runtime": [],
    "sentry/net": ["sentry/kernel", "sentry/mm", "sentry/vfs"],
    "sentry/kernel": ["sentry/mm"],
    "sentry/mm": ["sentry/kernel", "sentry/vfs"],
    "sentry/vfs": ["sentry/kernel", "sentry/mm", "sentry/fs"],
    "sentry/fs": ["sentry/kernel", "sentry/mm", "sentry/vfs", "sentry/net"],
    "sentry/syscalls": ["sentry"],
    "sentry/control": ["sentry"],
    "sentry/boot": ["sentry", "platform"],
}
# Exit, clone and reaping end or copy what upper layers own, and report to the dispatcher. Until that goes through a table
# of operations these files, and no others, may look up.
UPWARD = {
    "sentry/kernel/clone.c": ["sentry/vfs/"],
    "sentry/kernel/exit.c": ["sentry/vfs/", "sentry/syscalls/"],
    "sentry/kernel/futex.c": ["sentry/vfs/vfs.h"],
    "sentry/kernel/signal_deliver.c": ["sentry/syscalls/syscalls.h"],
    "sentry/kernel/reap.c": ["sentry/syscalls/dispatch.h"],
    "sentry/kernel/signal_stop.c": ["sentry/syscalls/dispatch.h"],
    "sentry/kernel/task.c": ["sentry/vfs/"],
}
OPEN = {"lib", "include"}


def folder_of(path):
    for folder in sorted(ALLOWED, key=len, reverse=True):
        if path.startswith(folder + "/"):
            return folder
    return None


def main():
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], capture_output=True, text=True, check=True).stdout.split()
    bad = 0
    for name in files:
        folder = folder_of(name)
        if folder is None:
            continue
        for number, line in enumerate(pathlib.Path(name).read_text().splitlines(), 1):
            match = re.match(r'#include "([^"]+)"', line)
            if not match:
                continue
            target = match.group(1)
            top = target.split("/")[0]
            if top in OPEN or target.startswith(folder + "/"):
                continue
            if any(target.startswith(a + "/") for a in ALLOWED[folder]):
                continue
            if any(target.startswith(a) for a in UPWARD.get(name, [])):
                continue
            print(f"{name}:{number}: {folder}/ may not include {target}")
            bad += 1
    return 1 if bad else 0


sys.exit(main())
