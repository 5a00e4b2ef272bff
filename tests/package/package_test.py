#!/usr/bin/env python3
"""What is installed: a project that finds it with CMake, one that finds it with pkg-config, man pages, completion and units.

    package_test.py SOURCE_DIR BUILD_DIR sanitized|plain
"""
import glob
import hashlib
import os
import re
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

    def test_every_program_has_its_page_and_completion(self):
        for name in PROGRAMS:
            self.assertTrue(os.access(f"{self.prefix}/bin/{name}", os.X_OK), name)
            self.assertTrue(glob.glob(f"{self.prefix}/share/man/man?/{name}.?.gz"), name)
            self.assertTrue(os.path.exists(f"{self.prefix}/share/bash-completion/completions/{name}"), name)

    def test_units_name_programs_and_pages_that_there_are(self):
        units = glob.glob(f"{self.prefix}/lib/systemd/system/*.service")
        self.assertEqual(len(units), 2)
        for unit in units:
            with open(unit, encoding="utf-8") as stream:
                text = stream.read()
            program = re.search(r"^ExecStart=/usr/(bin/\S+)", text, re.MULTILINE).group(1)
            self.assertTrue(os.access(f"{self.prefix}/{program}", os.X_OK), program)
            page = re.search(r"man:(\S+)\((\d)\)", text)
            self.assertTrue(glob.glob(f"{self.prefix}/share/man/man{page[2]}/{page[1]}.{page[2]}.gz"), page[0])
            for option in re.findall(r" (--[a-z-]+)", re.search(r"^ExecStart=.*", text, re.MULTILINE)[0]):
                command = re.search(r"ExecStart=\S+ (\S+)", text)[1]
                self.assertIn(option, run(f"{self.prefix}/{program}", command, "--help"))


class Recipe(unittest.TestCase):
    def test_the_recipe_names_options_libraries_and_files_that_there_are(self):
        def text(*path):
            with open(os.path.join(SOURCE, *path), encoding="utf-8") as stream:
                return stream.read()
        recipe = text("samples", "yocto", "layby_0.1.0.bb")
        project = text("CMakeLists.txt")
        self.assertIn("project(layby VERSION 0.1.0 ", project)
        for option in re.findall(r"-D(LAYBY_\w+)=", recipe):
            self.assertIn(f"option({option} ", project)
        with open(os.path.join(SOURCE, "LICENSE"), "rb") as stream:
            self.assertIn(f"md5={hashlib.md5(stream.read()).hexdigest()}", recipe)
        units = os.listdir(os.path.join(SOURCE, "packaging", "systemd"))
        self.assertIn(re.search(r"system/(\S+\.service)", recipe)[1], units)
        for program in re.findall(r"\{bindir\}/(\S+?)[ \"]", recipe):
            self.assertIn(program, PROGRAMS)


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
