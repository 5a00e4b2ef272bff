#!/usr/bin/env python3
"""What each library has in a program, by the linker's map: bytes that are loaded, of code and constants and data.

    size_shares.py MAP        exit status 1 where our own code is above OWN_BYTES_MAX

Our own code is everything in our objects: what the compiler made there from libraries' templates and inline functions, too.
How much that is, is said after it, where the build gives each function a section of its own (-ffunction-sections).
"""
import os
import re
import sys
from collections import Counter

OWN_BYTES_MAX = 1_500_000
LOADED = re.compile(r"^\.(text|rodata|data|eh_frame|gcc_except_table|init_array|tdata|bss|data\.rel\.ro)\b")
INPUT = re.compile(r"^ (\.?[\w.$:*]+)?\s+0x[0-9a-f]+\s+(0x[0-9a-f]+) (\S.*)$")
# A section's name ends with the mangled name of what is in it; the outermost namespace says who wrote it.
WRITER = re.compile(r"_Z+(?:T[VIST]|GV)?(?:Th?v?\w+_)?N?[VKRO]*L?(S[tabsiod]|8nlohmann|3CLI|4toml|3fmt|2tl|9__gnu_cxx)")
WRITERS = {"8nlohmann": "nlohmann-json", "3CLI": "CLI11", "4toml": "toml++", "3fmt": "fmt", "2tl": "expected"}


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


def writer(section):
    match = WRITER.search(section)
    return WRITERS.get(match[1], "the C++ library") if match else None


def shares(text):
    """Bytes by library; and of those in our objects, by whose header they come from."""
    found, headers, output, name = Counter(), Counter(), "", ""
    for line in text.partition("Linker script and memory map")[2].splitlines():
        if re.match(r"^\.\S", line):
            output = line.split()[0]
        if re.match(r"^ \.\S+$", line):  # a long name, its numbers on the next line
            name = line
            continue
        match = INPUT.match(name + line if name else line)
        name = ""
        if match and LOADED.match(output) and match[3] != "load address":
            owner, size = library(match[3]), int(match[2], 16)
            found[owner] += size
            if owner.startswith("layby: ") and writer(match[1] or ""):
                headers[writer(match[1])] += size
    return found, headers


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as stream:
        found, headers = shares(stream.read())
    own = sum(size for name, size in found.items() if name.startswith("layby: "))
    for name, size in sorted(found.items(), key=lambda item: -item[1]):
        if size >= 1024:
            print(f"{size:9}  {name}")
    print(f"{own:9}  layby, all rooms together; at most {OWN_BYTES_MAX}; of it from headers of")
    for name, size in sorted(headers.items(), key=lambda item: -item[1]):
        print(f"{size:9}    {name}")
    return 1 if own == 0 or own > OWN_BYTES_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
