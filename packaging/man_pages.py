#!/usr/bin/env python3
"""Writes what the programs' --help says into their man pages, between the two marks that each page has.

    man_pages.py BIN_DIR MAN_DIR            writes
    man_pages.py --check BIN_DIR MAN_DIR    writes nothing; exit status 1 where a page is not as it would be written

The rest of a page is written by hand: what the program is for, its files, its exit status, examples.
"""
import os
import re
import subprocess
import sys

BEGIN, END = '.\\" begin of what --help says', '.\\" end of what --help says'


def help_of(program, path):
    done = subprocess.run([program, *path, "--help"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def sections(lines):
    """The first line, and per section its entries: (name, description)."""
    found, current = {}, None
    for line in lines[1:]:
        if re.fullmatch(r"[A-Z][a-z]+:", line):
            current = found.setdefault(line[:-1], [])
        elif not line.strip():
            current = None
        elif current is not None and re.match(r"  \S", line):
            name, _, text = re.sub(r"\s{2,}", "\0", line.strip(), count=1).partition("\0")
            current.append([name, text])
        elif current:
            current[-1][1] = (current[-1][1] + " " + line.strip()).strip()
    return lines[0] if lines else "", found


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def option_name(name):
    """`-h,--help` and `--port INT:INT in [0 - 65535]`: names bold, the rest as it is."""
    names, _, value = name.partition(" ")
    value = re.sub(r"\b([A-Z]+):\1 in ", r"\1 in ", value).replace("REQUIRED", "(required)")
    bold = ", ".join(f"\\fB{roff(one)}\\fR" for one in names.split(","))
    return f"{bold} {roff(value)}".rstrip()


def entries(items):
    out = []
    for name, text in items:
        if name.startswith("-h,"):
            continue
        out += [".TP", option_name(name)]
        if text:
            out.append(roff(text))
    return out


def commands(program, path, name):
    what, found = sections(help_of(program, path))
    out = []
    own = found.get("Positionals", []) + found.get("Options", [])
    if path:
        out += [f".SS {roff(' '.join([name, *path]))}", roff(what[:1].upper() + what[1:].rstrip(".") + ".")]
    elif len(own) > 1:
        out += [".SH OPTIONS"]
    out += entries(own)
    if not path and found.get("Subcommands"):
        out += [".SH COMMANDS"]
    for command, _ in found.get("Subcommands", []):
        out += commands(program, [*path, command], name)
    return out


def page_of(text, program, name):
    before, _, rest = text.partition(BEGIN + "\n")
    _, _, after = rest.partition(END + "\n")
    if not after:
        raise SystemExit(f"{name}: the marks are missing")
    return before + BEGIN + "\n" + "\n".join(commands(program, [], name)) + "\n" + END + "\n" + after


def main():
    arguments = sys.argv[1:]
    check = arguments[:1] == ["--check"]
    if len(arguments) != 2 + check:
        print(__doc__, file=sys.stderr)
        return 2
    bin_dir, man_dir = arguments[check:]
    stale = []
    for file in sorted(os.listdir(man_dir)):
        if not re.fullmatch(r"[a-z-]+\.[18]", file):
            continue
        name, path = file[:-2], os.path.join(man_dir, file)
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        wanted = page_of(text, os.path.join(bin_dir, name), name)
        if wanted == text:
            continue
        stale.append(file)
        if not check:
            with open(path, "w", encoding="utf-8") as out:
                out.write(wanted)
    for file in stale:
        print(f"{file}: {'is not what --help says: run packaging/man_pages.py' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
