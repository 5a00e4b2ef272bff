#include "manifest/server_time.h"

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

}  // namespace
}  // namespace layby::tests
