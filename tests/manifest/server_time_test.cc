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

TEST_CASE("a signed time is no timestamp") {
  TestRepository director;
  TrustedRepository client = director.client();
  director.files["timestamp.json"] =
      must(make_server_time(make_time_nonce(), kNow, director.signers(Role::kTimestamp)));
  CHECK(code_of(director.refresh(client)) == ErrorCode::kBadFormat);
}

}  // namespace
}  // namespace layby::tests
