#!/usr/bin/env python3
"""Tries every forbidden act: those of attempts.c from inside sentry and gofer, those of guest.c as a guest.

usage: tests/escape/run.py [--sbox FILE] [--platform NAME]...

Needs the test build (./dev build escape). Both platforms are tried. An act passes if it was tried and refused: by an error, or by the filter,
which ends the process. Prints a line for each act that got through, and a summary; exits 1 if there was one.
"""
import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run(sbox, platform, attempt, victim):
    env = dict(os.environ, SBOX_ESCAPE=attempt, SBOX_ESCAPE_PID=str(victim))
    try:
        done = subprocess.run([sbox, "run", "--platform", platform, "--", "true"], env=env, capture_output=True,
                              text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stderr + done.stdout


def verdict(output, attempt):
    if output is None:
        return "the sandbox hangs"
    if f"ESCAPED {attempt}" in output:
        return "it was not refused"
    if f"TRYING {attempt}" not in output:
        return "it was not tried: " + output.strip()[:200]
    return None


def guest(sbox, platform):
    """True if the hostile guest got nowhere."""
    program = Path(sbox).parent / "tests/escape/guest"
    done = subprocess.run([sbox, "run", "--platform", platform, "--pids", "500", "--ro", str(program), "--", str(program)],
                          capture_output=True, text=True, errors="replace", timeout=300, check=False)
    print(f"{platform} guest: {(done.stdout + done.stderr).strip()}")
    return done.returncode == 0


def slots(sbox):
    """True if the sandbox outlives attacks on the memory of fast calls."""
    program = Path(sbox).parent / "tests/escape/slots"
    done = subprocess.run([sbox, "run", "--fast-calls", "always", "--ro", str(program), "--", str(program)],
                          capture_output=True, text=True, errors="replace", timeout=600, check=False)
    print(f"slots: {(done.stdout + done.stderr).strip()}")
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sbox", default=str(ROOT / "build/escape/sbox"))
    parser.add_argument("--platform", action="append")
    args = parser.parse_args()
    victim = subprocess.Popen(["sleep", "1000"])
    tried = failed = 0
    try:
        failed += not slots(args.sbox)
        for platform in args.platform or ["seccomp", "ptrace"]:
            failed += not guest(args.sbox, platform)
            for who in ["sentry", "gofer"]:
                listing = run(args.sbox, platform, f"{who}:list", victim.pid) or ""
                acts = [line.split("ACT ", 1)[1] for line in listing.splitlines() if "ACT " in line]
                if not acts:
                    print(f"FAILED  {platform} {who}: no list of acts: {listing.strip()[:200]}")
                    failed += 1
                for act in acts:
                    why = verdict(run(args.sbox, platform, f"{who}:{act}", victim.pid), f"{who}:{act}")
                    tried += 1
                    if why:
                        failed += 1
                        print(f"FAILED  {platform} {who} {act}: {why}")
        if victim.poll() is not None:
            failed += 1
            print("FAILED  the process outside was killed")
    finally:
        victim.kill()
        victim.wait()
    print(f"{tried - failed} acts refused, {failed} failed")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
