#!/usr/bin/env python3
"""Checks what compilers and formatters do not see:

    tidy.py SOURCE_DIR

  includes    rooms include only what the table "Rooms" of docs/architecture.md allows, own headers and others'
  shape       lines of at most 100 characters, functions of at most 70 lines, files of at most 700
  try         no TRY inside the braces of an initialiser, where GCC and clang leak (base/result.h has the rule)
  dead-files  every .cc stands in a CMakeLists.txt, every header is included somewhere
  errors      base/error.h, base/error.cc and docs/error-codes.md say the same, and for each what to do
  promises    docs/promises.md has a row for each promise, and every test that a row names exists
  faults      docs/faults.md has a row for each kind of update that tests/crash drives, every letter a test that exists
  text        no path of one machine, no registry host, no unfinished-work mark
  readmes     a README.md in every folder that holds code

Prints each finding as `PATH:LINE: check: text`. Exit status: 0 clean, 1 findings, 2 wrong usage.
"""
import os
import re
import sys

LINE_CHARACTERS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700

SKIPPED_DIRS = {".git", "build", "__pycache__"}
SKIPPED_FILES = {".git"}  # what a worktree has in place of the folder

# Beginning of an #include <...> -> the library, as the table of docs/architecture.md calls it.
LIBRARIES = {
    "tl/": "tl/expected",
    "fmt/": "fmt",
    "sodium": "sodium",
    "openssl/": "openssl",
    "p11-kit/": "p11-kit",
    "nlohmann/": "nlohmann",
    "archive": "archive",
    "zlib": "zlib",
    "zstd": "zstd",
    "lzma": "lzma",
    "divsufsort": "divsufsort",
    "rocksdb/": "rocksdb",
    "boost/": "boost",
    "curl/": "curl",
    "cjose/": "cjose",
    "date/": "date",
    "sqlite3": "sqlite3",
    "systemd/": "systemd",
    "catch2/": "catch2",
    "rapidcheck": "rapidcheck",
    "benchmark/": "benchmark",
    "CLI/": "CLI11",
    "toml++/": "toml++",
    "spdlog/": "spdlog",
    "prometheus/": "prometheus-cpp",
}
# Not in the table's rows but in the sentence below it: in programs' main files and these parts of the server.
PROGRAM_LIBRARIES = {"CLI11", "toml++", "spdlog", "prometheus-cpp"}
PROGRAM_FILES = re.compile(r"(^|/)main\.cc$|(^|/)[a-z_]*main\.cc$|^server/(config|log|metrics)|^agent/vehicle_config")

# C, C++ and POSIX headers: everything else in <> must be a library above.
POSIX_DIRS = ("sys/", "netinet/", "arpa/", "linux/", "net/")
# Ours, as a program has them that was built against an installed library.
INSTALLED_HEADERS = {"layby_agent.h"}
C_HEADERS = {
    "dirent.h", "elf.h", "errno.h", "fcntl.h", "fnmatch.h", "ftw.h", "getopt.h", "limits.h", "netdb.h", "poll.h",
    "pthread.h", "pwd.h", "sched.h", "signal.h", "spawn.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h",
    "link.h", "malloc.h", "stdio.h", "stdlib.h", "string.h", "strings.h", "termios.h", "time.h", "unistd.h",
    "emmintrin.h",  # the compiler's own: SSE2
}

PROMISES = (
    [f"P1.{n}" for n in range(1, 14)]
    + [f"P2.{n}" for n in range(1, 8)]
    + [f"P3.{n}" for n in range(1, 4)]
    + [f"P4.{n}" for n in range(1, 8)]
    + [f"P5.{n}" for n in range(1, 5)]
)

# Spelled in pieces, so that this file does not find itself.
FORBIDDEN_TEXT = {
    "a path of one machine": re.compile(r"(?<![A-Za-z0-9_./-])/(?:wor" + r"k|hom" + r"e|roo" + r"t)/[a-z]"),
    "a registry host": re.compile(r"registry\.[a-z]+\.[a-z]+|npm" + r"js\.(?:org|com)"),
    "an unfinished-work mark": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|not impl" + r"emented"),
}

CODE = (".h", ".cc", ".c")
TEXT = CODE + (".md", ".py", ".sh", ".txt", ".json", ".yaml", ".toml", ".cmake", "")

# What stands before the `{` of a block. After any other word, `{` begins an initialiser.
BLOCK_WORDS = {"else", "do", "try", "const", "override", "noexcept", "final", "mutable"}
COMMENT_OR_LITERAL = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r'|\bR"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'",  # not the mark in 1'000
    re.DOTALL,
)
MACRO = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)


def without_comments_and_literals(text):
    """The same lines; of a literal only its quotes are left. Preprocessor lines are empty."""
    def blank(match):
        found = match.group()
        quote = found[-1] if found[-1] in "\"'" else " "
        return quote + re.sub(r"[^\n]", " ", found[1:-1]) + quote

    return MACRO.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), COMMENT_OR_LITERAL.sub(blank, text))


def begins_initialiser(before, inside_initialiser):
    """`before`: the code in front of a `{`, back to the statement's beginning."""
    last = before[-1:]
    if last in ("", "{"):
        return inside_initialiser
    if last in "=,([":
        return True
    if last != ">" and not (last.isalnum() or last == "_"):
        return False
    if re.search(r"\)[\w\s]*->[\w:<>,*&\s]+$|\b(namespace|struct|class|enum|union)\b[^=()]*$", before):
        return False
    return re.search(r"[^\W]*$", before).group() not in BLOCK_WORDS


def tries_in_initialisers(text):
    """Numbers of the lines where a TRY stands inside the braces of an initialiser and not in a block within."""
    code = without_comments_and_literals(text)
    lines, open_brackets, statement = [], [], 0
    for match in re.finditer(r"[(){}\[\];]|\bTRY(?:_CONTEXT)?(?=\()", code):
        token, at = match.group(), match.start()
        braces = [kind for kind in open_brackets if kind in ("list", "block")]
        in_list = bool(braces) and braces[-1] == "list"
        if token.startswith("TRY"):
            if in_list:
                lines.append(code.count("\n", 0, at) + 1)
        elif token == "{":
            is_list = begins_initialiser(code[statement:at].rstrip(), in_list)
            open_brackets.append("list" if is_list else "block")
        elif token in "([":
            open_brackets.append(token)
        elif token in ")}]" and open_brackets:
            open_brackets.pop()
        if token in "{};":
            statement = match.end()
    return lines


class Tidy:
    def __init__(self, root):
        self.root = root
        self.findings = []
        self.files = sorted(self._walk())
        self.rooms = {}

    def _walk(self):
        for folder, dirs, names in os.walk(self.root):
            dirs[:] = [d for d in dirs if d not in SKIPPED_DIRS]
            for name in sorted(set(names) - SKIPPED_FILES):
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def read(self, path):
        try:
            with open(os.path.join(self.root, path), encoding="utf-8") as stream:
                return stream.read()
        except FileNotFoundError:
            self.found(path, 1, "missing", "this file must exist")
            return ""

    def found(self, path, line, check, text):
        self.findings.append(f"{path}:{line}: {check}: {text}")

    def code(self):
        return [f for f in self.files if f.endswith(CODE)]

    # --- includes -----------------------------------------------------------------------------------------------

    def read_rooms(self):
        """Rows of the table: room -> (rooms it may include, libraries that appear only there and in its equals)."""
        for line in self.read("docs/architecture.md").splitlines():
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if not line.startswith("| `") or len(cells) != 4:
                continue
            names = re.findall(r"`([^`]+)`", cells[0])
            everything = cells[2].startswith("all")
            may = None if everything else set(re.findall(r"`([^`]+)`", cells[2]))
            libraries = {w.strip() for w in cells[3].split(",")} - {"–", "-", ""}
            for name in sorted(set(names) - SKIPPED_FILES):
                self.rooms[name] = (may, libraries)
        if not self.rooms:
            self.found("docs/architecture.md", 1, "includes", "no table of rooms found")

    def room_of(self, path):
        parts = path.split("/")
        for length in range(len(parts), 0, -1):
            name = "/".join(parts[:length])
            if name in self.rooms:
                return name
        return None

    def check_includes(self):
        self.read_rooms()
        owned = set().union(*(libraries for _, libraries in self.rooms.values())) if self.rooms else set()
        for path in self.code():
            room = self.room_of(path)
            if room is None:
                self.found(path, 1, "includes", "its folder has no row in docs/architecture.md")
                continue
            for number, line in enumerate(self.read(path).splitlines(), 1):
                own = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                other = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
                if own:
                    self.check_own_include(path, number, room, own.group(1))
                elif other:
                    self.check_library_include(path, number, room, other.group(1), owned)

    def check_own_include(self, path, number, room, header):
        target = self.room_of(header)
        if target is None:
            self.found(path, number, "includes", f'"{header}" names no room: write the path from the source directory')
            return
        may, _ = self.rooms[room]
        if target == room or may is None or target in may:
            return
        if "server" in may and (target == "server" or target.startswith("server/")) and target != "server/cli":
            return
        self.found(path, number, "includes", f"{room} may not include {target} ({header})")

    def check_library_include(self, path, number, room, header, owned):
        library = next((name for start, name in LIBRARIES.items() if header.startswith(start)), None)
        if library is None:
            if re.fullmatch(r"[a-z0-9_]+", header) or header in C_HEADERS | INSTALLED_HEADERS:
                return
            if header.startswith(POSIX_DIRS):
                return
            self.found(path, number, "includes", f"<{header}> is of no library that docs/architecture.md knows")
            return
        may, libraries = self.rooms[room]
        if library in libraries or may is None:
            return
        if library in PROGRAM_LIBRARIES and PROGRAM_FILES.search(path):
            return
        if library not in owned and library not in PROGRAM_LIBRARIES:
            self.found(path, number, "includes", f"{library} stands in no row of docs/architecture.md")
            return
        self.found(path, number, "includes", f"{library} may not appear in {room}")

    # --- shape --------------------------------------------------------------------------------------------------

    def check_shape(self):
        for path in self.code():
            lines = self.read(path).splitlines()
            if len(lines) > FILE_LINES_MAX:
                self.found(path, 1, "shape", f"{len(lines)} lines, at most {FILE_LINES_MAX}")
            for number, line in enumerate(lines, 1):
                if len(line) > LINE_CHARACTERS_MAX:
                    self.found(path, number, "shape", f"{len(line)} characters, at most {LINE_CHARACTERS_MAX}")
            self.check_functions(path, lines)

    def check_functions(self, path, lines):
        """clang-format indents a body deeper than its head, so a function ends at the first `}` as deep as its head."""
        for begin, line in enumerate(lines):
            indent = len(line) - len(line.lstrip())
            if indent not in (0, 2) or not re.search(r"(\)|const|noexcept|override)\s*\{$|^\S.*\)\s*->.*\{$", line):
                continue
            if re.match(r"\s*(namespace|class|struct|enum|union|if|for|while|switch|else|do|try)\b", line):
                continue
            head = begin
            while head > 0 and not re.search(r"[;{}]\s*$|^\s*$|^#|^\s*//", lines[head - 1]):
                head -= 1
            for end in range(begin + 1, len(lines)):
                if re.match(r" {%d}\}" % indent, lines[end]):
                    break
            else:
                continue
            if end - head + 1 > FUNCTION_LINES_MAX:
                self.found(path, head + 1, "shape",
                           f"a function of {end - head + 1} lines, at most {FUNCTION_LINES_MAX}")

    # --- TRY ----------------------------------------------------------------------------------------------------

    def check_tries(self):
        for path in self.code():
            for number in tries_in_initialisers(self.read(path)):
                self.found(path, number, "try", "TRY inside the braces of an initialiser: give it a variable of its own")

    # --- dead files ---------------------------------------------------------------------------------------------

    def check_dead_files(self):
        includes = set()
        for path in self.code():
            includes.update(re.findall(r'#\s*include\s+"([^"]+)"', self.read(path)))
        lists = {os.path.dirname(f): self.read(f) for f in self.files if os.path.basename(f) == "CMakeLists.txt"}
        for path in self.code():
            if path.endswith(".h"):
                if path not in includes and not path.endswith("layby_agent.h"):
                    self.found(path, 1, "dead-files", "no file includes it")
                continue
            folder = os.path.dirname(path)
            while folder and not any(
                re.search(r"(?<![\w/.-])" + re.escape(os.path.relpath(path, at)) + r"(?![\w.-])", lists.get(at, ""))
                for at in [folder]
            ):
                folder = os.path.dirname(folder)
            if not folder:
                self.found(path, 1, "dead-files", "no CMakeLists.txt of its folder or above names it")

    # --- error codes --------------------------------------------------------------------------------------------

    def check_errors(self):
        numbers = dict(re.findall(r"\b(k[A-Z]\w*) = (\d+)", self.read("base/error.h")))
        names = dict(re.findall(r'case ErrorCode::(k\w+): return "([^"]+)"', self.read("base/error.cc")))
        code = {int(number): names.get(enumerator, "") for enumerator, number in numbers.items()}
        if not code:
            self.found("base/error.h", 1, "errors", "no error code found")
        document = {}
        for number, line in enumerate(self.read("docs/error-codes.md").splitlines(), 1):
            row = re.match(r"\| (\d+) \| `([^`]+)` \|", line)
            if not row:
                continue
            if int(row.group(1)) in document:
                self.found("docs/error-codes.md", number, "errors", f"{row.group(1)} stands there twice")
            document[int(row.group(1))] = row.group(2)
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) != 6 or not all(cells):
                self.found("docs/error-codes.md", number, "errors",
                           f"{row.group(1)}: number, name, when, and what driver, partner and operator should do")
        for number in sorted(code.keys() | document.keys()):
            if code.get(number) != document.get(number):
                self.found("docs/error-codes.md", 1, "errors",
                           f"{number}: base/error says {code.get(number)}, the document {document.get(number)}")

    # --- promises -----------------------------------------------------------------------------------------------

    def test_cases(self):
        cases = {}
        for path in self.files:
            if path.startswith("tests/") and path.endswith(".cc"):
                text = re.sub(r'"\s*\n\s*"', "", self.read(path))  # a name may run over two lines
                for name in re.findall(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"', text):
                    cases[name.replace('\\"', '"')] = path
        return cases

    def check_promises(self):
        cases = self.test_cases()
        for name, path in cases.items():
            for promise in re.findall(r"\bP[1-9]\.\d+\b", name):
                if promise not in PROMISES:
                    self.found(path, 1, "promises", f"{promise} is no promise ({name})")
        rows = {}
        for number, line in enumerate(self.read("docs/promises.md").splitlines(), 1):
            row = re.match(r"\| (P\d\.\d+) \| (.+) \| (.+) \|$", line)
            if not row:
                continue
            if row.group(1) in rows:
                self.found("docs/promises.md", number, "promises", f"{row.group(1)} stands there twice")
            rows[row.group(1)] = row.group(3)
            self.check_proofs("docs/promises.md", number, row.group(1), row.group(3), cases)
        for promise in PROMISES:
            if promise not in rows:
                self.found("docs/promises.md", 1, "promises", f"{promise} has no row")
        for promise in rows.keys() - set(PROMISES):
            self.found("docs/promises.md", 1, "promises", f"{promise} is no promise")

    def check_proofs(self, page, number, promise, cell, cases):
        """`a test case`, or `tests/dir/script.py`: `a check in it`; or the words "not yet"."""
        proofs = re.findall(r"`([^`]+)`", cell)
        if not proofs and "not yet" not in cell:
            self.found(page, number, "promises", f'{promise} names no test and does not say "not yet"')
        script = ""
        for proof in proofs:
            if proof in self.files:
                script = self.read(proof)
            elif proof not in cases and proof not in script:
                self.found(page, number, "promises", f"{promise}: there is no test `{proof}`")

    # --- faults -------------------------------------------------------------------------------------------------

    def check_faults(self):
        page, kinds = "docs/faults.md", "tests/crash/whole_update.cc"
        if kinds not in self.files:
            return
        cases, rows, used, known = self.test_cases(), set(), {}, set()
        for number, line in enumerate(self.read(page).splitlines(), 1):
            kind = re.match(r"\| ([a-z ]+) \|((?: (?:–|[A-Z](?: [A-Z])*) \|)+)$", line)
            if kind:
                rows.add(kind.group(1))
                for letter in re.findall(r"[A-Z]", kind.group(2)):
                    used.setdefault(letter, number)
            test = re.match(r"\| ([A-Z]) \| .+ \| (.+) \|$", line)
            if test:
                known.add(test.group(1))
                self.check_proofs(page, number, test.group(1), test.group(2), cases)
        for kind in re.findall(r'\{"([a-z ]+)", place_', self.read(kinds)):
            if kind not in rows:
                self.found(page, 1, "faults", f"the kind of update `{kind}` has no row")
        for letter, number in used.items():
            if letter not in known:
                self.found(page, number, "faults", f"{letter} names no test")

    # --- text and READMEs ---------------------------------------------------------------------------------------

    def check_text(self):
        for path in self.files:
            if os.path.splitext(path)[1] not in TEXT or path.startswith("tests/fixtures/"):
                continue
            try:
                lines = self.read(path).splitlines()
            except UnicodeDecodeError:
                continue
            for number, line in enumerate(lines, 1):
                for what, pattern in FORBIDDEN_TEXT.items():
                    if pattern.search(line):
                        self.found(path, number, "text", what)

    def check_readmes(self):
        folders = {f.split("/")[0] for f in self.files if "/" in f and not f.startswith(".")}
        folders |= {os.path.dirname(f) for f in self.code() if f.startswith("server/") and f.count("/") == 2}
        for folder in sorted(folders - {"docs"}):
            if f"{folder}/README.md" not in self.files:
                self.found(folder, 1, "readmes", "has no README.md")

    def run(self):
        self.check_includes()
        self.check_shape()
        self.check_tries()
        self.check_dead_files()
        self.check_errors()
        self.check_promises()
        self.check_faults()
        self.check_text()
        self.check_readmes()
        return self.findings


def main(arguments):
    if len(arguments) != 1 or not os.path.isdir(arguments[0]):
        print(__doc__, file=sys.stderr)
        return 2
    findings = Tidy(arguments[0]).run()
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
