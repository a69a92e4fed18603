#!/usr/bin/env python3
"""Writes the lists of host calls in docs/security.md from the filters' own tables.

usage: tools/security.py [--check]

Between the lines "<!-- calls: PART -->" and "<!-- end -->" stands what the part's filter lets through. --check: exit 1
if the page is not up to date.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/security.md"


def gofer():
    text = (ROOT / "gofer/jail.c").read_text()
    table = text[text.index("allowed_calls[]"):text.index("};")]
    rows = re.findall(r"SYS_(\w+),\s*/\* (.*?) \*/", table)
    return ["| call | why |", "|---|---|"] + [f"| {name} | {why} |" for name, why in rows]


def sentry():
    text = (ROOT / "sentry/boot/jail.c").read_text()
    table = text[text.index("plain_calls[]"):text.index("soft_calls[]")]
    lines, heading, names = ["| what for | calls |", "|---|---|"], "", []
    for kind, word in re.findall(r"(/\*\s*|CALL\()(.*?)(?=\s*\*/|\))", table, re.S):
        if kind.startswith("/*"):
            if names:
                lines.append(f"| {heading} | {', '.join(names)} |")
            heading, names = " ".join(word.replace("*", " ").split()), []
        else:
            names.append(word)
    lines.append(f"| {heading} | {', '.join(names)} |")
    return lines


def render(text):
    for part, make in (("gofer", gofer), ("sentry", sentry)):
        block = "\n".join([f"<!-- calls: {part} -->", *make(), "<!-- end -->"])
        text = re.sub(rf"<!-- calls: {part} -->.*?<!-- end -->", lambda _: block, text, flags=re.S)
    return text


def main():
    old = PAGE.read_text()
    new = render(old)
    if "--check" in sys.argv[1:]:
        if new != old:
            print("docs/security.md is out of date: run tools/security.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
