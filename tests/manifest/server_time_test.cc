#include "manifest/server_time.h"

#include "manifest/json_value.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

TEST_CASE("server time: signed by the Director's timestamp role for this question") {
  TestRepository director;
  const TrustedRepository client = director.client();
  const TimeNonce nonce = make_time_nonce();
  const auto ask = [&](Role role) {
    return must(make_server_time(nonce, kNow, director.signers(role)));
  };
  CHECK(must(verify_server_time(ask(Role::kTimestamp), nonce, client)) == kNow);
  CHECK(code_of(verify_server_time(ask(Role::kSnapshot), nonce, client)) ==
        ErrorCode::kBadSignature);
  CHECK(code_of(verify_server_time(ask(Role::kTimestamp), make_time_nonce(), client)) ==
        ErrorCode::kReplay);
  CHECK(code_of(verify_server_time(director.files.at("timestamp.json"), nonce, client)) ==
        ErrorCode::kBadFormat);
  CHECK(code_of(verify_server_time(Bytes(5000, ' '), nonce, client)) == ErrorCode::kEndlessData);
}

TEST_CASE("the time of a package names its car, and is no answer to a car's question (P5.3)") {
  TestRepository director;
  const TrustedRepository client = director.client();
  const Vin vin = must(Vin::parse("WVWZZZ1JZXW000017")),
            other = must(Vin::parse("WVWZZZ1JZXW000025"));
  const Bytes time = must(make_package_time(vin, kNow, director.signers(Role::kTimestamp)));
  CHECK(must(verify_package_time(time, vin, client)) == kNow);
  CHECK(code_of(verify_package_time(time, other, client)) == ErrorCode::kWrongVehicle);
  const Bytes stray = must(make_package_time(vin, kNow, director.signers(Role::kSnapshot)));
  CHECK(code_of(verify_package_time(stray, vin, client)) == ErrorCode::kBadSignature);
  const TimeNonce nonce = make_time_nonce();
  CHECK(code_of(verify_server_time(time, nonce, client)) == ErrorCode::kBadFormat);
  const Bytes answer = must(make_server_time(nonce, kNow, director.signers(Role::kTimestamp)));
  CHECK(code_of(verify_package_time(answer, vin, client)) == ErrorCode::kBadFormat);
}

TEST_CASE("a signed time is no timestamp") {
  TestRepository director;
  TrustedRepository client = director.client();
  director.files["timestamp.json"] =
      must(make_server_time(make_time_nonce(), kNow, director.signers(Role::kTimestamp)));
  CHECK(code_of(director.refresh(client)) == ErrorCode::kBadFormat);
}

TEST_CASE("who can sign time is told by the keys, and kept as it is") {
  TestRepository director;
  const TrustedRepository client = director.client();
  const TimeKeys keys = time_keys(*client.root());
  REQUIRE(keys.size() == 1);
  Root renamed = *client.root();  // the same keys under other ids, and another threshold
  auto& role = renamed.roles.at(Role::kTimestamp);
  for (KeyId& id : role.key_ids) {
    renamed.keys.emplace("other-" + id, renamed.keys.at(id));
    id = "other-" + id;
  }
  role.threshold = 2;
  CHECK(time_keys(renamed) == keys);
  CHECK(must(time_keys_field(Json{{"keys", to_json(keys)}}, "keys")) == keys);
  CHECK(must(time_keys_field(Json{{"keys", std::string(64, 'a')}}, "keys")).empty());
  CHECK(must(time_keys_field(Json::object(), "keys")).empty());
  CHECK(!time_keys_field(Json{{"keys", {"zz"}}}, "keys"));
  CHECK(!time_keys_field(Json{{"keys", {1}}}, "keys"));
}

TEST_CASE("a root with very many timestamp keys: any change of them is one") {
  TestRepository director;
  Root many = *director.client().root();
  const auto add = [&](int i) {
    const KeyId id = "key-" + std::to_string(i);
    many.keys.emplace(id, PublicKey::from_ed25519(crypto::sha256(as_bytes(id))));
    many.roles.at(Role::kTimestamp).key_ids.push_back(id);
  };
  for (int i = 0; i < 40; ++i) add(i);
  const TimeKeys before = time_keys(many);
  CHECK(before.size() == 1);
  CHECK(still_holds(before, time_keys(many)));
  add(40);
  CHECK(!still_holds(before, time_keys(many)));
}

TEST_CASE("a signed time holds later ones off, but for five minutes") {
  CHECK(must(accept_signed_time(kNow, 0)) == kNow);
  CHECK(must(accept_signed_time(kNow - 300, kNow)) == kNow);
  CHECK(code_of(accept_signed_time(kNow - 301, kNow)) == ErrorCode::kRollback);
}

}  // namespace
}  // namespace layby::tests
