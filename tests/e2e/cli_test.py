#!/usr/bin/env python3
"""The command line of `sbox run`: exit codes, options, signals, terminal, users, and what is left when parts of it die.

Prints one line a test, `ok` or `FAILED`, and exits non-zero if any failed. Usage: cli_test.py [--sbox FILE]
[--platform NAME] [TEST…]; without names all tests run.
"""
import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import random
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMIT = 60  # seconds until a run counts as hung
TESTS = []
STARTED = []  # processes of the test that is running: ended with it, however it ends
SBOX = ROOT / "build/dev/sbox"
PLATFORM = "ptrace"
IS_ROOT = os.geteuid() == 0
BASE = "/var" if IS_ROOT else "/var/tmp"  # for folders that are to be shown


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def command(*args):
    return [str(SBOX), "run", "--platform", PLATFORM, *map(str, args)]


def sbox(*args, **kwargs):
    kwargs.setdefault("cwd", "/usr")
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(command(*args), capture_output=True, text=True, timeout=LIMIT, **kwargs)


def start(*args, **kwargs):
    kwargs.setdefault("cwd", "/usr")
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    p = subprocess.Popen(command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    STARTED.append(p)
    return p


def end_started():
    while STARTED:
        p = STARTED.pop()
        if p.poll() is None:
            p.kill()  # the sandbox goes with it, see sbox_killed()
        p.communicate()


def wait_for_line(process, text):
    """Reads the process' output line by line until one is `text`."""
    for line in process.stdout:
        if line.rstrip("\n") == text:
            return
    raise AssertionError(f"no line {text!r} came; stderr: {process.stderr.read()!r}")


def equal(got, wanted, what=""):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


def one_line(result, code, words):
    """It failed as sbox's own failures do: this exit code and one clear line."""
    equal(result.returncode, code, "exit code")
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("sbox: "), f"not one line: {result.stderr!r}"
    assert re.search(words, lines[0]), f"{words!r} is not in {lines[0]!r}"


def output(result, text, code=0):
    equal(result.stdout, text, f"output (stderr {result.stderr!r})")
    equal(result.returncode, code, "exit code")


def children(pid):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            pass
    return found


def family(pid):
    """pid's descendants."""
    result = []
    for child in children(pid):
        result += [child, *family(child)]
    return result


def signal_all(pids, sig):
    """Those of pids that have ended meanwhile are left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)


def alive(pid):
    try:
        return "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def wait_until_gone(pids, what, seconds=5):
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end, f"{what}: still there: {[p for p in pids if alive(p)]}"
        time.sleep(0.02)


def processor_time(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def dead_cgroups():
    """Cgroups of sandboxes that have ended; others' sandboxes that live, or come and go meanwhile, are no concern here."""
    names = (f"{base}/{name}" for base, folders, _ in os.walk("/sys/fs/cgroup") for name in folders)
    return {name for name in names if (m := re.search(r"/sbox-(\d+)$", name)) and not alive(m[1])}


def no_cgroups_left(before, seconds=5):
    end = time.monotonic() + seconds
    while dead_cgroups() - before and time.monotonic() < end:
        time.sleep(0.05)
    equal(dead_cgroups() - before, set(), "cgroups left")


# ---- exit codes ----


@test
def code_of_the_program():
    for code in (0, 1, 3, 125, 255):
        equal(sbox("sh", "-c", f"exit {code}").returncode, code)


@test
def code_of_a_signal():
    for name, number in (("KILL", 9), ("TERM", 15), ("SEGV", 11), ("ABRT", 6), ("INT", 2), ("USR1", 10), ("PIPE", 13)):
        equal(sbox("sh", "-c", f"kill -{name} $$").returncode, 128 + number, name)


@test
def program_not_found():
    one_line(sbox("no-such-program"), 127, "no-such-program")
    one_line(sbox("/no/such/program"), 127, "/no/such/program")
    one_line(sbox("./no-such-program"), 127, "no-such-program")


@test
def program_cannot_be_run():
    one_line(sbox("/etc/passwd"), 126, "/etc/passwd.*Permission denied")
    one_line(sbox("/etc"), 126, "/etc.*directory")
    with tempfile.TemporaryDirectory() as d:
        bad = pathlib.Path(d, "bad")
        bad.write_bytes(b"\x7fELF" + bytes(100))
        bad.chmod(0o755)
        one_line(sbox("--ro", d, bad), 126, "Exec format error")


@test
def script_without_interpreter_line():
    with tempfile.TemporaryDirectory() as d:
        script = pathlib.Path(d, "script")
        script.write_text("echo $0 $1; exit 4\n")
        script.chmod(0o755)
        output(sbox("--ro", d, script, "word"), f"{script} word\n", 4)


@test
def odd_program_files():
    with tempfile.TemporaryDirectory() as d:
        def program(content, mode=0o755):
            path = pathlib.Path(d, f"program{len(os.listdir(d))}")
            path.write_bytes(content)
            path.chmod(mode)
            return path

        elf = pathlib.Path(shutil.which("true")).read_bytes()
        one_line(sbox(""), 125, "no program")
        one_line(sbox("--ro", d, program(b"#!/no/interpreter\n")), 127, "interpreter that it needs.*No such file")
        one_line(sbox("--ro", d, program(elf.replace(b"/ld-", b"/no-"))), 127, "interpreter that it needs")
        one_line(sbox("--ro", d, program(elf, 0o644)), 126, "Permission denied")
        for length in (64, 200, 5000):
            one_line(sbox("--ro", d, program(elf[:length])), 126, "Exec format error")
        loop = program(b"")
        loop.write_bytes(b"#!" + bytes(loop) + b"\n")
        one_line(sbox("--ro", d, loop), 126, "Too many levels")
        os.symlink("link", pathlib.Path(d, "link"))
        one_line(sbox("--ro", d, f"{d}/link"), 126, "Too many levels")
        os.mkfifo(pathlib.Path(d, "fifo"), 0o755)
        one_line(sbox("--ro", d, f"{d}/fifo"), 126, "Permission denied")
        output(sbox("--ro", d, program(b"")), "")
        output(sbox("--ro", d, program(b"#!/bin/sh\nexit 9")), "", 9)


@test
def mutated_program_files():
    """Whatever its headers say, a program runs, is refused or dies; the sandbox does none of these."""
    with tempfile.TemporaryDirectory() as d:
        pathlib.Path(d).chmod(0o755)
        shutil.copy(ROOT / "tests/e2e/mutate_elf.py", d)
        r = sbox("--ro", d, "--user", "nobody", "python3", f"{d}/mutate_elf.py", "150", shutil.which("true"))
        equal(r.stdout.splitlines()[-1:], ["150 programs tried"], r.stderr[-300:])
        equal(r.returncode, 0)


@test
def daemons_end_with_the_program():
    r = start("sh", "-c", "sleep 1000 & echo up; exit 0")
    wait_for_line(r, "up")
    equal(r.wait(LIMIT), 0)


# ---- the command line ----


@test
def bad_options():
    one_line(sbox("--bogus", "true"), 125, "--bogus")
    one_line(sbox("-x", "true"), 125, "-x")
    one_line(sbox(), 125, "no program")
    one_line(sbox("--"), 125, "no program")
    one_line(sbox("--strace=1", "true"), 125, "takes no value")
    one_line(sbox(*["--ro", "/usr:/x"] * 200, "true"), 125, "too many paths")
    for name in "rw ro rootfs net memory pids cpus timeout env cwd user hostname platform report".split():
        one_line(sbox("--" + name), 125, f"--{name} needs a value")
    for option in ("--memory x", "--memory 5", "--memory -1M", "--pids 0", "--pids 1.5", "--cpus 0", "--cpus two",
                   "--timeout 0", "--timeout 5x", "--env =", "--cwd relative", "--platform kvm", "--net host",
                   "--hostname " + "x" * 65, "--user nosuchuser", "--user 0:nosuchgroup", "--rw relative:guest",
                   "--rw /usr:/", "--rw /no/such/file", "--ro :/x", "--rootfs /no/such/dir", "--rootfs /etc/passwd",
                   "--report /no/such/dir/file"):
        one_line(sbox(*option.split(" "), "true"), 125, option.split(" ")[0])


@test
def failures_name_their_cause():
    one_line(sbox("--cwd", "/etc/passwd", "true"), 125, "cannot start in the directory /etc/passwd: Not a directory")
    one_line(sbox("--ro", "/usr:/proc/x", "true"), 125, "cannot mount at /proc/x: Read-only")
    one_line(sbox("true", env={"HOME": "/" + "x" * 5000}), 125, "HOME is too long")
    if IS_ROOT:
        r = sbox("--memory", "1M", "true")
        if r.returncode:  # there are platforms that it is enough for
            one_line(r, 125, "--memory limit of 1 MiB is too low")
    with open("/dev/full", "w") as full:
        for words in (["help"], ["version"], ["run", "--help"]):
            r = subprocess.run([SBOX, *words], stdout=full, stderr=subprocess.PIPE, text=True)
            one_line(r, 125, "cannot write to standard output: No space left")


def limited(limit, *args):
    """As an ordinary user with a limit of ulimit's."""
    user = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups"] if IS_ROOT else []
    return subprocess.run([*user, "bash", "-c", f'ulimit {limit}; exec "$@"', "bash", *command(*args)], capture_output=True,
                          text=True, timeout=LIMIT, cwd="/usr", stdin=subprocess.DEVNULL)


@test
def limits_of_the_caller():
    for limit, words in (("-n 100", "open files"), ("-s 100", "stack size"), ("-v 100000", "virtual memory"),
                         ("-d 20000", "data size"), ("-f 8", "file size")):
        one_line(limited(limit, "true"), 125, f"limit of {words} is too low.*ulimit {limit[:2]}")
    for limit in ("-S -n 20", "-S -s 100", "-S -v 300000", "-S -f 0"):
        output(limited(limit, "echo", "x"), "x\n")
    one_line(limited("-u 3", "true"), 125, "limit of processes.*ulimit -u")


@test
def namespaces_are_forbidden():
    def forbidden(kind):
        script = f'echo 0 > /proc/sys/user/max_{kind}_namespaces && exec "$@"'
        r = subprocess.run(["unshare", "--user", "--map-root-user", "bash", "-c", script, "bash", *command("true")],
                           capture_output=True, text=True, timeout=LIMIT, cwd="/usr")
        one_line(r, 125, f"{kind} namespaces switched off.*sysctl -w user.max_{kind}_namespaces")

    if subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True).returncode:
        raise Skip("no user namespaces here")
    for kind in ("user", "pid", "net"):
        forbidden(kind)
    r = subprocess.run(["unshare", "--user", *command("true")], capture_output=True, text=True, timeout=LIMIT, cwd="/usr")
    one_line(r, 125, "may not make namespaces here")


@test
def long_words():
    big = "x" * 131000  # the kernel's limit of one is 131072
    output(sbox("sh", "-c", "echo ${#1}", "sh", big), "131000\n")
    output(sbox("sh", "-c", "echo $#", "sh", *[big] * 12), "12\n")
    output(sbox("--env", "BIG=" + big, "sh", "-c", "echo ${#BIG}"), "131000\n")
    output(sbox("--env", "BIG", "sh", "-c", "echo ${#BIG}", env=dict(os.environ, BIG=big)), "131000\n")
    one_line(sbox("x" * 5000), 127, "xxx")
    one_line(sbox("/" + "x" * 300), 126, "File name too long")


@test
def help_and_version():
    for words in (["help"], ["--help"], ["run", "--help"], ["run", "-h"]):
        r = subprocess.run([SBOX, *words], capture_output=True, text=True)
        equal(r.returncode, 0)
        assert r.stdout.startswith("usage: sbox run") and not r.stderr
    r = subprocess.run([SBOX, "version"], capture_output=True, text=True)
    assert re.fullmatch(r"sbox \d+\.\d+\.\d+\n", r.stdout)
    r = subprocess.run([SBOX], capture_output=True, text=True)
    equal(r.returncode, 125)
    one_line(subprocess.run([SBOX, "frobnicate"], capture_output=True, text=True), 125, "frobnicate")


@test
def two_spellings():
    r = subprocess.run([SBOX, "do", f"--platform={PLATFORM}", "--", "echo", "--", "-x"], capture_output=True, text=True)
    output(r, "-- -x\n")


@test
def environment():
    env = {"PATH": "/usr/bin:/bin", "SECRET": "s", "LANG": "C", "LC_TIME": "C", "TERM": "dumb", "HOME": "/home/nobody-here"}
    r = sbox("--env", "A=1", "--env", "B=", "--env", "A=2", "--env", "SECRET", "--env", "NOT_SET", "env", env=env)
    got = dict(line.split("=", 1) for line in r.stdout.splitlines())
    for name, value in (("A", "2"), ("B", ""), ("SECRET", "s"), ("LANG", "C"), ("LC_TIME", "C"), ("TERM", "dumb"),
                        ("PATH", "/usr/bin:/bin"), ("HOME", "/home/nobody-here"), ("PWD", "/usr")):
        equal(got.get(name), value, name)
    assert "NOT_SET" not in got
    assert "SECRET" not in sbox("env", env=env).stdout
    assert "PATH=" in sbox("/usr/bin/env", env={}).stdout


@test
def working_directory():
    output(sbox("pwd"), "/usr\n")
    output(sbox("--cwd", "/etc", "pwd"), "/etc\n")
    one_line(sbox("--cwd", "/no/such", "pwd"), 125, "/no/such")
    with tempfile.TemporaryDirectory(dir=BASE) as d:
        pathlib.Path(d, "here").write_text("text")
        output(sbox("sh", "-c", "pwd; cat here; echo new > here; cat here; ls", cwd=d), f"{d}\ntextnew\nhere\n")
        equal(pathlib.Path(d, "here").read_text(), "text", "the host's file")


@test
def working_directory_that_is_gone_or_hidden():
    d = tempfile.mkdtemp(dir=BASE)
    script = f'cd {d}; rmdir {d}; exec "$@"'
    run = lambda *args: subprocess.run(["sh", "-c", script, "sh", *command(*args)], capture_output=True, text=True,
                                       timeout=LIMIT)
    output(run("pwd"), "/\n")
    os.mkdir(d)
    one_line(run("--ro", ".", "true"), 125, "--ro .: No such file")
    with tempfile.TemporaryDirectory(dir=BASE) as outer:
        inner = pathlib.Path(outer, "inner")
        inner.mkdir()
        inner.chmod(0o777)
        os.chmod(outer, 0)
        user = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups"] if IS_ROOT else []
        fd = os.open(inner, os.O_PATH) if IS_ROOT else None
        if fd is not None:
            r = subprocess.run(user + command("pwd"), capture_output=True, text=True, preexec_fn=lambda: os.fchdir(fd))
            output(r, "/\n")
            os.close(fd)
        os.chmod(outer, 0o755)
    with tempfile.TemporaryDirectory(dir=BASE) as outer:
        deep = (f'cd {outer}; for i in $(seq 25); do mkdir {"d" * 200}; cd {"d" * 200}; done; exec "$@"')
        r = subprocess.run(["bash", "-c", deep, "sh", *command("--ro", ".", "true")], capture_output=True, text=True)
        one_line(r, 125, "path of the current directory is too long")


@test
def user():
    output(sbox("--user", "nobody", "id"), "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n")
    output(sbox("--user", "12:34", "sh", "-c", "id -u; id -g"), "12\n34\n")
    output(sbox("--user", "root", "sh", "-c", "id -u; touch /tmp/x && stat -c %u:%g /tmp/x"), "0\n0:0\n")
    output(sbox("id", "-u"), f"{os.geteuid()}\n")


@test
def host_name():
    output(sbox("hostname"), "sbox\n")
    output(sbox("--hostname", "box-7", "uname", "-n"), "box-7\n")


# ---- files ----


@test
def the_view():
    r = sbox("ls", "-1", "/")
    for name in ("bin", "dev", "etc", "lib", "proc", "sbin", "sys", "tmp", "usr", "var"):
        assert name in r.stdout.split(), f"{name} is missing in {r.stdout!r}"
    for name in ("run", "boot", "mnt", "opt", "srv"):
        assert name not in r.stdout.split(), f"{name} is shown"
    if os.path.islink("/bin"):
        output(sbox("readlink", "/bin"), os.readlink("/bin") + "\n")
    equal(sbox("sh", "-c", "ls -A /tmp; ls -A /var/tmp; ls -A $HOME").stdout, "", "fresh directories")
    output(sbox("--user", "root", "sh", "-c", "echo x > /usr/new; cat /usr/new; rm /usr/bin/env; ls /usr/bin/env || :"),
           "x\n")
    assert os.path.exists("/usr/bin/env") and not os.path.exists("/usr/new")


@test
def home_is_hidden():
    with tempfile.TemporaryDirectory(dir=BASE) as d:
        env = dict(os.environ, HOME=d)
        pathlib.Path(d, "key").write_text("secret")
        output(sbox("sh", "-c", "pwd; ls -A; echo x > f && cat f", cwd=d, env=env), f"{d}\nx\n")
        sub = pathlib.Path(d, "sub")
        sub.mkdir()
        output(sbox("sh", "-c", "pwd; ls -A ..", cwd=sub, env=env), f"{sub}\nsub\n")
        output(sbox("--ro", ".", "cat", "key", cwd=d, env=env), "secret")
        one_line(sbox("./program", cwd=d, env=env), 127, "--ro .")


@test
def rw_and_ro():
    with tempfile.TemporaryDirectory(dir=BASE) as d:
        a, b = pathlib.Path(d, "a"), pathlib.Path(d, "b")
        a.mkdir(), b.mkdir()
        (b / "file").write_text("old")
        r = sbox("--rw", a, "--ro", b, "sh", "-c", f"echo 1 > {a}/new; cat {b}/file; echo 2 > {b}/file")
        equal(r.stdout, "old")
        assert "Read-only file system" in r.stderr
        equal((a / "new").read_text(), "1\n")
        equal((b / "file").read_text(), "old")
        output(sbox("--rw", f"{a}:/data/x", "sh", "-c", "echo 3 > /data/x/new; ls -d /data/x"), "/data/x\n")
        equal((a / "new").read_text(), "3\n")
        output(sbox("--ro", f"{b}/file:/data/one", "cat", "/data/one"), "old")
        output(sbox("--rw", "a", "sh", "-c", "echo 4 > a/new", cwd=d), "")
        equal((a / "new").read_text(), "4\n")


@test
def full_disk():
    if not IS_ROOT:
        raise Skip("only root can mount a small file system")
    script = 'mount -t tmpfs -o size=1M none "$1" && cd /usr && shift && exec "$@"'
    program = """cd "$0"; head -c 3000000 /dev/zero > big 2>/dev/null && echo fits
                 stat -c %s big; echo more > small || echo full; rm big; echo ok > small && cat small"""
    with tempfile.TemporaryDirectory(dir=BASE) as d:
        r = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", d, *command("--rw", d, "sh", "-c", program, d)],
                           capture_output=True, text=True, timeout=LIMIT)
        output(r, "1048576\nfull\nok\n")


@test
def more_files_than_descriptors():
    """A walk over more files than the host lets the gofer open."""
    with tempfile.TemporaryDirectory(dir=BASE) as folder:
        os.chmod(folder, 0o755)
        for i in range(4000):
            path = pathlib.Path(folder, str(i // 3), str(i))
            path.parent.mkdir(exist_ok=True)
            path.touch()
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1100, 1100))
        p = sbox("--ro", folder, "--", "find", folder, "-type", "f", "-size", "0", preexec_fn=few)
        assert p.returncode == 0 and not p.stderr, p
        assert len(p.stdout.splitlines()) == 4000, len(p.stdout.splitlines())


@test
def rootfs():
    busybox = shutil.which("busybox")
    with tempfile.TemporaryDirectory(dir=BASE) as d:
        root = pathlib.Path(d)
        root.chmod(0o755)
        (root / "bin").mkdir()
        (root / "etc").mkdir()
        (root / "etc/passwd").write_text("me:x:7:8:Me:/me:/bin/sh\n")
        guest = ROOT / "build/dev/tests/guest"
        programs = [busybox] if busybox else sorted(guest.glob("files"))
        if not programs:
            raise Skip("no static program to put in")
        shutil.copy(programs[0], root / "bin/prog")
        if busybox:
            os.symlink("prog", root / "bin/sh")
            output(sbox("--rootfs", d, "--user", "me", "/bin/sh", "-c", "echo /*; echo $HOME"),
                   "/bin /dev /etc /proc /sys /tmp /var\n/me\n")
        else:
            assert sbox("--rootfs", d, "/bin/prog").returncode in (0, 1)


# ---- standard descriptors ----


@test
def pipes():
    r = subprocess.run(command("cat"), input="some\ntext\n", capture_output=True, text=True, cwd="/usr", timeout=LIMIT)
    output(r, "some\ntext\n")
    r = subprocess.run(["sh", "-c", " ".join(command("yes")) + " | head -n 2; echo ${PIPESTATUS:-}"], capture_output=True,
                       text=True, cwd="/usr", timeout=LIMIT)
    equal(r.stdout, "y\ny\n\n")
    big = "x" * 300000
    r = subprocess.run(command("cat"), input=big, capture_output=True, text=True, cwd="/usr", timeout=LIMIT)
    output(r, big)


@test
def pipe_ends_when_the_program_closes_it():
    p = start("sh", "-c", "exec >&- ; sleep 30")
    equal(p.stdout.read(), "")
    p.kill()
    p.wait(LIMIT)


@test
def closed_descriptors():
    for fd in (0, 1, 2):
        r = subprocess.run(["sh", "-c", f"exec {fd}{'<' if fd == 0 else '>'}&-; exec \"$@\"", "sh",
                            *command("sh", "-c", "ls /proc/self/fd | wc -l; exit 7")],
                           capture_output=True, text=True, cwd="/usr", timeout=LIMIT)
        equal(r.returncode, 7, f"descriptor {fd} closed")
    r = subprocess.run(["sh", "-c", "exec 0<&- 1>&- 2>&-; exec \"$@\"", "sh", *command("sh", "-c", "exit 7")], timeout=LIMIT)
    equal(r.returncode, 7)


@test
def inherited_descriptors_stay_out():
    with open("/etc/passwd") as f:
        r = sbox("ls", "/proc/self/fd", pass_fds=[f.fileno()])
    equal(r.stdout.split(), ["0", "1", "2", "3"], "3 is that of ls")


@test
def output_to_a_file():
    with tempfile.TemporaryFile() as f:
        f.write(b"before\n")
        f.flush()
        subprocess.run(command("sh", "-c", "echo one; echo two >&2"), stdout=f, stderr=f, cwd="/usr", timeout=LIMIT)
        f.seek(0)
        equal(f.read(), b"before\none\ntwo\n")


# ---- limits ----


@test
def time_limit():
    begin = time.monotonic()
    one_line(sbox("--timeout", "300ms", "sleep", "100"), 124, "timeout")
    assert time.monotonic() - begin < 10
    output(sbox("--timeout", "1m", "echo", "fast"), "fast\n")


@test
def memory_limit():
    program = "x = bytearray(400 << 20); print(len(x))"
    r = sbox("--memory", "100M", "python3", "-c", program)
    assert r.returncode != 0 and not r.stdout, f"{r}"
    assert "memory" in r.stderr.lower(), r.stderr
    output(sbox("--memory", "2G", "python3", "-c", program), f"{400 << 20}\n")
    text = sbox("--memory", "100M", "grep", "MemTotal", "/proc/meminfo").stdout
    equal(text.split()[1], str(100 << 10))


@test
def process_limit():
    r = sbox("--pids", "4", "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 0.1 & done; wait")
    assert r.returncode == 2 and "ork" in r.stderr, f"{r}"
    output(sbox("--pids", "4", "sh", "-c", "sleep 0.1 & sleep 0.1 & wait; echo done"), "done\n")


@test
def host_out_of_threads():
    """What the host refuses to make is an error of the call, as often as it is tried, and nothing of it is left."""
    group = pathlib.Path("/sys/fs/cgroup/pids", f"sbox-test-{os.getpid()}")
    script = """
import os, threading
for attempt in range(3):
    go, made = threading.Event(), []
    try:
        while len(made) < 200:
            made.append(threading.Thread(target=go.wait))
            made[-1].start()
    except RuntimeError:
        made.pop()
    print(20 < len(made) < 200, len(os.listdir("/proc/self/task")) - len(made))
    go.set()
    for t in made:
        t.join()
"""
    if PLATFORM == "ptrace":
        raise Skip("a thread that waits holds one of the sentry's there, of which the host then has none either")
    try:
        group.mkdir()
        (group / "pids.max").write_text("90")
    except OSError:
        raise Skip("no cgroup of one's own for processes") from None
    try:
        enter = f"echo $$ > {group}/cgroup.procs; exec \"$0\" \"$@\""
        r = subprocess.run(["sh", "-c", enter, *command("python3", "-c", script)], capture_output=True, text=True,
                           timeout=LIMIT, cwd="/usr")
        output(r, "True 1\n" * 3)
    finally:
        group.rmdir()


@test
def cpu_limit():
    output(sbox("--cpus", "1", "nproc"), "1\n")
    before = dead_cgroups()
    output(sbox("--cpus", "0.5", "echo", "x"), "x\n")
    no_cgroups_left(before, 0)


@test
def report():
    with tempfile.TemporaryDirectory() as d:
        file = pathlib.Path(d, "report")
        sbox("--report", file, "sh", "-c", "exit 3")
        r = json.loads(file.read_text())
        equal((r["exit"]["code"], r["exit"]["signal"], r["exit"]["error"]), (3, None, None))
        assert r["wall_seconds"] > 0 and r["memory"]["peak_bytes"] > 0 and r["cpu"]["user_seconds"] >= 0
        assert r["system_calls"]["total"] > 5 and "execve" not in r["refused"]
        sbox("--report", file, "sh", "-c", "kill -9 $$")
        r = json.loads(file.read_text())
        equal((r["exit"]["code"], r["exit"]["signal"]), (137, 9))
        sbox("--report", file, "--timeout", "0.2", "sleep", "9")
        r = json.loads(file.read_text())
        equal((r["exit"]["code"], r["exit"]["timed_out"]), (124, True))
        sbox("--report", file, "/no/such")
        r = json.loads(file.read_text())
        equal(r["exit"]["code"], 127)
        assert "/no/such" in r["exit"]["error"]


@test
def strace():
    r = sbox("--strace", "/bin/echo", "x")
    equal(r.stdout, "x\n")
    assert re.search(r"^\[\d+\] write\(1, .*\) = 2$", r.stderr, re.M), r.stderr


# ---- signals ----


@test
def signals_are_passed_on():
    for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM"):
        p = start("sh", "-c", f"trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.05; done")
        wait_for_line(p, "ready")
        p.send_signal(getattr(signal, "SIG" + name))
        equal(p.wait(LIMIT), 9, name)
        equal(p.stdout.read(), "got\n", name)


@test
def signals_end_the_program():
    for name, code in (("TERM", 143), ("INT", 130), ("HUP", 129)):
        p = start("sh", "-c", "echo ready; exec sleep 100")
        wait_for_line(p, "ready")
        time.sleep(0.2)
        p.send_signal(getattr(signal, "SIG" + name))
        equal(p.wait(LIMIT), code, name)


@test
def ignored_signals_stay_ignored():
    p = subprocess.Popen(["nohup", *command("sh", "-c", "echo ready; sleep 1; echo still here")], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, cwd="/usr")
    wait_for_line(p, "ready")
    p.send_signal(signal.SIGHUP)
    equal(p.wait(LIMIT), 0)
    equal(p.stdout.read(), "still here\n")


@test
def stop_and_continue():
    p = start("sh", "-c", "echo ready; sleep 0.5; echo end")
    wait_for_line(p, "ready")
    p.send_signal(signal.SIGTSTP)
    pid, status = os.waitpid(p.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"status {status:x}"
    p.send_signal(signal.SIGCONT)
    equal(p.wait(LIMIT), 0)
    equal(p.stdout.read(), "end\n")


@test
def parts_stop_and_continue():
    """Stopped from outside, as a freezer does it: the calls that they waited in are started again."""
    p = start("sh", "-c", "echo ready; sleep 1; cat /etc/hostname >/dev/null && ls /usr >/dev/null && echo end")
    wait_for_line(p, "ready")
    parts = children(p.pid)
    for wanted in (signal.SIGSTOP, signal.SIGCONT):
        signal_all(parts, wanted)
        time.sleep(0.1)
    out, err = p.communicate(timeout=LIMIT)
    equal(out, "end\n", f"output (stderr {err!r})")


@test
def program_stops_itself():
    p = start("sh", "-c", "echo ready; kill -STOP $$; echo back; exit 6")
    wait_for_line(p, "ready")
    pid, status = os.waitpid(p.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"status {status:x}"
    p.send_signal(signal.SIGCONT)
    equal(p.wait(LIMIT), 6)
    equal(p.stdout.read(), "back\n")


@test
def whole_sandbox_is_paused():
    """As a freezer or the machine's sleep does: every process stops where it is, and goes on."""
    p = start("sh", "-c", "echo ready; read x; sleep 1 & wait; ls /usr > /dev/null; echo end", stdin=subprocess.PIPE)
    wait_for_line(p, "ready")
    for _ in range(3):
        time.sleep(0.1)
        everyone = [p.pid, *family(p.pid)]
        for sig in (signal.SIGSTOP, signal.SIGCONT):
            signal_all(everyone, sig)
            time.sleep(0.1)
        if p.stdin:
            p.stdin.write("go on\n")
            p.stdin.close()
            p.stdin = None
    equal(p.stdout.read(), "end\n", p.stderr.read())
    equal(p.wait(LIMIT), 0)


# ---- terminal ----


class Terminal:
    """A shell of its own on a pseudo-terminal; ^A… are typed with type()."""

    def __init__(self, rows=24, columns=80, program=("bash", "--norc", "--noprofile", "-i")):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir("/usr")
            os.environ.update(PS1="PROMPT> ", TERM="dumb", HISTFILE="/dev/null")
            os.execvp(program[0], program)
        self.resize(rows, columns)
        self.expect("PROMPT> ")

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text, seconds=LIMIT):
        """Waits until text comes; returns what came up to its end."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"waited for {text!r}, saw {self.seen!r}"
            try:
                self.seen += os.read(self.fd, 4096).decode(errors="replace").replace("\r\n", "\n")
            except OSError as e:
                raise AssertionError(f"the terminal ended; waited for {text!r}, saw {self.seen!r}") from e
        at = self.seen.index(text) + len(text)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before

    def run(self, line):
        """Types a command line; returns what it printed when the prompt is back."""
        self.type(line + "\n")
        self.expect("\n")
        return self.expect("PROMPT> ").removesuffix("PROMPT> ")

    def sbox(self, line):
        return f"{SBOX} run --platform {PLATFORM} {line}"

    def modes(self):
        return termios.tcgetattr(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


@test
def terminal_size():
    with Terminal(33, 77) as t:
        equal(t.run(t.sbox("stty size")), "33 77\n")
        equal(t.run(t.sbox("tty") + "; echo $?"), "/dev/console\n0\n")
        t.type(t.sbox("""sh -c 'trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 0.05; done'""") + "\n")
        t.expect("ready\n")
        t.resize(44, 99)
        t.expect("44 99\n")
        t.expect("PROMPT> ")


@test
def terminal_interrupt():
    with Terminal() as t:
        t.type(t.sbox("sh -c 'echo ready; exec sleep 100'") + "\n")
        t.expect("ready\n")
        time.sleep(0.2)
        t.type("\x03")
        t.expect("PROMPT> ")
        equal(t.run("echo $?"), "130\n")
        t.type(t.sbox("""sh -c 'trap "echo caught" INT; echo ready; sleep 1; echo after'""") + "\n")
        t.expect("ready\n")
        time.sleep(0.2)
        t.type("\x03")
        t.expect("caught\n")
        t.expect("PROMPT> ")


@test
def terminal_stop():
    with Terminal() as t:
        t.type(t.sbox("sh -c 'echo ready; sleep 1; echo end'") + "\n")
        t.expect("ready\n")
        time.sleep(0.2)
        t.type("\x1a")
        t.expect("Stopped")
        t.expect("PROMPT> ")
        time.sleep(1.2)
        equal(t.run("echo alone"), "alone\n")
        t.type("fg\n")
        t.expect("end\n")
        t.expect("PROMPT> ")
        equal(t.run("echo $?"), "0\n")


@test
def terminal_shell_inside():
    """A job-control shell inside has jobs of its own."""
    with Terminal() as t:
        t.type(t.sbox("--env PS1='INSIDE> ' bash --norc --noprofile -i") + "\n")
        t.expect("INSIDE> ")
        t.type("sh -c 'echo ready; sleep 1; echo end'\n")
        t.expect("ready\n")
        time.sleep(0.2)
        t.type("\x1a")
        t.expect("Stopped")
        t.expect("INSIDE> ")
        t.type("fg\n")
        t.expect("end\n")
        t.expect("INSIDE> ")
        t.type("sleep 100\n")
        time.sleep(0.5)
        t.type("\x03")
        t.expect("INSIDE> ")
        t.type("exit 5\n")
        t.expect("PROMPT> ")
        equal(t.run("echo $?"), "5\n")


@test
def terminal_background():
    """A background job must not take what is typed; in the foreground it may."""
    with Terminal() as t:
        t.run(t.sbox("sh -c 'read line; echo got $line'") + " &")
        time.sleep(1)
        assert "Stopped" in t.run(""), "a background reader was not stopped"
        t.type("fg\n")
        t.expect("got $line'\n")
        t.type("words\n")
        t.expect("got words\n")
        t.expect("PROMPT> ")


@test
def terminal_modes_come_back():
    with Terminal() as t:
        t.run("true")
        t.run(t.sbox("stty -icanon -echo -isig"))
        assert "-echo " not in t.run("stty -a | grep -o -e '-echo ' ; true"), "echo stayed off"
        t.run(t.sbox("sh -c 'stty raw -echo; kill -9 $$'"))
        equal(t.run("echo whole"), "whole\n")


@test
def terminal_dev_tty():
    with Terminal() as t:
        equal(t.run("echo piped | " + t.sbox("sh -c 'echo to the terminal > /dev/tty; cat'")), "to the terminal\npiped\n")


# ---- users and namespaces ----


def as_nobody(*args, **kwargs):
    if not IS_ROOT:
        raise Skip("needs root to become another user")
    copy = pathlib.Path(tempfile.gettempdir(), f"sbox-test-{os.getpid()}")
    if not copy.exists():
        shutil.copy(SBOX, copy)
        copy.chmod(0o755)
    kwargs.setdefault("cwd", "/usr")
    return subprocess.run(["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", str(copy), "run", "--platform",
                           PLATFORM, *map(str, args)], capture_output=True, text=True, timeout=LIMIT,
                          stdin=subprocess.DEVNULL, **kwargs)


@test
def ordinary_user():
    output(as_nobody("sh", "-c", "id -u; id -g; stat -c %U /usr /etc/passwd"), "1234\n1234\nroot\nroot\n")
    r = as_nobody("cat", "/etc/shadow")
    assert r.returncode == 1 and "Permission denied" in r.stderr, f"{r}"
    with tempfile.TemporaryDirectory(dir=BASE) as d:
        os.chown(d, 1234, 1234)
        output(as_nobody("--rw", d, "--user", "root", "sh", "-c", f"id -u; echo x > {d}/f; stat -c %u {d}/f"), "0\n0\n")
        equal(os.stat(f"{d}/f").st_uid, 1234)
    r = as_nobody("--memory", "200M", "echo", "x")
    equal((r.returncode, r.stdout), (0, "x\n"))


@test
def namespaces_forbidden():
    if not IS_ROOT:
        raise Skip("needs root to change the limit")
    file = pathlib.Path("/proc/sys/user/max_user_namespaces")
    old = file.read_text()
    try:
        # In a namespace of our own, so that nobody else on the machine is concerned.
        r = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                            'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh", *command("true")],
                           capture_output=True, text=True, cwd="/usr", timeout=LIMIT)
        if "max_user_namespaces" in r.stderr and "sh:" in r.stderr:
            raise Skip("the limit cannot be changed here")
        one_line(r, 125, "max_user_namespaces|user namespaces")
    finally:
        equal(file.read_text(), old)


# ---- ends ----


def dying(victim, script="sleep 100 & echo ready; sleep 100"):
    """A run of script of which `victim(pids)` kills something: (result of wait, stderr). Everything must be gone after it."""
    before = dead_cgroups()
    p = start("--memory", "500M", "sh", "-c", script)
    wait_for_line(p, "ready")
    pids = family(p.pid)
    victim(p, pids)
    code = p.wait(LIMIT)
    wait_until_gone(pids, "after the kill")
    no_cgroups_left(before)
    return code, p.stderr.read()


def part(p, what):
    """The sentry is the child that has the stubs as children, the gofer has none; both are in PID namespaces."""
    parts = [c for c in children(p.pid) if os.readlink(f"/proc/{c}/ns/pid") != os.readlink("/proc/self/ns/pid")]
    sentry = [c for c in parts if children(c)]
    wanted = sentry if what == "sentry" else [c for c in parts if c not in sentry]
    equal(len(wanted), 1, f"{what} among {parts}")
    return wanted[0]


@test
def sentry_killed():
    code, err = dying(lambda p, pids: os.kill(part(p, "sentry"), signal.SIGKILL))
    equal(code, 125)
    assert re.fullmatch(r"(sbox: no cgroup .*\n)?sbox: .*sentry.*\n", err), err


@test
def gofer_killed():
    """Also if the program ends for want of its files before the gofer has quite gone."""
    for script in ["sleep 100 & echo ready; sleep 100"] + ["echo ready; while /bin/true; do :; done"] * 5:
        code, err = dying(lambda p, pids: os.kill(part(p, "gofer"), signal.SIGKILL), script)
        equal(code, 125)
        assert re.search(r"sbox: .*gofer.*\n", err), err


def stubs_of(p):
    return [c for child in children(p.pid) for c in children(child)]


def kill_stub(p, victim):
    """Kills one of the stubs, of which there are more and fewer from moment to moment; their number."""
    while True:
        stubs = stubs_of(p)
        with contextlib.suppress(ProcessLookupError):  # it may have ended just now
            os.kill(stubs[victim % len(stubs)], signal.SIGKILL)
            return len(stubs)


@test
def stubs_killed():
    """Whatever of the guest's processes the host kills, the sandbox can still be ended and leaves nothing."""
    for victim in range(4):
        p = start("sh", "-c", "echo ready; while :; do sleep 0.05; done")
        wait_for_line(p, "ready")
        pids = family(p.pid)
        stubs = kill_stub(p, victim)
        time.sleep(0.3)
        p.terminate()
        code = p.wait(LIMIT)
        assert code in (137, 143, 125, 2, 254), f"stub {victim} of {stubs}: {code}: {p.stderr.read()}"
        wait_until_gone(pids, "after the kill")


BUSY_TICKS = 4  # of processor time: more than a stub that only waits has had


@test
def killed_in_a_handler():
    """A program that takes signals all the time ends by the host's kill, not by a frame that can no longer be written."""
    endless = "$| = 1; $SIG{USR1} = sub {}; print qq(ready\\n); kill 'USR1', $$ while 1"
    if not shutil.which("perl"):
        raise Skip("no perl")
    for _ in range(20):
        p = start("perl", "-e", endless)
        wait_for_line(p, "ready")
        while True:  # until the host's clock ticks show which process is busy
            time.sleep(0.02 + random.random() * 0.02)
            busiest = max(stubs_of(p), key=processor_time)
            if processor_time(busiest) >= BUSY_TICKS:
                break
        os.kill(busiest, signal.SIGKILL)
        equal(p.wait(LIMIT), 128 + signal.SIGKILL)


@test
def sbox_killed():
    for _ in range(5):
        code, _ = dying(lambda p, pids: p.kill())
        equal(code, -9)


@test
def sbox_killed_at_random():
    before = dead_cgroups()
    for _ in range(20):
        p = start("--memory", "500M", "true")
        time.sleep(random.random() * 0.12)
        pids = family(p.pid)
        p.kill()
        p.wait(LIMIT)
        wait_until_gone(pids, "after the kill")
    no_cgroups_left(before)


@test
def many_at_once():
    runs = [start("sh", "-c", f"echo {i}; exit {i}") for i in range(10)]
    for i, p in enumerate(runs):
        equal(p.communicate(timeout=LIMIT)[0], f"{i}\n")
        equal(p.returncode, i)


def run_one(function):
    begin = time.monotonic()
    try:
        function()
        word, extra = "ok", ""
    except Skip as e:
        word, extra = "skipped", f": {e}"
    except Exception as e:
        last = traceback.extract_tb(e.__traceback__)
        where = [f.lineno for f in last if f.name == function.__name__][:1]
        word, extra = "FAILED", f" (line {where[0] if where else '?'}): {type(e).__name__}: {e}"
    finally:
        end_started()
    print(f"{word:7} {function.__name__}{extra} [{time.monotonic() - begin:.1f} s]", flush=True)
    return word


def main():
    global SBOX, PLATFORM
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sbox", default=SBOX, type=pathlib.Path)
    parser.add_argument("--platform", default=PLATFORM)
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    SBOX, PLATFORM = args.sbox.resolve(), args.platform
    for sig in (signal.SIGINT, signal.SIGQUIT):  # a shell that starts this by & has them ignored, and so would all here
        signal.signal(sig, signal.SIG_DFL)
    chosen = [t for t in TESTS if not args.tests or t.__name__ in args.tests]
    results = [run_one(t) for t in chosen]
    print(f"{results.count('ok')} passed, {results.count('FAILED')} failed, {results.count('skipped')} skipped")
    copy = pathlib.Path(tempfile.gettempdir(), f"sbox-test-{os.getpid()}")
    copy.unlink(missing_ok=True)
    return 1 if "FAILED" in results or not results else 0


sys.exit(main())
