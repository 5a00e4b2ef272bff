// The operator with his offline keys, suppliers with theirs, and the server's routes between them
// and cars.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "manifest/target_search.h"
#include "server/release/image_repository.h"
#include "server/release/routes.h"
#include "tests/server/release/test_repository.h"

namespace layby::tests {

inline constexpr const char* kMetadata = "/v1/repositories/image/metadata/";
using Names = std::vector<std::string>;

struct Suppliers {
  TestServices test;
  TestRepository repository{test.services};
  server::Router router;
  Supplier acme{"acme"};
  Supplier other{"other"};
  Suppliers() { server::add_release_routes(router, test.services); }

  // The top-level targets let acme speak of all maps for hu-4.
  void let_acme(const SpeaksOf& scope = {.paths = {"maps/*/*"}, .hardware_ids = {"hu-4"}}) {
    delegate(repository.next, acme, scope);
    published(repository.publish());
  }
  server::Publication published(const Result<server::Publication>& result) {
    if (!result) FAIL(result.error().message());
    return *result;
  }
  // That nothing of it was written is part of being refused.
  Error refused(const Result<server::Publication>& result, const std::string& before) {
    REQUIRE_FALSE(result);
    CHECK(timestamp() == before);
    return result.error();
  }
  Error refused(Supplier& supplier) {
    const std::string before = timestamp();
    return refused(repository.publish(supplier), before);
  }
  Error refused_top() {
    const std::string before = timestamp();
    return refused(repository.publish(), before);
  }
  server::Response get(const std::string& file) const {
    return ask(router, {.path = kMetadata + file});
  }
  std::string timestamp() const { return body_of(get("timestamp.json")); }

  manifest::TrustedRepository client() const {
    auto client =
        manifest::TrustedRepository::load(
            {.root = repository.first().image_root, .timestamp = {}, .snapshot = {}, .targets = {}})
            .value();
    refresh(client);
    return client;
  }
  void refresh(manifest::TrustedRepository& client) const {
    const auto refreshed = refresh_over(router, kMetadata, {}, client, test.clock.now());
    if (!refreshed) FAIL(refreshed.error().message());
  }
  // What a car with this hardware finds, with all files fetched over the routes.
  Result<const manifest::Target*> search(manifest::TrustedRepository& client,
                                         const std::string& name,
                                         const std::string& hardware = "hu-4") const {
    manifest::TargetSearch search(client, name, test.clock.now(),
                                  manifest::HardwareId::parse(hardware).value());
    while (const auto request = search.next()) {
      const server::Response response = get(request->file);
      if (response.status == 200)
        TRY_VOID(search.give(as_bytes(body_of(response))));
      else
        TRY_VOID(search.give_absent());
    }
    return search.found();
  }
  bool finds(const std::string& name, const std::string& hardware = "hu-4") const {
    manifest::TrustedRepository fresh = client();
    const auto found = search(fresh, name, hardware);
    return found && *found != nullptr;
  }
  server::Availability available(const std::string& name) const {
    return server::availability(*test.store, name).value();
  }
};

}  // namespace layby::tests
