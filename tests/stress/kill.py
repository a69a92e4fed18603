#!/usr/bin/env python3
"""Kills the gofer, the sentry or a stub of a busy sandbox at random moments, and checks that it ends clearly and whole.

After each kill: `sbox run` ends soon, with a status that is not 0 and a line on standard error; no process, mount, cgroup or
temporary file of it is left. A stub that dies takes its guest process with it, or the sandbox: either is fine, if said.
"""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 60  # seconds until a sandbox that was hit counts as hung


def parents():
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(stat.parent.name)] = int(fields[1])
    return found


def descendants(pid, tree=None):
    tree = tree or parents()
    found, grew = {pid}, True
    while grew:
        more = {child for child, parent in tree.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return found - {pid}


def mounts():
    return sorted(line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())


def leftovers(pid):
    """Names that a sandbox could leave behind: in cgroups, in the folders for temporary and for run-time files."""
    found = set()
    for base, _, _ in os.walk("/sys/fs/cgroup"):
        if "sbox" in os.path.basename(base) and str(pid) in os.path.basename(base):
            found.add(base)
    for folder in ("/tmp", "/run", "/run/sbox", "/var/tmp", "/dev/shm"):
        if os.path.isdir(folder):
            found |= {f"{folder}/{name}" for name in os.listdir(folder) if "sbox" in name}
    return found


def start(options):
    command = [str(options.sbox), "run", "--platform", options.platform, "--ro", str(options.program.parent), "--",
               str(options.program), "1000", "6", "3"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)


def choose(pid, role):
    """A process of the sandbox, all from one look at it: the launcher's children are the gofer and the sentry (there may be
    none yet), stubs are below the sentry."""
    tree = parents()
    children = sorted(child for child, parent in tree.items() if parent == pid)
    if role == "launcher":
        return pid
    if role == "part":
        return random.choice(children or [pid])
    stubs = sorted(descendants(pid, tree) - set(children))
    return random.choice(stubs) if stubs else (children or [pid])[-1]


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"


def wait_gone(pids):
    """Those of pids that are still there after a while."""
    for _ in range(200):
        left = pids & set(parents())
        if not left:
            return left
        time.sleep(0.05)
    return left


def one(options, role):
    """One kill in a sandbox of its own, which ends with it whatever happens here; true if all went well."""
    before_mounts, before = mounts(), leftovers(0)
    process = start(options)
    try:
        return kill_in(process, options, role, before_mounts, before)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def kill_in(process, options, role, before_mounts, before):
    time.sleep(random.uniform(0.0, options.longest))
    victim = choose(process.pid, role)
    victim_name, everybody = name_of(victim), descendants(process.pid)
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        pass
    wrong = []
    still = role == "stub"  # the guest may well go on without one of its processes
    try:
        _, errors = process.communicate(timeout=3 if still else LIMIT)
    except subprocess.TimeoutExpired:
        everybody |= descendants(process.pid)
        if not still:
            wrong.append(f"hangs after its {victim_name} was killed")
        os.kill(process.pid, signal.SIGTERM)
        try:
            _, errors = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            wrong.append("does not end at SIGTERM either")
            os.kill(process.pid, signal.SIGKILL)
            errors = process.communicate()[1]
    if process.returncode == 0:
        wrong.append("ends with status 0")
    if role == "part" and victim != process.pid and not errors.strip():
        wrong.append(f"says nothing (status {process.returncode})")
    left = wait_gone(everybody)
    if left:
        wrong.append(f"leaves processes: {' '.join(f'{pid} {name_of(pid)}' for pid in sorted(left))}")
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    if mounts() != before_mounts:
        wrong.append(f"leaves mounts: {sorted(set(mounts()) - set(before_mounts))}")
    new = {name for name in leftovers(process.pid) - before if not options.shared}
    if new:
        wrong.append(f"leaves {' '.join(sorted(new))}")
    last = (errors.strip().splitlines() or ["nothing"])[-1]
    print(f"{'FAILED' if wrong else 'ok':<7} {role}: killed {victim_name}, status {process.returncode}, said: {last[:150]}")
    for words in wrong:
        print(f"        {words}")
    sys.stdout.flush()
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("times", nargs="?", type=int, default=20)
    parser.add_argument("--platform", default="seccomp", choices=["seccomp", "ptrace"])
    parser.add_argument("--sbox", type=pathlib.Path, default=ROOT / "build/release/sbox")
    parser.add_argument("--program", type=pathlib.Path, help="what the guest runs (default: mixed, beside sbox)")
    parser.add_argument("--longest", type=float, default=2.0, help="seconds within which the kill comes")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--shared", action="store_true", help="others run sandboxes too: do not look at names left behind")
    options = parser.parse_args()
    options.sbox = options.sbox.resolve()
    options.program = (options.program or options.sbox.parent / "tests/stress/mixed").resolve()
    for needed in (options.sbox, options.program):
        if not os.access(needed, os.X_OK):
            sys.exit(f"kill: {needed} is not there: ./dev build")
    random.seed(options.seed)
    results = [one(options, random.choice(["part", "part", "stub", "launcher"])) for _ in range(options.times)]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # on the way out what was started is ended
    sys.exit(main())
