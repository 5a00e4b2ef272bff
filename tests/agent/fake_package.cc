// FakeServer's side of offline packages.
#include "base/assert.h"
#include "manifest/offline_package.h"
#include "manifest/server_time.h"
#include "tests/agent/fake_server.h"

namespace layby::tests {
namespace {

using manifest::Repository;
using manifest::Role;

void append(Bytes& archive, std::string_view text) {
  const ByteSpan bytes = as_bytes(text);
  archive.insert(archive.end(), bytes.begin(), bytes.end());
}

void add(Bytes& archive, const std::string& name, ByteSpan bytes) {
  append(archive, manifest::package_member_head(name, bytes.size()).value());
  archive.insert(archive.end(), bytes.begin(), bytes.end());
  append(archive, manifest::package_padding(bytes.size()));
}

}  // namespace

manifest::OrderId FakeServer::order_offline(const std::vector<std::string>& images) {
  const manifest::OrderId id = order(images);
  orders_.back().delivery = manifest::Delivery::kOffline;
  sign_director();
  return id;
}

void FakeServer::add_metadata(Bytes& archive, Repository repository, const Signed& from) {
  const auto add_file = [&](Role role, manifest::Version version) {
    const std::string name = manifest::package_metadata_name(repository, role, version);
    const auto found = from.files.find(name.substr(name.find('/') + 1));
    if (found != from.files.end()) add(archive, name, found->second);
    return found != from.files.end();
  };
  for (manifest::Version root = 2; add_file(Role::kRoot, root);) ++root;
  for (const Role role : {Role::kTimestamp, Role::kSnapshot, Role::kTargets})
    LAYBY_ASSERT(add_file(role, from.version));
}

Bytes FakeServer::offline_package(const std::function<bool(const manifest::Payload&)>& has) {
  sign_director();
  Bytes archive;
  const crypto::Signer* signers[] = {online_keys_.at(Role::kTimestamp).get()};
  const auto vin = manifest::Vin::parse(director_vin).value();
  add(archive, std::string(manifest::kPackageTimeName),
      manifest::make_package_time(vin, clock_->now() + time_ahead, signers).value());
  add_metadata(archive, Repository::kDirector, director_);
  add_metadata(archive, Repository::kImage, images_);
  for (const auto& [name, supplier] : suppliers) {
    const std::string member = manifest::package_delegated_name(name, supplier.version);
    const auto role = images_.files.find(member.substr(member.find('/') + 1));
    if (role != images_.files.end()) add(archive, member, role->second);
  }
  std::map<crypto::Digest256, Bytes> payloads;
  for (const manifest::Order& order : orders_)
    for (const std::string& image : order.images)
      for (const manifest::Payload& payload : payloads_of_.at(image))
        if (!has || has(payload)) payloads[payload.sha256] = payloads_.at(to_hex(payload.sha256));
  for (const auto& [sha256, bytes] : payloads)
    add(archive, manifest::package_payload_name(sha256), bytes);
  append(archive, manifest::package_end());
  return archive;
}

}  // namespace layby::tests
