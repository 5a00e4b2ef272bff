#include "manifest/ceremony.h"

#include <catch2/catch.hpp>

#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"

using namespace layby;
using namespace layby::manifest;

namespace {

constexpr UnixSeconds kExpires = 1'800'000'000;

PublicKey key(std::uint8_t seed) {
  return PublicKey::of(*crypto::MemorySigner::from_seed({seed}));
}

// A root of somebody else's making: the targets role has these ids.
Bytes root_with(const std::vector<KeyId>& target_ids, std::uint64_t threshold) {
  Root root;
  root.expires = kExpires;
  for (const Role role : kRoles) root.add_key(role, key(1));
  root.keys.emplace("alias", key(1));
  root.roles[Role::kTargets] = {target_ids, threshold};
  return *sign_envelope(encode(root), std::span<const crypto::Signer* const>());
}

void refused(const Result<Bytes>& edited) {
  REQUIRE_FALSE(edited);
  INFO(edited.error().message());
  CHECK(edited.error().code() == ErrorCode::kConflict);
}

}  // namespace

TEST_CASE("ceremony: only keys that can sign count towards a threshold") {
  const KeyId id = key(1).id();
  const RootEdit to_two{.role = Role::kTargets, .threshold = 2};
  refused(edit_root(root_with({id, "gone"}, 1), to_two, kExpires));
  refused(edit_root(root_with({id, "alias"}, 1), to_two, kExpires));
  // A second one makes it good.
  const auto added = edit_root(root_with({id, "gone"}, 1),
                               {.role = Role::kTargets, .add = key(2), .threshold = 2}, kExpires);
  REQUIRE(added);
  // And cannot go again.
  refused(edit_root(*added, {.role = Role::kTargets, .remove = key(2)}, kExpires));
}
