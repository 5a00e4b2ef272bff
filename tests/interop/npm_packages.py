"""What the tests here need of npm, in the build directory: exactly what package-lock.json names, by version and digest.

Where node, npm or the registry is missing, a test ends with status 77, which CTest counts as skipped; with LAYBY_REQUIRE_INTEROP=1
that is a failure. What the registry has and what does not fit the digests is always one.
"""
import fcntl
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = os.environ["LAYBY_INTEROP_DIR"]
NAMED = ("package.json", "package-lock.json")
NODE_MAJOR_MIN = 18  # tuf-js needs its fetch


def skip(why):
    print(f"\n*** interop: SKIPPED, nothing was compared with tuf-js: {why} ***\n", file=sys.stderr, flush=True)
    sys.exit(1 if os.environ.get("LAYBY_REQUIRE_INTEROP") == "1" else 77)


def run(*command):
    try:
        return subprocess.run(command, cwd=PACKAGES, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer within three minutes\n")


def reason(done):
    lines = done.stderr.strip().splitlines()
    return " / ".join([line for line in lines if line.startswith("npm error")][:3] or lines[-3:])


def content(path):
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def check_node():
    for program in ("node", "npm"):
        if not shutil.which(program):
            skip(f"{program} is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    if int(version[1:].split(".")[0]) < NODE_MAJOR_MIN:
        skip(f"node {version} is older than {NODE_MAJOR_MIN}")


def fetch():
    mark = os.path.join(PACKAGES, "installed")
    wanted = b"".join(content(os.path.join(HERE, name)) for name in NAMED)
    if content(mark) == wanted:
        return
    if os.path.exists(mark):
        os.remove(mark)
    for name in NAMED:
        shutil.copyfile(os.path.join(HERE, name), os.path.join(PACKAGES, name))
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000")
    done = run("npm", "ci", "--prefer-offline", *options)
    if done.returncode:
        asked = run("npm", "view", "tuf-js", "name", *options)
        if asked.returncode:
            skip(f"the package registry does not answer: {reason(asked)}")
        raise SystemExit(f"FAILED: the registry answers, but not with what package-lock.json names: {reason(done)}")
    with open(mark, "wb") as out:
        out.write(wanted)


def install():
    check_node()
    os.makedirs(PACKAGES, exist_ok=True)
    with open(os.path.join(PACKAGES, "lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests here run side by side
        fetch()


def node(script, *arguments, options=(), environment=None):
    """A script of this directory, with the packages at hand."""
    return subprocess.run(["node", *options, os.path.join(HERE, script), *arguments], cwd=PACKAGES, capture_output=True, text=True,
                          timeout=120, env={**os.environ, **(environment or {})}, check=False)
