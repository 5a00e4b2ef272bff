#include "server/release/image.h"

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"
#include "server/release/release_keys.h"

namespace layby::server {

namespace {

using manifest::Json;

// Payloads of one image: some deltas and the whole image.
constexpr std::size_t kPayloadsPerImageMax = 64;

Result<std::vector<KeyValue>> scan_prefix(const ScanKeys& scan, const std::string& prefix,
                                          std::size_t limit) {
  return scan(prefix, after_prefix(prefix), limit);
}

Result<Image> decode_image_json(std::string_view name, const Json& json) {
  manifest::Target target;
  target.length = TRY(manifest::uint_field(json, "length"));
  target.hashes.sha256 = TRY(manifest::digest_field(json, "sha256"));
  if (manifest::find_field(json, "sha512") != nullptr) {
    const std::string hex = TRY(manifest::text_field(json, "sha512"));
    target.hashes.sha512 = TRY(array_from_hex<64>(hex));
  }
  target.custom = TRY(manifest::text_field(json, "custom"));
  const bool listed = TRY(manifest::bool_field(json, "listed"));
  const manifest::Version published = TRY(manifest::uint_field(json, "published"));
  manifest::ImageEntry entry = TRY(manifest::read_image_entry(std::string(name), target));
  return Image{std::move(entry), std::move(target), listed ? Listing::kListed : Listing::kWithdrawn,
               published};
}

Result<manifest::Payload> decode_payload_json(const Json& json) {
  manifest::Payload payload;
  if (manifest::find_field(json, "base") != nullptr)
    payload.base = TRY(manifest::digest_field(json, "base"));
  payload.sha256 = TRY(manifest::digest_field(json, "sha256"));
  payload.length = TRY(manifest::uint_field(json, "length"));
  const Json* head = TRY(manifest::object_field(json, "head"));
  payload.head_sha256 = TRY(manifest::digest_field(*head, "sha256"));
  payload.head_length = TRY(manifest::uint_field(*head, "length"));
  payload.needs = TRY(manifest::re_encoders_field(json, "needs"));
  return payload;
}

}  // namespace

ReadKey reader(const Store& store) {
  return [&store](std::string_view key) { return store.get(key); };
}

ReadKey reader(Change& change) {
  return [&change](std::string_view key) { return change.get(key); };
}

ScanKeys scanner(Change& change) {
  return [&change](std::string_view begin, std::string_view end, std::size_t limit) {
    return change.scan(begin, end, limit);
  };
}

ScanKeys scanner(const Store& store) {
  return [&store](std::string_view begin, std::string_view end, std::size_t limit) {
    return store.scan(begin, end, limit);
  };
}

std::string encode_image(const Image& image) {
  Json json = {{"length", image.target.length},
               {"sha256", to_hex(image.entry.sha256)},
               {"custom", image.target.custom},
               {"listed", image.listing == Listing::kListed},
               {"published", image.published}};
  if (image.target.hashes.sha512) json["sha512"] = to_hex(*image.target.hashes.sha512);
  return to_stored(json);
}

Result<Image> decode_image(std::string_view name, std::string_view record) {
  const Json json = TRY(parse_stored(name, record));
  Result<Image> image = decode_image_json(name, json);
  if (!image)
    return fail(ErrorCode::kCorrupt, "record of image {}: {}", name, image.error().message());
  return image;
}

Result<std::optional<Image>> image(const ReadKey& read, std::string_view name) {
  const std::optional<std::string> record = TRY(read(image_key(name)));
  if (!record) return std::nullopt;
  return TRY(decode_image(name, *record));
}

Result<std::optional<Image>> image(const Store& store, std::string_view name) {
  return image(reader(store), name);
}

Result<std::optional<Image>> newest_image(const Store& store, const manifest::Slot& slot,
                                          const manifest::HardwareId& hardware) {
  constexpr std::size_t kPage = 16;  // the newest is the first, unless it was withdrawn
  const std::string prefix = release_prefix(slot.text(), hardware.text());
  const std::string end = after_prefix(prefix);
  std::string begin = prefix;
  while (true) {
    const std::vector<KeyValue> page = TRY(store.scan(begin, end, kPage));
    for (const KeyValue& release : page) {
      std::optional<Image> found = TRY(image(store, release.value));
      if (!found) return fail(ErrorCode::kCorrupt, "{} names no image", release.key);
      if (found->listing == Listing::kListed) return found;
    }
    if (page.size() < kPage) return std::nullopt;
    begin = page.back().key + '\0';
  }
}

Result<std::vector<Image>> earlier_releases(const ReadKey& read, const ScanKeys& scan,
                                            const manifest::Slot& slot,
                                            const manifest::HardwareId& hardware,
                                            std::uint64_t below_counter, std::size_t limit) {
  std::vector<Image> releases;
  if (below_counter == 0) return releases;
  const std::string begin = release_key(slot.text(), hardware.text(), below_counter - 1);
  const std::string end = after_prefix(release_prefix(slot.text(), hardware.text()));
  for (const KeyValue& release : TRY(scan(begin, end, limit))) {
    std::optional<Image> found = TRY(image(read, release.value));
    if (!found) return fail(ErrorCode::kCorrupt, "{} names no image", release.key);
    releases.push_back(std::move(*found));
  }
  return releases;
}

std::string encode_payload(const manifest::Payload& payload, std::uint64_t cpu_ms) {
  Json json = {{"sha256", to_hex(payload.sha256)},
               {"length", payload.length},
               {"head", {{"sha256", to_hex(payload.head_sha256)}, {"length", payload.head_length}}},
               {"cpu_ms", cpu_ms}};
  if (payload.base) json["base"] = to_hex(*payload.base);
  if (!payload.needs.empty()) json["needs"] = payload.needs;
  return to_stored(json);
}

Result<manifest::Payload> decode_payload(std::string_view record) {
  const Json json = TRY(parse_stored("of a payload", record));
  Result<manifest::Payload> payload = decode_payload_json(json);
  if (!payload)
    return fail(ErrorCode::kCorrupt, "record of a payload: {}", payload.error().message());
  return payload;
}

Result<std::vector<manifest::Payload>> payloads_of(const ScanKeys& scan,
                                                   const crypto::Digest256& image) {
  std::vector<manifest::Payload> payloads;
  // "full" sorts behind every hexadecimal digest, so the whole image comes last.
  for (const KeyValue& record : TRY(scan_prefix(scan, payload_prefix(image), kPayloadsPerImageMax)))
    payloads.push_back(TRY_CONTEXT(decode_payload(record.value), record.key));
  if (payloads.empty() || payloads.back().base) return payloads;
  const std::uint64_t whole_bytes = payloads.back().length;
  std::erase_if(payloads,
                [&](const auto& payload) { return payload.base && payload.length >= whole_bytes; });
  return payloads;
}

Result<std::vector<manifest::Payload>> payloads_of(const Store& store, const Image& image) {
  return payloads_of(scanner(store), image.entry.sha256);
}

std::string_view to_string(Availability availability) {
  switch (availability) {
    case Availability::kAvailable: return "available";
    case Availability::kNoPayloadYet: return "no payload yet";
    case Availability::kWithdrawn: return "withdrawn";
    case Availability::kUnknown: return "unknown";
  }
  LAYBY_ASSERT(false);
}

Result<Availability> availability(const Store& store, std::string_view name) {
  const std::optional<Image> found = TRY(image(store, name));
  if (!found) return Availability::kUnknown;
  if (found->listing == Listing::kWithdrawn) return Availability::kWithdrawn;
  const auto full = TRY(store.get(payload_key(found->entry.sha256, std::nullopt)));
  return full ? Availability::kAvailable : Availability::kNoPayloadYet;
}

}  // namespace layby::server
