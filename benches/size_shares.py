#!/usr/bin/env python3
"""What each library has in a program, by the linker's map: bytes that are loaded, of code and constants and data.

    size_shares.py MAP        exit status 1 where our own code is above OWN_BYTES_MAX
"""
import os
import re
import sys
from collections import Counter

OWN_BYTES_MAX = 3 * 1024 * 1024 // 2
LOADED = re.compile(r"^\.(text|rodata|data|eh_frame|gcc_except_table|init_array|tdata|bss|data\.rel\.ro)\b")
INPUT = re.compile(r"^ (\.?[\w.$:*]+)?\s+0x[0-9a-f]+\s+(0x[0-9a-f]+) (\S.*)$")


def library(path):
    """`.../libcrypto.a(x.o)` is libcrypto; objects and archives of ours go by their room."""
    archive, _, _ = path.partition("(")
    name = os.path.basename(archive)
    if "formatting.cc" in path:
        return "fmt"
    if name.startswith("liblayby_"):
        return "layby: " + name[len("liblayby_"):].removesuffix(".a")
    if archive.endswith(".o") and "CMakeFiles" in archive:
        return "layby: main"
    return name.removesuffix(".a") if archive.endswith(".a") else "start files"


def shares(text):
    found, output, name = Counter(), "", ""
    for line in text.partition("Linker script and memory map")[2].splitlines():
        if re.match(r"^\.\S", line):
            output = line.split()[0]
        if re.match(r"^ \.\S+$", line):  # a long name, its numbers on the next line
            name = line
            continue
        match = INPUT.match(name + line if name else line)
        name = ""
        if match and LOADED.match(output) and match[3] != "load address":
            found[library(match[3])] += int(match[2], 16)
    return found


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as stream:
        found = shares(stream.read())
    own = sum(size for name, size in found.items() if name.startswith("layby: "))
    for name, size in sorted(found.items(), key=lambda item: -item[1]):
        if size >= 1024:
            print(f"{size:9}  {name}")
    print(f"{own:9}  layby, all rooms together; at most {OWN_BYTES_MAX}")
    return 1 if own == 0 or own > OWN_BYTES_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
