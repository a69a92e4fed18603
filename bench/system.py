"""What a sandbox costs around its guest: start-up, memory and CPU time when nothing happens in it."""
import os
import pathlib
import signal
import subprocess
import time


def descendants(pid):
    """All processes below pid, found by their parents; in sandboxes too, since this looks from outside."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found += new
        todo += new
    return found


def private_kib(pid):
    """What would be free if only this process ended; None for one that has no memory or is gone."""
    try:
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    return sum(int(value.split()[0]) for name, value in fields.items() if name.startswith("Private_"))


def cpu_ns(pid):
    """CPU time of all threads of a process that live."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[0])
        except OSError:
            pass
    return total


class Idle:
    """A sandbox whose guest sleeps, for the length of a with block."""

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def __enter__(self):
        self.process = subprocess.Popen(self.sandbox.command(["/bin/sleep", "1000"]), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(2)
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.sandbox.name}: an idle sandbox ended with status {self.process.returncode}")
        self.all = [self.process.pid] + descendants(self.process.pid)
        return self

    def __exit__(self, *_):
        for pid in reversed(self.all):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def own(self):
        """Without the guest's processes, and without the launcher, which only waits."""
        return [pid for pid in self.all[1:] if not is_guest(pid)]


def is_guest(pid):
    """A process that holds guest memory: it maps the guest's program, or has no arguments (runsc's stubs)."""
    try:
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
    runs_program = any("/bin/sleep" in line and line.split()[1].startswith("r-x") for line in maps.splitlines())
    return runs_program or not arguments


def memory(sandbox):
    """KiB of all the sandbox's own processes."""
    with Idle(sandbox) as idle:
        return sum(private_kib(pid) or 0 for pid in idle.own())


def idle_cpu(sandbox, seconds=5):
    """Nanoseconds of CPU time that all processes of the sandbox used."""
    with Idle(sandbox) as idle:
        before = {pid: cpu_ns(pid) for pid in idle.all}
        time.sleep(seconds)
        return sum(cpu_ns(pid) - before[pid] for pid in idle.all)
