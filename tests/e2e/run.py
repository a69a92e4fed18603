#!/usr/bin/env python3
"""Real programs at real work, natively and in sbox, on both platforms: their output must be the same, byte for byte.

A case is a script in cases/. It starts in an empty folder of its own, at the same path each time, and prints only what is
the same on every run: no process numbers, times or sizes that depend on the machine. Its first comment lines may say
    # needs: PROGRAM…     it is left out where one is missing
    # size: quick|slow    quick ones run in ./dev test, slow ones only with --slow
$DATA is a folder with the source of jansson, $SOURCE this project's.
"""
import argparse
import difflib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA = ROOT / "build/bench-data"
WORK = ROOT / "build/e2e"
LIMITS = {"quick": 300, "normal": 900, "slow": 5400}  # seconds until a case counts as hung
DIFF_LINES = 40


class Case:
    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text()
        self.interpreter = re.match(r"#!\s*(\S+)", text)[1]
        self.needs = " ".join(re.findall(r"^# needs: (.*)$", text, re.M)).split()
        self.size = (re.findall(r"^# size: (\w+)$", text, re.M) or ["normal"])[0]
        self.wants_data = "$DATA" in text

    def missing(self):
        return [program for program in self.needs if not shutil.which(program)]


def environment(work):
    return {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "HOME": str(work), "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "DATA": str(DATA), "SOURCE": str(ROOT), "PYTHON": "/usr/bin/python3", "PYTHONDONTWRITEBYTECODE": "1"}


def command(case, work, sbox, platform, more):
    variables = [f"{name}={value}" for name, value in environment(work).items()]
    inner = ["/usr/bin/env", "-i", *variables, case.interpreter, str(case.path)]
    if platform is None:
        return inner
    return [str(sbox), "run", "--platform", platform, *more, "--ro", str(ROOT), "--rw", str(work), "--cwd", str(work),
            "--", *inner]


def descendants(pid):
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def end_all(process):
    """Ends a process that hangs, and all that it started."""
    for pid in descendants(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()


def run(case, sbox, platform, more=()):
    """Output (both streams, in order) and exit status of one run in a fresh folder."""
    work = WORK / "work" / case.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    output = WORK / f"{case.name}-{platform or 'native'}.txt"
    with open(output, "wb") as out:
        process = subprocess.Popen(command(case, work, sbox, platform, more), cwd=work, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(LIMITS[case.size] * (1 if platform is None else 4))
            ending = f"exit status {status}\n"
        except subprocess.TimeoutExpired:
            end_all(process)
            ending = "hung\n"
        except BaseException:
            end_all(process)
            raise
    shutil.rmtree(work, ignore_errors=True)
    return output.read_bytes().decode(errors="backslashreplace") + ending


def compare(case, label, native, inside):
    if native == inside:
        print(f"ok      {case.name} {label}", flush=True)
        return True
    print(f"FAILED  {case.name} {label}")
    diff = list(difflib.unified_diff(native.splitlines(), inside.splitlines(), "native", label, lineterm="", n=2))
    print("\n".join("        " + line for line in diff[:DIFF_LINES]))
    if len(diff) > DIFF_LINES:
        print(f"        … {len(diff) - DIFF_LINES} more lines; all output is in {WORK}")
    sys.stdout.flush()
    return False


def run_case(case, options):
    """Counts of passed and failed comparisons."""
    native = run(case, None, None)
    if not native.endswith("exit status 0\n"):
        print(f"FAILED  {case.name} native: the case itself is wrong")
        print("\n".join("        " + line for line in native.splitlines()[-DIFF_LINES:]), flush=True)
        return 0, 1
    if options.native:
        results = [compare(case, "native-again", native, run(case, None, None))]
    else:
        results = [compare(case, platform, native, run(case, options.sbox, platform, options.more)) for platform in options.platforms]
    return results.count(True), results.count(False)


def fetch_data():
    fetch = [str(ROOT / "tools/debian-source.sh"), "jansson", str(DATA)]
    return subprocess.run(fetch, stdout=subprocess.DEVNULL).returncode == 0


def selected(options):
    cases = [Case(path) for path in sorted((HERE / "cases").glob("*.*"))]
    unknown = set(options.names) - {case.name for case in cases}
    if unknown:
        sys.exit(f"e2e: no case {' '.join(sorted(unknown))}; there are: {' '.join(case.name for case in cases)}")
    if options.names:
        return [case for case in cases if case.name in options.names]
    sizes = ["quick"] if options.quick else ["quick", "normal", "slow"] if options.slow else ["quick", "normal"]
    return [case for case in cases if case.size in sizes]


def options_from(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="cases (default: all but the slow ones)")
    parser.add_argument("--platform", action="append", dest="platforms", choices=["seccomp", "ptrace"])
    parser.add_argument("--option", action="append", dest="more", default=[], metavar="OPTION",
                        help="one more of sbox run's, such as --option=--fast-calls=always")
    parser.add_argument("--sbox", type=pathlib.Path, default=ROOT / "build/release/sbox")
    parser.add_argument("--quick", action="store_true", help="only the quick cases")
    parser.add_argument("--slow", action="store_true", help="the slow cases too")
    parser.add_argument("--native", action="store_true", help="no sandbox: run natively twice, to check the cases themselves")
    options = parser.parse_args(argv)
    options.platforms = options.platforms or ["seccomp", "ptrace"]
    options.sbox = options.sbox.resolve()
    return options


def main():
    options = options_from(sys.argv[1:])
    if not options.native and not os.access(options.sbox, os.X_OK):
        sys.exit(f"e2e: {options.sbox} is not there: ./dev build")
    passed = failed = skipped = 0
    for case in selected(options):
        missing = case.missing()
        if missing or (case.wants_data and not fetch_data()):
            print(f"skipped {case.name}: no {' '.join(missing) or 'source of jansson'}")
            skipped += 1
            continue
        good, bad = run_case(case, options)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # on the way out what was started is ended
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
