#include <catch2/catch.hpp>

#include "manifest/ceremony.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "tests/server/openapi/api_world.h"

namespace layby::tests {

using manifest::Role;
using manifest::RootEdit;

namespace {

template <typename T>
T value_of(Result<T> result) {
  if (!result) FAIL(result.error().message());
  return std::move(*result);
}

// One of the two repositories, as the people see it who keep its root key.
struct Keeper {
  Api& api;
  std::string path;
  Bytes present;
  const crypto::Signer& key;

  std::string operation() const { return "put " + path; }

  Bytes next(const RootEdit& edit, const crypto::Signer& by, UnixSeconds days = 900) const {
    const UnixSeconds expires = api.base.clock.now() + days * kDaySeconds;
    const Bytes draft = value_of(manifest::edit_root(present, edit, expires));
    return value_of(manifest::sign_root(draft, present, by));
  }
  Bytes next(const RootEdit& edit = {}) const { return next(edit, key); }
  // Cars would ask for files without a version, which this server does not have.
  Bytes unnumbered() const {
    manifest::Json part = value_of(manifest::Envelope::parse(next(), kRootBytesMax)).signed_part();
    part["consistent_snapshot"] = false;
    return value_of(manifest::sign_envelope(part, key));
  }

  Call sending(ByteSpan root) const {
    Call made = call(path, api.operator_token);
    made.bytes = std::string(as_text(root));
    return made;
  }
  void refused(const NamedProblem& problem, ByteSpan root) const {
    api.expect(problem, operation(), sending(root));
  }
  void taken(const Bytes& root) {
    CHECK(api.send(operation(), sending(root)).status == 200);
    present = root;
  }
};

void provoke(Keeper keeper) {
  keeper.refused({400, "bad-json"}, as_bytes("{"));
  keeper.refused({400, "bad-format"}, as_bytes("{}"));
  const auto stranger = crypto::MemorySigner::generate();
  const auto theirs = manifest::PublicKey::of(*stranger);
  // As many signatures as its own role asks for, none of them of the present root's key.
  const Bytes draft = value_of(manifest::edit_root(
      keeper.present, {.remove = manifest::PublicKey::of(keeper.key), .add = theirs},
      keeper.api.base.clock.now() + kDaySeconds));
  keeper.refused({422, "bad-signature"}, value_of(manifest::sign_root(draft, {}, *stranger)));
  keeper.refused({422, "freeze"}, keeper.next({}, keeper.key, -1));
  const Bytes beyond_us = keeper.next({.role = Role::kTimestamp, .add = theirs, .threshold = 2});
  keeper.refused({409, "conflict"}, beyond_us);
  // A copy of the present key that waits is no second key.
  const std::string role = keeper.path.substr(17, keeper.path.size() - 22) + "-timestamp";
  auto& keys = keeper.api.base.keys;
  const auto& present = dynamic_cast<crypto::MemorySigner&>(*(keys.*server::role_key(role)));
  keys.next[role] = crypto::MemorySigner::from_seed(present.seed());
  keeper.refused({409, "conflict"}, beyond_us);
  keys.next.clear();
  keeper.refused({400, "bad-format"}, keeper.unnumbered());
  const Bytes second = keeper.next();
  keeper.taken(second);
  keeper.taken(second);  // an answer that got lost can be asked again
  const Bytes third = keeper.next();
  keeper.taken(third);
  keeper.refused({422, "rollback"}, second);
  keeper.present = keeper.next();
  keeper.refused({422, "mix-and-match"}, keeper.next());
}

}  // namespace

void provoke_roots(Record& record) {
  Api api(record);
  const auto& first = api.repository.first();
  const auto& offline = api.repository.offline();
  for (Keeper keeper :
       {Keeper{api, "/v1/repositories/image/root", first.image_root, *offline.image_root.front()},
        Keeper{api, "/v1/repositories/director/root", first.director_root,
               *offline.director_root.front()}})
    provoke(std::move(keeper));
}

}  // namespace layby::tests
