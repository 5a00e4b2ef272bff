#!/usr/bin/env python3
"""Holds tidy.py to its word: a small tree that is clean, then one defect of each kind, each of which must be found."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # noqa: E402

CLEAN = {
    "docs/architecture.md": "| `base` | bytes | – | fmt |\n| `server/shop` | orders | `base` | – |\n"
    "| `agent` | the car | `base` | curl |\n| `tests` | all | all | catch2 |\n",
    "docs/error-codes.md": "| 4 | `io` | the disk | wait | look | look |\n",
    "docs/promises.md": "".join(
        f"| {p} | short | {'`orders are kept (P1.1)`' if p == 'P1.1' else 'not yet'} |\n" for p in tidy.PROMISES
    ),
    "base/README.md": "base\n",
    "base/CMakeLists.txt": "add_library(base error.cc)\n",
    "base/error.h": "enum class ErrorCode { kIo = 4 };\n",
    "base/error.cc": '#include "base/error.h"\n\n#include <fmt/format.h>\n    case ErrorCode::kIo: return "io";\n',
    "server/shop/README.md": "shop\n",
    "server/shop/CMakeLists.txt": "add_library(shop order.cc)\n",
    "server/shop/order.cc": '#include "base/error.h"\n#include <sys/stat.h>\n#include <vector>\n',
    "server/README.md": "server\n",
    "agent/README.md": "agent\n",
    "tests/README.md": "tests\n",
    "tests/CMakeLists.txt": "x(shop_test.cc)\n",
    "tests/shop_test.cc": 'TEST_CASE("orders are kept (P1.1)") {\n}\n',
}


def findings(changes):
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**CLEAN, **changes}.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as out:
                out.write(text)
        return tidy.Tidy(root).run()


class TidyTest(unittest.TestCase):
    def assert_found(self, changes, *words):
        found = findings(changes)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_a_clean_tree_has_no_findings(self):
        self.assertEqual(findings({}), [])

    def test_an_arrow_that_the_table_does_not_have(self):
        self.assert_found(
            {"server/shop/order.cc": '#include "agent/agent.h"\n', "agent/agent.h": "\n"},
            "server/shop/order.cc:1: includes", "may not include agent",
        )

    def test_a_library_outside_its_room(self):
        self.assert_found({"server/shop/order.cc": "\n#include <curl/curl.h>\n"}, "order.cc:2: includes", "curl")

    def test_a_library_that_nobody_knows(self):
        self.assert_found({"server/shop/order.cc": "#include <left/pad.h>\n"}, "left/pad.h")

    def test_a_long_line(self):
        self.assert_found({"server/shop/order.cc": "//" + "x" * 99 + "\n"}, "shape", "101 characters")

    def test_a_long_function(self):
        body = "int f(int a) {\n" + "  a += 1;\n" * 69 + "}\n"
        self.assert_found({"server/shop/order.cc": body}, "order.cc:1: shape", "71 lines")

    def test_a_function_of_seventy_lines_is_fine(self):
        self.assertEqual(findings({"server/shop/order.cc": "int f(int a) {\n" + "  a += 1;\n" * 68 + "}\n"}), [])

    def assert_try_found(self, body):
        self.assert_found({"server/shop/order.cc": f"Result<A> f() {{\n{body}\n}}\n"}, "order.cc:2: try")

    def assert_try_fine(self, body):
        self.assertEqual(findings({"server/shop/order.cc": f"Result<A> f() {{\n{body}\n}}\n"}), [])

    def test_a_try_in_the_braces_of_an_initialiser(self):
        self.assert_try_found("  A a{.x = TRY(g()), .y = 1};")
        self.assert_try_found("  A a = {TRY(g()), 1};")
        self.assert_try_found("  return A{1, TRY(g())};")
        self.assert_try_found("  return Pair<A, B>{1, TRY(g())};")
        self.assert_try_found("  list.push_back({name, TRY_CONTEXT(g(), name)});")
        self.assert_try_found("  for (int i = 0; i < 3; ++i) h({i, h(TRY(g()))});")
        self.assert_try_found("  A a{.of = {.x = TRY(g())}};")
        self.assert_try_found('  A a{.x = "}", .y = TRY(g())};')
        self.assert_try_found("  A a{.x = '}', .y = TRY(g())};")
        self.assert_try_found("  a->b = C{1'000, TRY(g())};")

    def test_a_try_in_a_block_or_among_arguments_is_fine(self):
        self.assert_try_fine("  return A(TRY(g()), TRY(h()));")
        self.assert_try_fine("  if (x) {\n    a = TRY(g());\n  } else {\n    a = TRY(h());\n  }")
        self.assert_try_fine("  A a{.x = [&] { return TRY(g()); }};")
        self.assert_try_fine("  const auto find = [&]() -> Result<std::vector<B>> { return TRY(g()); };")
        self.assert_try_fine("  struct C : B {\n    Result<A> f() const { return TRY(g()); }\n  };")
        self.assert_try_fine("  // A a{TRY(g())};\n  log(\"{\");\n  a = TRY(g());")
        self.assert_try_fine("#define A(x) \\\n  B{TRY(x)}\n")

    def test_a_source_that_no_list_names(self):
        self.assert_found({"server/shop/bill.cc": "\n"}, "server/shop/bill.cc:1: dead-files")

    def test_a_header_that_nobody_includes(self):
        self.assert_found({"server/shop/bill.h": "\n"}, "server/shop/bill.h:1: dead-files")

    def test_an_error_code_without_its_row(self):
        self.assert_found({"docs/error-codes.md": "| 4 | `disk` | the disk | wait | look | look |\n"}, "errors", "4")

    def test_an_error_code_that_does_not_say_what_to_do(self):
        self.assert_found({"docs/error-codes.md": "| 4 | `io` | the disk | wait |  | look |\n"}, "errors", "driver")

    def test_a_kind_of_update_without_faults(self):
        crash = {"tests/crash/whole_update.cc": '{"software", place_software},\n', "tests/crash/CMakeLists.txt": "x(whole_update.cc)\n"}
        page = "| software | A | – |\n| A | the power goes | `orders are kept (P1.1)` |\n"
        self.assertEqual(findings({**crash, "docs/faults.md": page}), [])
        self.assert_found({**crash, "docs/faults.md": "| A | the power goes | `orders are kept (P1.1)` |\n"}, "software", "no row")
        self.assert_found({**crash, "docs/faults.md": page.replace("| A | –", "| B | –")}, "B names no test")
        self.assert_found({**crash, "docs/faults.md": page.replace("kept", "lost")}, "there is no test")

    def test_a_promise_without_a_row(self):
        rows = CLEAN["docs/promises.md"].replace("| P5.4 | short | not yet |\n", "")
        self.assert_found({"docs/promises.md": rows}, "P5.4 has no row")

    def test_a_promise_shown_by_a_test_that_is_not_there(self):
        rows = CLEAN["docs/promises.md"].replace("| P5.4 | short | not yet |", "| P5.4 | short | `audit holds` |")
        self.assert_found({"docs/promises.md": rows}, "P5.4", "audit holds")

    def test_a_test_that_cites_what_nobody_promised(self):
        self.assert_found({"tests/shop_test.cc": CLEAN["tests/shop_test.cc"] + 'TEST_CASE("x (P9.1)") {\n}\n'}, "P9.1")

    def test_a_path_of_one_machine(self):
        self.assert_found({"server/shop/order.cc": "// see /" + "home/me/x\n"}, "text", "machine")

    def test_unfinished_work(self):
        self.assert_found({"server/shop/order.cc": "// TO" + "DO\n"}, "text", "unfinished")

    def test_a_folder_without_a_readme(self):
        self.assert_found({"benches/run.sh": "\n"}, "benches:1: readmes")


if __name__ == "__main__":
    unittest.main()
