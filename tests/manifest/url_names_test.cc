#include "manifest/url_names.h"

#include <catch2/catch.hpp>

namespace layby::tests {
namespace {

using namespace manifest;

TEST_CASE("names of others are one segment of a path") {
  CHECK(percent_encoded("../a b/c?d#e%") == "..%2Fa%20b%2Fc%3Fd%23e%25");
  CHECK(percent_encoded("Az09-._~") == "Az09-._~");
  CHECK(percent_encoded("\xc3\xbc") == "%C3%BC");
  CHECK(percent_encoded(std::string("a\0b", 3)) == "a%00b");
  for (const std::string& name : {std::string("../a b/c?d#e%"), std::string("Az09-._~"),
                                  std::string("a\0b", 3), std::string()})
    CHECK(percent_decoded(percent_encoded(name)) == name);
  for (const char* bad : {"a/b", "a b", "%", "%2", "%2f", "%41", "%zz", "a%2", "\xc3\xbc"})
    CHECK_FALSE(percent_decoded(bad));
  CHECK(percent_encoded_file_name(".") == "%2E");
  CHECK(percent_encoded_file_name("..") == "%2E%2E");
  CHECK(percent_encoded_file_name("...") == "...");
}

TEST_CASE("a delegated role's file: no longer than a name may be, with the one beside it") {
  CHECK(delegated_file_name("a/b").value() == "a%2Fb.json");
  CHECK(delegated_file_name(std::string(246, 'a')).value().size() == 251);
  CHECK_FALSE(delegated_file_name(std::string(247, 'a')));
  CHECK_FALSE(delegated_file_name(std::string(83, '/')));
}

TEST_CASE("a target's path keeps its slashes and what is encoded already") {
  CHECK(url_path("a/b/../c.tar.gz") == "a/b/../c.tar.gz");
  CHECK(url_path("what?#now") == "what%3F%23now");
  CHECK(url_path("a b\n\xc3\xbc\"") == "a%20b%0A%C3%BC%22");
  CHECK(url_path("a%20b%2Fc%zz%1") == "a%20b%2Fc%25zz%251");
  CHECK(url_path("@foo/bar+1~x;v=2") == "@foo/bar+1~x;v=2");
}

}  // namespace
}  // namespace layby::tests
