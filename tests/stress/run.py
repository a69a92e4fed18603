#!/usr/bin/env python3
"""The stress programs natively (a check of themselves) and inside, on both platforms: tests/stress/run.py [SECONDS].

mixed: many tasks at mixed work; forkstorm: against the limit of processes; memlimit: against the limit of memory. By hand
and in long runs; ./dev test does without. kill.py beside this is the fourth.
"""
import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(label, command, limit):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        print(f"FAILED  {label}: hangs")
        return False
    except OSError as error:
        print(f"FAILED  {label}: {error}")
        return False
    good = done.returncode == 0
    print(f"{'ok' if good else 'FAILED':<7} {label}: status {done.returncode}")
    for line in (done.stdout + done.stderr).strip().splitlines()[-12:]:
        print(f"        {line}")
    sys.stdout.flush()
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", nargs="?", type=int, default=10)
    parser.add_argument("--platform", action="append", choices=["seccomp", "ptrace"])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--processes", type=int, default=100)
    parser.add_argument("--threads", type=int, default=10)
    parser.add_argument("--only", choices=["mixed", "forkstorm", "memlimit"])
    options = parser.parse_args()
    programs = options.build.resolve() / "tests/stress"
    mixed = [str(programs / "mixed"), str(options.seconds), str(options.processes), str(options.threads)]
    cases = {
        "mixed": (mixed, []),
        "forkstorm": ([str(programs / "forkstorm"), "5", "2000"], ["--pids", "150"]),
        "memlimit": ([str(programs / "memlimit"), "1024"], ["--memory", "256M"]),
    }
    limit = options.seconds * 10 + 300
    results = []
    for name, (command, limits) in cases.items():
        if options.only not in (None, name):
            continue
        if name == "mixed":
            results.append(run(f"{name} native", command, limit))
        for platform in options.platform or ["seccomp", "ptrace"]:
            inside = [str(options.build / "sbox"), "run", "--platform", platform, "--ro", str(programs), *limits, "--"]
            results.append(run(f"{name} {platform}", inside + command, limit))
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
