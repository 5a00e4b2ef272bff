// A whole TUF repository in memory, with the keys to do it right and the freedom to do it wrong.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/keys.h"
#include "manifest/json.h"
#include "manifest/metadata_json.h"
#include "manifest/repository.h"

namespace layby::tests {

constexpr UnixSeconds kNow = 1'800'000'000;
constexpr UnixSeconds kLater = kNow + 365 * kDaySeconds;

// The value, or a failed test with the error's text.
template <typename T>
T must(Result<T> result) {
  if (!result) FAIL(to_string(result.error().code()) << ": " << result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The code of the error, or nothing.
template <typename T>
std::optional<ErrorCode> code_of(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code();
}

using KeyPointer = std::shared_ptr<crypto::MemorySigner>;
KeyPointer new_key();

class TestRepository {
 public:
  TestRepository();

  // What is published, by file name. Tests change it at will.
  std::map<std::string, Bytes> files;

  std::map<manifest::Role, std::vector<KeyPointer>> keys;
  manifest::Root root;
  manifest::Targets targets;
  manifest::Snapshot snapshot;
  manifest::Timestamp timestamp;

  manifest::Signers signers(manifest::Role role);

  // Makes the root name exactly `keys`.
  void assign_keys();
  // Signs the root at its version, also with `old_signers`, and publishes it.
  void publish_root(const std::vector<KeyPointer>& old_signers = {});
  // Signs targets, snapshot and timestamp at their versions and publishes them.
  void publish_roles();
  void publish_snapshot();   // snapshot and timestamp
  void publish_timestamp();  // timestamp
  // All three a version up, then publish_roles.
  void release();

  // A client that was given the first root.
  manifest::TrustedRepository client() const;
  // The first error of a refresh from `files`; the names asked for go to `asked`.
  Result<void> refresh(manifest::TrustedRepository& client, UnixSeconds now = kNow,
                       std::vector<std::string>* asked = nullptr) const;

 private:
  std::vector<const crypto::Signer*> signers_;
};

// `signed` and the signatures as they are, with one thing changed in the text.
Bytes replaced(const Bytes& document, std::string_view what, std::string_view by);

}  // namespace layby::tests
