// Delegated paths against the C library's fnmatch, and what it cannot say without a locale.
#include "manifest/path_pattern.h"

#include <fnmatch.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>

namespace layby::tests {
namespace {

using manifest::path_matches;

TEST_CASE("patterns match as fnmatch with FNM_PATHNAME does") {
  std::mt19937 random(20261122);
  const auto one_of = [&](std::string_view letters) { return letters[random() % letters.size()]; };
  int matched = 0;
  for (int i = 0; i < 300'000; ++i) {
    std::string pattern;
    const auto parts = random() % 7;
    for (std::size_t part = 0; part < parts; ++part) {
      switch (random() % 5) {
        case 0: pattern += one_of("*?"); break;
        case 1:
          pattern += "[";
          if (random() % 3 == 0) pattern += one_of("!^");
          for (auto listed = random() % 3 + 1; listed > 0; --listed) pattern += one_of("abc-]");
          // A range that ends in a class is undefined.
          if (pattern.back() != '-' && random() % 4 == 0) pattern += "[:alpha:]";
          pattern += "]";
          break;
        case 2: pattern += std::string("\\") + one_of("a*?[]\\"); break;
        default: pattern += one_of("abc/-]");
      }
    }
    std::string text;
    for (auto letters = random() % 7; letters > 0; --letters) text += one_of("aabc/*-]\\");
    const bool expected = ::fnmatch(pattern.c_str(), text.c_str(), FNM_PATHNAME) == 0;
    INFO(pattern << " : " << text);
    if (path_matches(pattern, text) != expected) FAIL("fnmatch says " << expected);
    matched += expected ? 1 : 0;
  }
  CHECK(matched > 3000);
}

TEST_CASE("brackets of a pattern") {
  CHECK(path_matches("foo-[0-9].tgz", "foo-1.tgz"));
  CHECK_FALSE(path_matches("foo-[0-9].tgz", "foo-x.tgz"));
  CHECK_FALSE(path_matches("foo-[0-9].tgz", "foo-[0-9].tgz"));
  CHECK_FALSE(path_matches("a[!b]c", "a/c"));
  CHECK(path_matches("[[:digit:][:upper:]]*", "Xy"));
  CHECK(path_matches("a[b", "a[b"));        // not closed: itself
  CHECK(path_matches("a[b/c]", "a[b/c]"));  // closed in another segment only
  CHECK(path_matches("*[", "x["));
  CHECK_FALSE(path_matches("a\\", "a"));
}

TEST_CASE("characters of several bytes are one, wherever a star ends") {
  CHECK(path_matches("?", "\xc3\xbc"));
  CHECK(path_matches("[\xc3\xa4-\xc3\xbc]", "\xc3\xb6"));
  CHECK_FALSE(path_matches("[!\xc3\xbc]?", "\xc3\xbc"));
  CHECK_FALSE(path_matches("*??Yz", "\xe2\x82\xacYz"));
  CHECK(path_matches("*?Yz", "\xe2\x82\xacYz"));
  CHECK(path_matches("*??Yz", "x\xe2\x82\xacYz"));
  CHECK(path_matches("?", "\xff"));
}

TEST_CASE("many stars take no time to speak of") {
  const std::string text(20'000, 'a');
  CHECK_FALSE(path_matches("*a*a*a*a*a*a*a*a*a*a*b", text));
  CHECK(path_matches("*a*a*a*a*a*a*a*a*a*a*a", text));
}

}  // namespace
}  // namespace layby::tests
