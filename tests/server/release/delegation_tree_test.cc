#include "server/release/delegation_tree.h"

#include <catch2/catch.hpp>

#include "tests/server/release/test_repository.h"

using namespace layby;
using namespace layby::server;
using namespace layby::tests;

TEST_CASE("of a large role some images, from all over it, are looked for as a client does") {
  TestServices test;
  TestRepository repository(test.services);
  Supplier acme("acme");
  Supplier other("other");
  manifest::Targets top;
  delegate(top, acme, {.paths = {"maps/FR/*"}});
  delegate(top, other);
  const manifest::Target entry = repository.entry_of({.name = "maps/DE/1.tar", .bytes = "x"});
  DelegationTree::ListedImages offered;
  for (int i = 1000; i < 6000; ++i) offered.emplace(fmt::format("maps/DE/{}.tar", i), entry);
  DelegationTree::ListedImages listed = offered;
  listed.emplace("maps/FR/1.tar", entry);
  acme.next.expires = other.next.expires = test.clock.now() + kDaySeconds;
  acme.next.targets = {{"maps/AT/1.tar", entry}, {"maps/FR/1.tar", entry}};
  other.next.targets = offered;
  const auto tree = DelegationTree::build(
                        top, {{"acme", to_bytes(acme.sign())}, {"other", to_bytes(other.sign())}},
                        test.clock.now())
                        .value();
  const auto samples = tree.samples(offered, listed);
  CHECK(samples.size() == DelegationTree::kSamplesMax + 1);
  CHECK(samples.contains("maps/DE/1000.tar"));
  CHECK(std::prev(samples.end(), 2)->first > "maps/DE/5800.tar");
  CHECK(samples.contains("maps/FR/1.tar"));  // the first of acme's that cars find
}

TEST_CASE("what lies behind more bytes of roles than a car takes is known, and why") {
  TestServices test;
  TestRepository repository(test.services);
  manifest::Targets top;
  DelegationTree::Documents documents;
  for (const char* name : {"a", "b", "c", "d"}) {
    Supplier supplier(name);
    delegate(top, supplier);
    supplier.next.expires = test.clock.now() + kDaySeconds;
    supplier.padding_bytes = 4'500'000;
    supplier.next.targets.emplace(
        fmt::format("maps/DE/{}.tar", name),
        repository.entry_of({.name = fmt::format("maps/DE/{}.tar", name), .bytes = "x"}));
    documents.emplace(name, to_bytes(supplier.sign()));
  }
  const auto tree = DelegationTree::build(top, documents, test.clock.now()).value();
  const auto hardware = manifest::HardwareId::parse("hu-4").value();
  CHECK(tree.find("maps/DE/c.tar", hardware) != nullptr);
  CHECK(tree.find("maps/DE/d.tar", hardware) == nullptr);
  const auto out = tree.out_of_bounds();
  REQUIRE(out.size() == 1);
  CHECK(out.begin()->first == "maps/DE/d.tar");
  CHECK_THAT(out.begin()->second, Catch::Contains("bytes"));
}
