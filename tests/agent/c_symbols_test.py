#!/usr/bin/env python3
"""The symbols that liblayby.so shows are the functions that layby_agent.h declares, under one version; it needs no C++ runtime, and
nothing of the C library that it has promised not to use.

    c_symbols_test.py LIBRARY HEADER READELF NM sanitized|plain
"""
import re
import subprocess
import sys

# What a host may have been linked against. A name goes away with a major version alone.
PROMISED = {"layby_agent_open", "layby_agent_step", "layby_agent_status", "layby_agent_error", "layby_agent_close",
            "layby_answer_status", "layby_answer_header", "layby_answer_body", "layby_version"}
VERSION = "LAYBY_0"
# By the header: it starts no thread and no process, touches no signal handler and no environment, ends nothing (but by abort).
FORBIDDEN = re.compile(r"(pthread_create|thrd_create|clone3?|v?fork|posix_spawnp?|system|popen|exec[lv]p?e?|signal|sigaction|"
                       r"sigprocmask|pthread_sigmask|raise|kill|alarm|setitimer|timer_create|_?_?exit|_Exit|quick_exit|"
                       r"(secure_)?getenv|setenv|putenv|unsetenv|environ|setlocale|umask|chdir)")


def output(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def main():
    library, header, readelf, nm, build = sys.argv[1:]
    with open(header, encoding="utf-8") as stream:
        text = re.sub(r"/\*.*?\*/", "", stream.read(), flags=re.DOTALL)
    declared = set(re.findall(r"^[a-z_0-9 ]+[ *]+(layby_[a-z_]+)\(", text, re.MULTILINE))
    shown = {line.split()[-1] for line in output(nm, "-D", "--defined-only", library).splitlines()}
    dynamic = output(readelf, "-d", library)
    wrong = []
    if declared != PROMISED:
        wrong.append(f"the header and this test differ: {sorted(declared ^ PROMISED)}")
    wanted = {VERSION} | {f"{name}@@{VERSION}" for name in PROMISED}
    if shown != wanted:
        wrong.append(f"shown and promised differ: {sorted(shown ^ wanted)}")
    if not re.search(r"SONAME.*\[liblayby\.so\.0\]", dynamic):
        wrong.append("the library's name is not liblayby.so.0")
    if build == "plain" and re.search(r"NEEDED.*\[lib(stdc\+\+|fmt)", dynamic):
        wrong.append("a C++ library is needed")
    if "TEXTREL" in dynamic:
        wrong.append("the code is relocated")
    used = {line.split()[-1].partition("@")[0] for line in output(nm, "-D", "--undefined-only", library).splitlines()}
    forbidden = sorted(filter(FORBIDDEN.fullmatch, used))
    if build == "plain" and forbidden:
        wrong.append(f"it uses what it has promised not to: {forbidden}")
    if "abort" not in used:
        wrong.append(f"{nm} shows nothing of what the library uses")
    for text in wrong:
        print(f"c_symbols_test: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
