#!/usr/bin/env python3
"""The .deb files: cpack makes them, each has what it should and nothing else, and lintian finds no fault with them.

    deb_test.py SOURCE_DIR BUILD_DIR
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = sys.argv[1:3]
COMPLETION, UNITS, LIBRARIES = "usr/share/bash-completion/completions", "usr/lib/systemd/system", "usr/lib/MACHINE"
CONFIG = f"{LIBRARIES}/cmake/layby"

# Beside usr/share/doc/PACKAGE.
FILES = {
    "layby-agent": ["usr/bin/layby-agent", "usr/bin/layby-ecu", f"{UNITS}/layby-agent.service", f"{UNITS}/layby-agent.path", f"{UNITS}/layby-ecu@.service",
                    f"{COMPLETION}/layby-agent", f"{COMPLETION}/layby-ecu", "usr/share/dbus-1/system.d/org.layby.Agent1.conf",
                    "usr/share/man/man8/layby-agent.8.gz", "usr/share/man/man8/layby-ecu.8.gz"],
    "laybyd": ["usr/bin/laybyd", f"{UNITS}/laybyd.service", f"{COMPLETION}/laybyd", "usr/share/man/man8/laybyd.8.gz"],
    "layby-tools": [path for name in ("layby", "layby-delta", "layby-tuf")
                    for path in (f"usr/bin/{name}", f"{COMPLETION}/{name}", f"usr/share/man/man1/{name}.1.gz")],
    "liblayby0": [f"{LIBRARIES}/liblayby.so.0", f"{LIBRARIES}/liblayby.so.0.1.0"],
    "liblayby-dev": [f"{LIBRARIES}/liblayby.so", f"{LIBRARIES}/pkgconfig/layby.pc",
                     *(f"{LIBRARIES}/liblayby_{room}.a" for room in ("agent", "base", "crypto", "delta", "manifest", "secondary")),
                     *(f"{CONFIG}/{name}.cmake" for name in ("laybyConfig", "laybyConfigVersion", "layby-c", "layby-c-release",
                                                             "layby-cxx", "layby-cxx-release"))],
}
SCRIPTS = {"layby-agent": ["postinst", "postrm", "prerm"], "laybyd": ["postinst", "postrm", "prerm"],
           "liblayby0": ["shlibs", "triggers"]}
# What lintian may say, and why.
OVERRIDES = {
    "initial-upload-closes-no-bugs": "for Debian's own archive",
    "maintscript-calls-ldconfig": "CPack writes these two scripts of liblayby0",
}


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=500, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def headers():
    """The rooms of the car's side, but for what is there for the C interface or the daemon only."""
    others = {"layby_agent.h", "bus_vehicle.h", "vehicle_config.h"}
    found = ["usr/include/layby_agent.h"]
    for room in ("agent", "base", "crypto", "delta", "manifest"):
        for path in glob.glob(f"{SOURCE}/{room}/**/*.h", recursive=True):
            name = os.path.basename(path)
            if not name.startswith("host_") and name not in others:
                found.append("usr/include/layby/" + os.path.relpath(path, SOURCE))
    return found


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="layby-deb-")
        run("cpack", "--config", f"{BUILD}/CPackConfig.cmake", "-B", cls.directory.name)
        files = glob.glob(f"{cls.directory.name}/*.deb")
        cls.debs = {os.path.basename(path).split("_")[0]: path for path in files}

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def test_each_has_its_files_and_nothing_else(self):
        self.assertEqual(sorted(self.debs), sorted(FILES))
        for package, path in self.debs.items():
            documents = [f"usr/share/doc/{package}/{name}" for name in ("changelog.Debian.gz", "copyright")]
            wanted = FILES[package] + documents + (headers() if package == "liblayby-dev" else [])
            found = []
            for line in run("dpkg-deb", "-c", path).splitlines():
                mode, owner, name = re.match(r"(\S+) (\S+) .*? \./(\S*)", line).groups()
                self.assertEqual(owner, "root/root", line)
                if mode[0] == "d":
                    self.assertEqual(mode, "drwxr-xr-x", line)
                    continue
                found.append(re.sub(r"lib/[a-z0-9_]+-linux-gnu\w*", "lib/MACHINE", name))
                usual = "-rwxr-xr-x" if name.startswith("usr/bin/") else "-rw-r--r--"
                self.assertIn(mode, (usual, "lrwxrwxrwx" if ".so" in name else usual), line)
            self.assertEqual(sorted(found), sorted(wanted), package)

    def test_each_brings_its_scripts(self):
        for package, path in self.debs.items():
            with tempfile.TemporaryDirectory() as control:
                run("dpkg-deb", "-e", path, control)
                scripts = set(os.listdir(control)) - {"control", "md5sums"}
                # Of liblayby0 CPack writes the calls of ldconfig itself.
                generated = {"postinst", "postrm"} if package == "liblayby0" else set()
                self.assertEqual(sorted(scripts - generated), SCRIPTS.get(package, []), package)
                for script in scripts & {"postinst", "postrm", "prerm"}:
                    run("sh", "-n", f"{control}/{script}")

    @unittest.skipUnless(shutil.which("lintian"), "there is no lintian (Debian: apt-get install lintian)")
    def test_lintian_says_nothing_that_is_not_named_here(self):
        done = subprocess.run(["lintian", "--tag-display-limit", "0", "--fail-on", "error", *self.debs.values()],
                              capture_output=True, text=True, timeout=500, check=False)
        tags = re.findall(r"^([A-Z]): \S+: (\S+)", done.stdout, re.MULTILINE)
        unexpected = [line for line in done.stdout.splitlines() if not any(f": {tag} " in line for tag in OVERRIDES)]
        self.assertEqual((done.returncode, unexpected), (0, []), done.stderr)
        self.assertEqual({tag for _, tag in tags}, set(OVERRIDES), "an override that nothing needs")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
