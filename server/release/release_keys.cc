#include "server/release/release_keys.h"

#include <limits>

#include "base/result.h"

namespace layby::server {

std::string image_root_key(std::uint64_t version) {
  return fmt::format("i/root/{}", version);
}

std::string image_snapshot_key(std::uint64_t version) {
  return fmt::format("i/snapshot/{}", version);
}

std::string image_targets_key(std::uint64_t version) {
  return fmt::format("i/targets/{}", version);
}

std::string delegated_key(std::string_view role, std::uint64_t version) {
  return fmt::format("i/delegated/{}/{}", role, version);
}

std::string director_root_key(std::uint64_t version) {
  return fmt::format("i/director-root/{}", version);
}

std::string image_key(std::string_view name) {
  return fmt::format("i/image/{}", name);
}

std::string release_prefix(std::string_view slot, std::string_view hardware) {
  return fmt::format("i/release/{}/{}/", slot, hardware);
}

std::string release_key(std::string_view slot, std::string_view hardware, std::uint64_t counter) {
  return fmt::format("{}{:020}", release_prefix(slot, hardware),
                     std::numeric_limits<std::uint64_t>::max() - counter);
}

std::string order_waits_prefix(std::string_view image) {
  return fmt::format("w/{}/", image);
}

// Image names contain slashes, and one may continue another ("a/b" and "a/b/c"): a NUL, which no
// name contains, ends them here, where something follows.
std::string wants_prefix(std::string_view image_name) {
  std::string key = fmt::format("i/wants/{}", image_name);
  key.push_back('\0');
  return key;
}

std::string wants_key(std::string_view image_name, std::string_view vin) {
  return wants_prefix(image_name).append(vin);
}

std::string payload_prefix(const crypto::Digest256& image) {
  return fmt::format("p/{}/", to_hex(image));
}

std::string payload_key(const crypto::Digest256& image,
                        const std::optional<crypto::Digest256>& base) {
  return payload_prefix(image) + (base ? to_hex(*base) : "full");
}

std::string job_key(std::string_view id) {
  return fmt::format("{}{}", kJobPrefix, id);
}

std::string job_queue_key(std::string_view id) {
  return fmt::format("{}{}", kJobQueuePrefix, id);
}

std::string job_id(std::uint64_t snapshot, std::size_t index) {
  return fmt::format("{:010}-{:06}", snapshot, index);
}

}  // namespace layby::server
