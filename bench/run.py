#!/usr/bin/env python3
"""Measures sbox beside native and beside peers, all in one run: ./dev bench [NAME…] [--quick].

For each case the columns take turns, several rounds of it, and the median of each is shown, with its ratio to native. The
micro programs and the whole programs time themselves from inside, so that only `startup` counts the start of a sandbox.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import cases
import sandboxes
import system

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "build/bench-data"
LIMIT = 1800  # seconds after which one measurement counts as hung


class Failed(Exception):
    """A measurement that gave no figure, with the words to show."""


def figure(sandbox, argv, word):
    """Runs argv in the sandbox; the number after `word` on a line of its output."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        env = {**os.environ, "TMPDIR": folder} if sandbox.name == "native" else None
        try:
            done = subprocess.run(sandbox.command(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  errors="replace", env=env, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed("hangs") from None
    for line in done.stdout.splitlines():
        if line.startswith(word + " "):
            return float(line.split()[1])
    last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
    raise Failed(f"status {done.returncode}: {last}")


def memory_folder():
    """Where native programs work: sandboxes have their /tmp in memory, so native gets the same."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def micro(name, options):
    program, arguments = cases.WITH_ARGUMENTS.get(name, (name, []))
    return [str(options.build / "bench" / program), str(options.batch_ms), str(options.batches), *arguments]


def whole(name):
    return ["sh", str(ROOT / "bench/whole" / f"{name}.sh"), str(DATA)]


def measure_micro(sandbox, name, options):
    return figure(sandbox, micro(name, options), "ns_per_op")


def measure_whole(sandbox, name, _options):
    return figure(sandbox, whole(name), "elapsed_ns")


def measure_system(sandbox, name, options):
    if name == "startup":
        spawn = [str(options.build / "bench/spawn"), str(options.batch_ms), str(options.batches)]
        return figure(sandboxes.native(), [*spawn, *sandbox.command(["/bin/true"])], "ns_per_op")
    if sandbox.name in ("native", "bwrap"):
        return None
    try:
        return system.memory(sandbox) * 1024 if name == "memory" else system.idle_cpu(sandbox)
    except RuntimeError as error:
        raise Failed(str(error)) from None


def run_case(name, measure, columns, options):
    """Medians by column, and what went wrong by column. A column that fails once is left alone."""
    figures, errors = {column.name: [] for column in columns}, {}
    for _ in range(options.rounds):
        for column in columns:
            if column.name in errors:
                continue
            try:
                value = measure(column, name, options)
                if value is not None:
                    figures[column.name].append(value)
            except Failed as failed:
                errors[column.name] = str(failed)
    medians = {name: statistics.median(values) for name, values in figures.items() if values and name not in errors}
    return medians, errors


def shown(name, value):
    if name == "memory":
        return f"{value / 1048576:.1f} MiB"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 100 * size else f"{value / size:.0f} {unit}"
    return f"{value:.3g} ns"


def is_over(name, bar, medians):
    """Whether sbox misses its bar; None without one or without figures."""
    mine, native = medians.get("sbox"), medians.get("native")
    if bar is None or mine is None:
        return None
    if name == "memory":
        return mine > bar * 1024
    if name == "idle_cpu":
        return mine > bar
    return mine / native > bar if native else None


def row(entry, columns):
    cells, native = [], entry["ns"].get("native")
    for column in columns:
        value = entry["ns"].get(column)
        text = "–" if value is None else shown(entry["name"], value)
        if value is not None and native and column != "native":
            text += f" ×{value / native:.2f}"
        cells.append(f"{text:>20}" if column != "native" else f"{text:>10}")
    bar = "" if entry["bar"] is None else ("0" if entry["name"] == "idle_cpu" else
                                           "4 MiB" if entry["name"] == "memory" else f"×{entry['bar']}")
    mark = {True: "over", False: "ok", None: ""}[entry["over"]]
    return f"{entry['name']:<15}" + "".join(cells) + f"{bar:>8} {mark:<5}{entry['what']}"


def chosen(options):
    """The cases to run: kind, name, bar, words."""
    every = [("micro", *case) for case in cases.MICRO]
    every += [("whole", name, None, what) for name, what in cases.WHOLE]
    every += [("system", *case) for case in cases.SYSTEM]
    known = {case[1] for case in every} | {"micro", "whole", "system"}
    for name in options.names:
        if name not in known:
            sys.exit(f"bench: no case '{name}'; there are: {' '.join(sorted(known))}")
    return [case for case in every if not options.names or case[0] in options.names or case[1] in options.names]


def fetch_data():
    command = [str(ROOT / "tools/debian-source.sh"), "jansson", str(DATA)]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
        print("bench: the source of jansson could not be fetched; jansson_build will fail", file=sys.stderr)


def usable(columns):
    """The columns that can run here; says why the others cannot. A column that cannot start /bin/true is left out."""
    for column in columns:
        if column.prefix is None:
            print(f"bench: no {column.name}: {column.reason}", file=sys.stderr)
            continue
        try:
            done = subprocess.run(column.command(["/bin/true"]), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=60)
        except subprocess.TimeoutExpired:
            print(f"bench: no {column.name}: /bin/true hangs in it", file=sys.stderr)
            continue
        if done.returncode != 0:
            why = (done.stderr.strip() or "nothing said").splitlines()[-1]
            print(f"bench: no {column.name}: /bin/true in it gave status {done.returncode}: {why}", file=sys.stderr)
            continue
        yield column


def options_from(argv):
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="cases, or micro, whole, system (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, help="how often each column has its turn")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--platform", help="of sbox: seccomp or ptrace")
    parser.add_argument("--peers", default="runsc,bwrap", help="comma-separated; default: runsc,bwrap")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json", help="file for the figures")
    options = parser.parse_args(argv)
    options.build = options.build.resolve()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.batch_ms, options.batches = (30, 3) if options.quick else (100, 5)
    return options


def main():
    options = options_from(sys.argv[1:])
    selected = chosen(options)
    if not (options.build / "bench/getpid").exists():
        sys.exit(f"bench: {options.build}/bench has no programs: ./dev build")
    if any(case[1] == "jansson_build" for case in selected):
        fetch_data()
    peers = options.peers.split(",")
    wanted = [sandboxes.native(), sandboxes.sbox(options.build / "sbox", options.platform)]
    wanted += [make() for name, make in (("runsc", sandboxes.runsc), ("bwrap", sandboxes.bubblewrap)) if name in peers]
    columns = list(usable(wanted))
    measures = {"micro": measure_micro, "whole": measure_whole, "system": measure_system}
    results, failures = [], []
    shown_columns = [column.name for column in wanted if column.name != "bwrap"]
    print(f"{'case':<15}" + "".join(f"{name:>{10 if name == 'native' else 20}}" for name in shown_columns) + f"{'bar':>8}")
    for kind, name, bar, what in selected:
        mine = [column for column in columns if column.name != "bwrap" or name == "startup"]
        medians, errors = run_case(name, measures[kind], mine, options)
        entry = {"name": name, "what": what, "bar": bar, "ns": medians, "errors": errors,
                 "over": is_over(name, bar, medians)}
        results.append(entry)
        print(row(entry, shown_columns), flush=True)
        if "bwrap" in medians:
            print(f"{'':<15}bwrap {shown(name, medians['bwrap'])}")
        failures += [f"{name} in {column}: {why}" for column, why in errors.items()]
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "machine": platform.machine()}
    options.json.write_text(json.dumps({"machine": machine, "rounds": options.rounds, "cases": results}, indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
