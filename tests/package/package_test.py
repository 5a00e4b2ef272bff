#!/usr/bin/env python3
"""What is installed: a project that finds it with CMake, one that finds it with pkg-config, man pages, completion and units.

    package_test.py SOURCE_DIR BUILD_DIR sanitized|plain
"""
import fnmatch
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD, KIND = sys.argv[1:4]
PROGRAMS = ("laybyd", "layby", "layby-agent", "layby-ecu", "layby-delta", "layby-tuf")


def run(*arguments, **more):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=500, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def text_of(*path):
    with open(os.path.join(*path), encoding="utf-8") as stream:
        return stream.read()


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="layby-")
        cls.home = cls.directory.name
        cls.prefix = os.path.join(cls.home, "usr")
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.libraries = os.path.dirname(glob.glob(f"{cls.prefix}/lib/**/liblayby.so", recursive=True)[0])

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def test_a_project_finds_the_components_with_cmake(self):
        if KIND == "sanitized":
            self.skipTest("an installed library with a sanitizer inside is nobody's")
        build = os.path.join(self.home, "consumer")
        run("cmake", "-S", f"{SOURCE}/tests/package/consumer", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            "-DCMAKE_BUILD_TYPE=Release", "-G", "Ninja")
        run("cmake", "--build", build)
        self.assertRegex(run(f"{build}/in_c"), r"^liblayby \d+\.\d+\.\d+: an argument is NULL\n$")
        work = os.path.join(self.home, "work")
        os.mkdir(work)
        payload = int(run(f"{build}/in_cxx", work).split()[0])
        self.assertLess(payload, 1000)

    def test_a_component_that_is_none_is_an_error(self):
        work = os.path.join(self.home, "none")
        os.mkdir(work)
        with open(f"{work}/CMakeLists.txt", "w", encoding="utf-8") as out:
            out.write("cmake_minimum_required(VERSION 3.21)\nproject(x LANGUAGES C)\n"
                      "find_package(layby REQUIRED COMPONENTS teapot)\n")
        done = subprocess.run(["cmake", "-S", work, "-B", f"{work}/b", f"-DCMAKE_PREFIX_PATH={self.prefix}"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("teapot", done.stderr)

    def test_the_sample_in_c_is_built_with_pkg_config_alone(self):
        env = {**os.environ, "PKG_CONFIG_PATH": f"{self.libraries}/pkgconfig"}
        flags = run("pkg-config", "--cflags", "--libs", "layby", env=env).split()
        program = os.path.join(self.home, "embed-c")
        sanitizer = ["-fsanitize=address,undefined"] if KIND == "sanitized" else []
        run("cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-D_POSIX_C_SOURCE=200809L", *sanitizer,
            f"{SOURCE}/samples/embed-c/main.c", "-o", program, *flags)
        done = subprocess.run([program, self.home], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "LD_LIBRARY_PATH": self.libraries})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("car.json", done.stderr)

    def test_what_an_installed_header_declares_is_in_an_installed_library(self):
        members = set()
        for library in glob.glob(f"{self.libraries}/*.a"):
            members |= set(run("ar", "t", library).split())
        headers = glob.glob(f"{self.prefix}/include/layby/**/*.h", recursive=True)
        self.assertGreater(len(headers), 100)
        for header in headers:
            source = os.path.relpath(header, f"{self.prefix}/include/layby")[:-2] + ".cc"
            if os.path.exists(os.path.join(SOURCE, source)):
                self.assertTrue(f"{os.path.basename(source)}.o" in members, header)

    def test_every_program_has_its_page_and_completion(self):
        self.assertEqual(sorted(os.listdir(f"{self.prefix}/bin")), sorted(PROGRAMS))
        for name in PROGRAMS:
            self.assertTrue(os.access(f"{self.prefix}/bin/{name}", os.X_OK), name)
            self.assertTrue(glob.glob(f"{self.prefix}/share/man/man?/{name}.?.gz"), name)
            self.assertTrue(os.path.exists(f"{self.prefix}/share/bash-completion/completions/{name}"), name)

    def test_units_name_programs_and_pages_that_there_are(self):
        units = glob.glob(f"{self.prefix}/lib/systemd/system/*")
        self.assertEqual(sorted(map(os.path.basename, units)), sorted(os.listdir(f"{SOURCE}/packaging/systemd")))
        for unit in units:
            text = text_of(unit)
            page = re.search(r"man:(\S+)\((\d)\)", text)
            self.assertTrue(glob.glob(f"{self.prefix}/share/man/man{page[2]}/{page[1]}.{page[2]}.gz"), page[0])
            if unit.endswith(".path"):
                continue
            program = re.search(r"^ExecStart=/usr/(bin/\S+)", text, re.MULTILINE).group(1)
            self.assertTrue(os.access(f"{self.prefix}/{program}", os.X_OK), program)
            for option in re.findall(r" (--[a-z-]+)", re.search(r"^ExecStart=.*", text, re.MULTILINE)[0]):
                command = re.search(r"ExecStart=\S+ (\S+)", text)[1]
                self.assertIn(option, run(f"{self.prefix}/{program}", command, "--help"))

    def test_pairing_starts_the_agent(self):
        service, path = (text_of(f"{self.prefix}/lib/systemd/system/layby-agent.{kind}") for kind in ("service", "path"))
        self.assertRegex(service, r"(?m)^Wants=layby-agent\.path$")
        state = re.search(r"--state (\S+)", service)[1]
        watched = re.search(r"(?m)^PathChanged=(\S+)$", path)[1]
        # The mark that `pair` writes last.
        mark = re.search(r'certificate\(\) const \{ return absolute\("(\S+)"\)', text_of(SOURCE, "agent", "layout.h"))[1]
        self.assertEqual(watched, f"{state}/{mark}")
        self.assertRegex(text_of(SOURCE, "agent", "pairing.cc"), r"return replace_file\(disk, layout\.certificate\(\), .*\n\}")
        # Before that the service is no failure, and is not tried again and again.
        for setting in ("RestartPreventExitStatus=2 3", "SuccessExitStatus=3"):
            self.assertIn(f"\n{setting}\n", service)

    def start_unit(self, unit, state, **environment):
        """Runs ExecStart as systemd puts it together, on another state directory: status and what it said."""
        text = text_of(f"{self.prefix}/lib/systemd/system/{unit}")
        values = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE)) | environment
        words = []
        for word in re.search(r"^ExecStart=(.*)", text, re.MULTILINE)[1].split():
            if re.fullmatch(r"\$\w+", word):  # its words, of which there may be none
                words += values[word[1:]].split()
            else:
                words.append(re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], word))
        words = [re.sub(r"^/(?:var/lib|run)/layby-\w+(?:/%i)?", state, word).replace("/usr/", f"{self.prefix}/") for word in words]
        done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, env={"PATH": "/usr/bin:/bin"})
        return done.returncode, done.stderr

    def roots(self):
        fleet = os.path.join(self.home, "fleet")
        if not os.path.exists(fleet):
            run(f"{self.prefix}/bin/laybyd", "init", fleet)
        return [f"--director-root={fleet}/provision/director-root.json", f"--image-root={fleet}/provision/image-root.json"]

    def test_one_variable_says_where_the_agents_car_is(self):
        state = os.path.join(self.home, "agent")
        run(f"{self.prefix}/bin/layby-agent", "provision", "--state", state, "--vin", "WVWZZZ1JZXW000017", "--ecu", "HU-1",
            "--hardware", "hu-4", "--server", "https://localhost:1", *self.roots(), f"--ca={self.home}/fleet/provision/ca.pem")
        config, missing = os.path.join(self.home, "car.toml"), "/nowhere/car.toml"
        with open(config, "w", encoding="utf-8") as out:
            out.write('[viss]\nurl = "unix:/run/car.sock"\n[hooks]\nactivate = ["/usr/bin/true"]\n')
        not_paired = 3  # the command line was good
        for vehicle in ({}, {"LAYBY_VEHICLE": "wss://gateway.local:443"}, {"LAYBY_VEHICLE": f"config:{config}"}):
            for options in ({}, {"LAYBY_AGENT_OPTIONS": "--data-budget-mib 100 --roaming nothing"}):
                status, said = self.start_unit("layby-agent.service", state, **vehicle, **options)
                self.assertEqual(status, not_paired, said)
        # A file may come yet, and systemd tries again; a wrong word stays wrong.
        for vehicle, exit_status, why in ((f"config:{missing}", 1, missing), ("config:", 2, "config:"), ("car.toml", 2, "car.toml"),
                                          (f"config:{state}/car.json", 2, "car.json")):
            status, said = self.start_unit("layby-agent.service", state, LAYBY_VEHICLE=vehicle)
            self.assertEqual(status, exit_status, said)
            self.assertIn(why, said)
        status, said = self.start_unit("layby-agent.service", state, LAYBY_AGENT_OPTIONS="--speed 3")
        self.assertEqual((status, "--speed" in said), (2, True), said)

    def test_the_secondarys_unit_starts_it(self):
        state = os.path.join(self.home, "brakes")
        run(f"{self.prefix}/bin/layby-ecu", "provision", "--state", state, "--vin", "WVWZZZ1JZXW000017", "--serial", "B-1",
            "--hardware", "brakes-2", *self.roots())
        status, said = self.start_unit("layby-ecu@.service", state, LAYBY_ECU_OPTIONS="--boot-hook boot")
        self.assertEqual(status, 2, said)
        self.assertIn("begins with /", said)
        status, said = self.start_unit("layby-ecu@.service", os.path.join(self.home, "nobody"))
        self.assertEqual(status, 3, said)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_systemd_finds_no_fault_with_the_units_nor_with_what_the_documents_add(self):
        units = os.path.join(self.home, "units")
        os.makedirs(f"{units}/layby-agent.service.d")
        for unit in glob.glob(f"{self.prefix}/lib/systemd/system/*"):
            name = os.path.basename(unit).replace("@.", "@brakes.")
            with open(f"{units}/{name}", "w", encoding="utf-8") as out:
                out.write(text_of(unit).replace("/usr/bin/layby", f"{self.prefix}/bin/layby"))
        _, of_hooks, of_boot = re.split("### (?:Hook programs|Boot control) under systemd\n", text_of(SOURCE, "docs", "embedding.md"))
        hooks, wish = re.findall(r"\n\n((?:    .*\n?)+)", of_hooks)[:2]
        boot = re.search(r"\n\n((?:    .*\n?)+)", of_boot)[1]
        for name, text in (("layby-agent.service.d/hooks.conf", hooks), ("layby-agent.service.d/boot.conf", boot), ("layby-restart.path", wish)):
            with open(f"{units}/{name}", "w", encoding="utf-8") as out:
                out.write(re.sub(r"^    ", "", text, flags=re.MULTILINE))
        names = sorted(os.listdir(units))
        self.assertLessEqual({"layby-ecu@brakes.service", "layby-agent.path"}, set(names))
        files = [f"{units}/{name}" for name in names if not name.endswith(".d")]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        for file in files:
            if file.endswith(".service"):
                run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", file)


class Recipe(unittest.TestCase):
    """The Yocto recipe, without bitbake: its options, directories as its releases have them, and what of it is installed."""
    # Where / and /usr are not merged, as in 4.0 by default.
    VARIABLES = {"PN": "layby", "bindir": "/usr/bin", "libdir": "/usr/lib", "datadir": "/usr/share", "systemd_system_unitdir": "/lib/systemd/system"}
    # What bitbake itself puts into packages for documents, development and completion.
    OF_BITBAKE = ["/usr/share/man/*", "/usr/include/*", "/usr/lib/*.a", "/usr/lib/*.so", "/usr/lib/pkgconfig/*", "/usr/share/bash-completion/*"]

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="layby-recipe-")
        cls.recipe = text_of(SOURCE, "samples", "yocto", "layby_0.1.0.bb").replace("\\\n", " ")
        cls.build, cls.image = (os.path.join(cls.directory.name, name) for name in ("build", "image"))
        # As cmake.bbclass does it. What it would build is what BUILD has.
        run("cmake", "-S", SOURCE, "-B", cls.build, "-G", "Ninja", "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_INSTALL_LIBDIR=lib",
            *cls.value("EXTRA_OECMAKE").split(), cls.value("PACKAGECONFIG[dbus]").split(",")[0])
        built = [path for name in ("lib*.a", "liblayby.so*", "bin/layby*") for path in glob.glob(f"{BUILD}/**/{name}", recursive=True)]
        for path in built:
            target = os.path.join(cls.build, os.path.relpath(path, BUILD))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(path, target, follow_symlinks=False)
        run("cmake", "--install", cls.build, env={**os.environ, "DESTDIR": cls.image})

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    @classmethod
    def value(cls, name):
        text = re.search(rf'^{re.escape(name)} \+?= "(.*?)"$', cls.recipe, re.MULTILINE)[1]
        return re.sub(r"\$\{(\w+)\}", lambda variable: cls.VARIABLES[variable[1]], text)

    def test_its_options_and_sources_are_ours(self):
        project = text_of(SOURCE, "CMakeLists.txt")
        self.assertIn("project(layby VERSION 0.1.0 ", project)
        for option in re.findall(r"-D(LAYBY_\w+)=(?:ON|OFF)", self.recipe):
            self.assertIn(f"option({option} ", project)
        with open(os.path.join(SOURCE, "LICENSE"), "rb") as stream:
            self.assertIn(f"md5={hashlib.md5(stream.read()).hexdigest()}", self.recipe)
        # S is right by default, in releases that unpack into WORKDIR and in those that do so into UNPACKDIR, for an archive of ${BP}.
        self.assertNotRegex(self.recipe, r"(?m)^S\b")
        self.assertIn('SRC_URI = "file://${BP}.tar.xz"', self.recipe)
        self.assertIn("git archive --prefix=layby-0.1.0/ ", text_of(SOURCE, "samples", "yocto", "README.md"))

    def test_warnings_are_errors_for_us_and_not_for_it(self):
        for build, of_ours in ((BUILD, True), (self.build, False)):
            commands = run("ninja", "-C", build, "-t", "commands", "layby-agent")
            self.assertEqual(" -Werror " in commands, of_ours, build)

    def test_each_installed_file_is_in_a_package_and_each_of_its_files_is_installed(self):
        packages = re.findall(r"^(FILES:\S+) ", self.recipe, re.MULTILINE)
        self.assertEqual(len(packages), 4)
        patterns = [pattern for package in packages for pattern in self.value(package).split()]
        installed = ["/" + os.path.relpath(os.path.join(directory, name), self.image)
                     for directory, _, names in os.walk(self.image) for name in names]
        for pattern in patterns:
            self.assertTrue(fnmatch.filter(installed, pattern) or fnmatch.filter(installed, f"{pattern}/*"), pattern)
        for file in installed:
            self.assertTrue(any(fnmatch.fnmatch(file, pattern) or file.startswith(f"{pattern}/") for pattern in patterns + self.OF_BITBAKE), file)
        units = set(os.listdir(os.path.join(SOURCE, "packaging", "systemd"))) - {"laybyd.service"}
        self.assertEqual(sorted(os.listdir(f"{self.image}/lib/systemd/system")), sorted(units))
        self.assertIn(self.value("SYSTEMD_SERVICE:${PN}-agent"), units)

    def test_pkg_config_and_cmake_find_what_is_in_lib(self):
        directories = {"PKG_CONFIG_PATH": f"{self.image}/usr/lib/pkgconfig"}
        for flag, file in (("--cflags-only-I", "layby_agent.h"), ("--libs-only-L", "liblayby.so")):
            directory = run("pkg-config", flag, "layby", env={**os.environ, **directories}).strip()[2:]
            self.assertEqual(os.path.realpath(os.path.join(directory, file)),
                             os.path.realpath(glob.glob(f"{self.image}/usr/*/{file}")[0]))
        self.assertTrue(os.path.exists(f"{self.image}/usr/lib/cmake/layby/laybyConfig.cmake"))


class Pages(unittest.TestCase):
    def test_every_option_of_help_stands_in_the_page(self):
        missing = []
        for name in PROGRAMS:
            with open(glob.glob(f"{SOURCE}/packaging/man/{name}.?")[0], encoding="utf-8") as stream:
                page = stream.read().replace("\\-", "-")
            for words in self.commands(name, []):
                text = run(f"{BUILD}/bin/{name}", *words, "--help")
                self.assertIn(" ".join([name, *words]), page)
                section = page.split(f".SS {' '.join([name, *words])}\n")[-1].split(".SS ")[0]
                for option in re.findall(r"^  (?:-\w,)?(--[a-z][a-z0-9-]*)", text, re.MULTILINE):
                    if option != "--help" and f"\\fB{option}\\fR" not in section:
                        missing.append(f"{name} {' '.join(words)} {option}")
        self.assertEqual(missing, [], "run packaging/man_pages.py")

    def commands(self, name, words):
        text = run(f"{BUILD}/bin/{name}", *words, "--help")
        found = [words]
        below = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.MULTILINE)
        for command in re.findall(r"^  ([a-z][a-z0-9-]*)", below[1] if below else "", re.MULTILINE):
            found += self.commands(name, [*words, command])
        return found

    def test_the_pages_are_as_they_would_be_written(self):
        run(sys.executable, f"{SOURCE}/packaging/man_pages.py", "--check", f"{BUILD}/bin", f"{SOURCE}/packaging/man")


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What TAB behind the last word offers."""
        script = (f'source "{SOURCE}/packaging/bash-completion/layby"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '_layby; printf "%s\\n" "${COMPREPLY[@]}"')
        return run("bash", "-c", script, "bash", f"{BUILD}/bin/{words[0]}", *words[1:]).split()

    def test_commands(self):
        self.assertEqual(self.complete("layby-agent", "pr"), ["provision"])
        self.assertEqual(self.complete("layby", "order", "wi"), ["withdraw"])
        self.assertLessEqual({"init", "serve", "check-config"}, set(self.complete("laybyd", "")))

    def test_options(self):
        self.assertEqual(self.complete("layby-agent", "run", "--until"), ["--until-idle"])
        self.assertIn("--proxy", self.complete("layby-agent", "run", "--state", "/tmp", "--p"))
        self.assertIn("--token-file", self.complete("layby", "--token"))

    def test_values(self):
        self.assertEqual(self.complete("laybyd", "init", "--offline-key-cost", "i"), ["interactive"])
        self.assertEqual(self.complete("layby-agent", "provision", "--running-slot", ""), ["a", "b"])
        self.assertEqual(self.complete("layby-delta", "diff", f"{SOURCE}/READ"), [f"{SOURCE}/README.md"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
