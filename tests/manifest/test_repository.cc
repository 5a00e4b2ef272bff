#include "tests/manifest/test_repository.h"

namespace layby::tests {

using namespace manifest;

KeyPointer new_key() {
  return KeyPointer(crypto::MemorySigner::generate());
}

TestRepository::TestRepository() {
  for (const Role role : kRoles) keys[role] = {new_key()};
  root.expires = targets.expires = snapshot.expires = timestamp.expires = kLater;
  assign_keys();
  publish_root();
  publish_roles();
}

Signers TestRepository::signers(Role role) {
  signers_.clear();
  for (const KeyPointer& key : keys[role]) signers_.push_back(key.get());
  return signers_;
}

void TestRepository::assign_keys() {
  root.keys.clear();
  for (const Role role : kRoles) {
    root.roles[role].key_ids.clear();
    for (const KeyPointer& key : keys[role])
      root.add_key(role, PublicKey::from_ed25519(key->public_key()));
  }
}

void TestRepository::publish_root(const std::vector<KeyPointer>& old_signers) {
  std::vector<const crypto::Signer*> by;
  for (const KeyPointer& key : keys[Role::kRoot]) by.push_back(key.get());
  for (const KeyPointer& key : old_signers)
    if (std::find(by.begin(), by.end(), key.get()) == by.end()) by.push_back(key.get());
  files[fmt::format("{}.root.json", root.version)] = must(make_root(root, by));
}

void TestRepository::publish_roles() {
  const Bytes bytes = must(make_targets(targets, signers(Role::kTargets)));
  files[metadata_file_name(Role::kTargets, targets.version, root.consistent_snapshot)] = bytes;
  snapshot.files["targets.json"] = describe_file(targets.version, bytes);
  publish_snapshot();
}

void TestRepository::publish_snapshot() {
  const Bytes bytes = must(make_snapshot(snapshot, signers(Role::kSnapshot)));
  files[metadata_file_name(Role::kSnapshot, snapshot.version, root.consistent_snapshot)] = bytes;
  timestamp.snapshot = describe_file(snapshot.version, bytes);
  publish_timestamp();
}

void TestRepository::publish_timestamp() {
  files["timestamp.json"] = must(make_timestamp(timestamp, signers(Role::kTimestamp)));
}

void TestRepository::release() {
  ++targets.version;
  ++snapshot.version;
  ++timestamp.version;
  publish_roles();
}

TrustedRepository TestRepository::client() const {
  return must(TrustedRepository::load({files.at("1.root.json"), {}, {}, {}}));
}

Result<void> TestRepository::refresh(TrustedRepository& client, UnixSeconds now,
                                     std::vector<std::string>* asked) const {
  Refresh refresh(client, now);
  while (const auto request = refresh.next()) {
    if (asked) asked->push_back(request->file);
    const auto file = files.find(request->file);
    if (file == files.end())
      TRY_VOID(refresh.give_absent());
    else
      TRY_VOID(refresh.give(file->second));
  }
  REQUIRE(refresh.complete());
  return {};
}

Bytes replaced(const Bytes& document, std::string_view what, std::string_view by) {
  std::string text(as_text(document));
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  text.replace(at, what.size(), by);
  return to_bytes(text);
}

}  // namespace layby::tests
