#!/usr/bin/env python3
"""samples/demo.sh --interactive, as somebody runs it who tries Layby: all of its steps, a car that stays, and an end that leaves
nothing behind. It fetches real payloads, so it belongs to `tests/run.sh --long`."""
import glob
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from rig import check, check_equal, step, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEPS = 13


def lines_until(demo, text):
    """What the demo prints, to the line with `text`."""
    printed = []
    for line in demo.stdout:
        printed.append(line)
        if text in line:
            return "".join(printed)
    raise SystemExit(f"the demo ended with {demo.wait()} before it said {text!r}:\n{''.join(printed[-40:])}")


def session_of(pid):
    """Everything that the demo has begun and that still runs."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:
                session = stream.read().rpartition(")")[2].split()[3]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if int(session) == pid:
            found.append(name)
    return found


def runs_of_demo():
    """The directories that runs have left."""
    return set(glob.glob(os.path.join(ROOT, "build", "demo", "run.*")))


def get(page):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(page, timeout=10) as answer:
        return answer.read().decode()


def is_gone(page):
    try:
        get(page)
    except (urllib.error.URLError, ConnectionError):
        return True
    return False


def main():
    before = runs_of_demo()
    demo = subprocess.Popen(["bash", os.path.join(ROOT, "samples", "demo.sh"), "--interactive"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        with step("all steps of the demo"):
            printed = lines_until(demo, "Everything did what it should.")
            for number in range(1, STEPS + 1):
                check(f"[{number:2}/{STEPS}]" in printed, f"step {number} is not there")
        with step("the car that stays has a head unit, whose page answers"):
            page = re.search(r"http://127\.0\.0\.1:\d+/", lines_until(demo, "http://"))[0]
            check("<title>Layby" in get(page), f"{page} is no head unit")
            lines_until(demo, "Ctrl-C ends")
        with step("it ends when it is told to, and leaves nothing"):
            demo.send_signal(signal.SIGTERM)
            check_equal(demo.wait(60), 0, "exit status of the demo")
            wait_until("all that it had begun has ended", lambda: not session_of(demo.pid))
            check(is_gone(page), "the page still answers")
            check_equal(runs_of_demo() - before, set(), "what is left in build/demo")
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGTERM)
            demo.wait(60)


if __name__ == "__main__":
    sys.exit(main())
