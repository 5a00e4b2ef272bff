#include "server/release/image_check.h"

#include <algorithm>
#include <set>

#include "server/director/online_keys.h"
#include "server/release/release_keys.h"

namespace layby::server {

namespace {

Result<crypto::Hasher::Digests> hash_payload(const Services& services, const Image& image,
                                             KnownBytes& known) {
  const crypto::Digest256& name = image.entry.sha256;
  if (const auto found = known.find(name); found != known.end()) return found->second;
  const auto file = services.payloads.open(name);
  if (!file && file.error().code() == ErrorCode::kNotFound)
    return fail(ErrorCode::kNotFound, "image {}: upload its bytes first, {} is not here",
                image.entry.name.text(), to_hex(name));
  if (!file) return fail(file.error());
  const auto digests = TRY(crypto::hash_all(**file, crypto::Hasher::With::kSha256AndSha512));
  known.emplace(name, digests);
  return digests;
}

Result<void> check_bytes(const Services& services, const Image& image, KnownBytes& known) {
  const auto digests = TRY(hash_payload(services, image, known));
  const std::string& name = image.entry.name.text();
  if (digests.length != image.entry.length)
    return fail(ErrorCode::kWrongImage, "image {}: {} bytes are here, {} are signed", name,
                digests.length, image.entry.length);
  if (digests.sha256 != image.entry.sha256)
    return fail(ErrorCode::kWrongImage, "image {}: the bytes here do not have its SHA-256", name);
  if (image.entry.sha512 && digests.sha512 != *image.entry.sha512)
    return fail(ErrorCode::kWrongImage, "image {}: the bytes here do not have its SHA-512", name);
  return {};
}

using SlotAndHardware = std::pair<manifest::Slot, manifest::HardwareId>;

// The server issues the licences: a function that obeys another key could never be activated. Once
// a function has begun to name the next key it does not go back: cars would follow it to a key that
// may be stolen. `moved` is where fresh images that were checked before have begun to.
Result<void> check_licence_key(const Services& services, Change& change, const Image& image,
                               std::set<SlotAndHardware>& moved) {
  const manifest::ImageFacts& facts = image.entry.facts;
  if (!facts.licence_key) return {};
  const std::string& name = image.entry.name.text();
  if (!is_for_releases(services.keys, *facts.licence_key))
    return fail(ErrorCode::kBadFormat, "image {}: licenceKey is not the licence key of this server",
                name);
  const std::optional<manifest::PublicKey> next = next_licence_key(services.keys);
  if (!next) return {};
  for (const manifest::HardwareId& hardware : image.entry.hardware_ids) {
    const SlotAndHardware place(facts.slot, hardware);
    if (facts.licence_key == next) {
      moved.insert(place);
      continue;
    }
    const auto before = TRY(earlier_releases(reader(change), scanner(change), facts.slot, hardware,
                                             facts.release_counter, 1));
    const bool has_moved = !before.empty() && before.front().entry.facts.licence_key == next;
    if (has_moved || moved.contains(place))
      return fail(ErrorCode::kBadFormat,
                  "image {}: licenceKey is the one that is being replaced, and a release of {} for "
                  "hardware {} names the next one already: publish it with --licence-key and the "
                  "file that `laybyd make-key licence` wrote",
                  name, facts.slot.text(), hardware.text());
  }
  return {};
}

// `image` comes after all those with a lower counter: they are in `highest` or in the store.
Result<void> check_counter(Change& change, const Image& image,
                           std::map<SlotAndHardware, std::uint64_t>& highest) {
  const manifest::ImageFacts& facts = image.entry.facts;
  for (const manifest::HardwareId& hardware : image.entry.hardware_ids) {
    const SlotAndHardware place(facts.slot, hardware);
    if (!highest.contains(place)) {
      const std::string prefix = release_prefix(facts.slot.text(), hardware.text());
      const auto newest = TRY(change.scan(prefix, after_prefix(prefix), 1));
      std::uint64_t counter = 0;
      if (!newest.empty()) {
        const auto found = TRY(server::image(reader(change), newest.front().value));
        if (!found) return fail(ErrorCode::kCorrupt, "{} names no image", newest.front().key);
        counter = found->entry.facts.release_counter;
      }
      highest[place] = counter;
    }
    std::uint64_t& last = highest[place];
    if (facts.release_counter <= last)
      return fail(ErrorCode::kImageRollback,
                  "image {}: releaseCounter {} must be above {}, which slot {} has reached for "
                  "hardware {}",
                  image.entry.name.text(), facts.release_counter, last, facts.slot.text(),
                  hardware.text());
    last = facts.release_counter;
  }
  return {};
}

Result<void> check_fresh(const Services& services, Change& change, std::vector<Image>& fresh,
                         KnownBytes& known) {
  std::ranges::sort(fresh, {}, [](const Image& image) {
    return std::pair(image.entry.facts.slot, image.entry.facts.release_counter);
  });
  std::map<SlotAndHardware, std::uint64_t> highest;
  std::set<SlotAndHardware> moved;
  for (const Image& image : fresh) {
    TRY_VOID(check_licence_key(services, change, image, moved));
    // A car would refuse the order: who wrote the condition is told here.
    if (const auto readable = manifest::check_conditions(image.entry.facts); !readable)
      return fail(ErrorCode::kBadFormat, "image {}: {}", image.entry.name.text(),
                  readable.error().message());
    TRY_VOID(check_counter(change, image, highest));
    TRY_VOID(check_bytes(services, image, known));
  }
  return {};
}

}  // namespace

Result<void> check_unchanged(const std::optional<Image>& before, const std::string& name,
                             const manifest::Target& target) {
  if (!before || before->target == target) return {};
  return fail(ErrorCode::kConflict,
              "image {} was published before with other content: take a new name", name);
}

Result<CheckedImages> check_images(const Services& services, Change& change,
                                   const std::set<std::string>& named,
                                   const std::map<std::string, manifest::Target>& listed,
                                   manifest::Version version, KnownBytes& known) {
  CheckedImages checked;
  for (const auto& [name, target] : listed) {
    std::optional<Image> before = TRY(image(reader(change), name));
    TRY_VOID(check_unchanged(before, name, target));
    if (!before) {
      manifest::ImageEntry entry = TRY(manifest::read_image_entry(name, target));
      checked.fresh.push_back({std::move(entry), target, Listing::kListed, version});
    } else if (before->listing == Listing::kWithdrawn) {
      before->listing = Listing::kListed;
      checked.changed_listing.push_back(std::move(*before));
    }
  }
  for (const std::string& name : named) {
    if (listed.contains(name)) continue;
    std::optional<Image> gone = TRY(image(reader(change), name));
    if (!gone) return fail(ErrorCode::kCorrupt, "image {} was published and has no record", name);
    if (gone->listing == Listing::kWithdrawn) continue;
    gone->listing = Listing::kWithdrawn;
    checked.changed_listing.push_back(std::move(*gone));
  }
  TRY_VOID(check_fresh(services, change, checked.fresh, known));
  return checked;
}

void put_fresh_image(Change& change, const Image& image) {
  const std::string& name = image.entry.name.text();
  const manifest::ImageFacts& facts = image.entry.facts;
  change.put(image_key(name), encode_image(image));
  for (const manifest::HardwareId& hardware : image.entry.hardware_ids)
    change.put(release_key(facts.slot.text(), hardware.text(), facts.release_counter), name);
}

Result<std::vector<Image>> delta_bases_of(Change& change, const Image& image, std::size_t limit) {
  std::vector<Image> bases;
  std::set<crypto::Digest256> seen{image.entry.sha256};
  const manifest::ImageFacts& facts = image.entry.facts;
  for (const manifest::HardwareId& hardware : image.entry.hardware_ids) {
    for (Image& base : TRY(earlier_releases(reader(change), scanner(change), facts.slot, hardware,
                                            facts.release_counter, limit))) {
      if (seen.insert(base.entry.sha256).second) bases.push_back(std::move(base));
    }
  }
  return bases;
}

}  // namespace layby::server
