#include "server/release/image_state.h"

#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/fleet/json_answer.h"
#include "server/release/release_keys.h"

namespace layby::server {

namespace {

using manifest::Json;

Result<DelegatedState> decode_delegated(const Json& json) {
  DelegatedState role;
  role.version = TRY(manifest::uint_field(json, "version"));
  role.expires = TRY(manifest::time_field(json, "expires"));
  role.is_believed = TRY(manifest::bool_field(json, "believed"));
  return role;
}

Result<ImageState> decode_state(std::string_view record) {
  const Json json = TRY(parse_stored(kImageStateKey, record));
  ImageState state;
  state.root = TRY(manifest::uint_field(json, "root"));
  state.targets = TRY(manifest::uint_field(json, "targets"));
  state.snapshot = TRY(manifest::uint_field(json, "snapshot"));
  state.timestamp = TRY(manifest::uint_field(json, "timestamp"));
  state.snapshot_expires = TRY(manifest::time_field(json, "snapshot_expires"));
  state.targets_expires = TRY(manifest::time_field(json, "targets_expires"));
  // Stores from before there were delegated roles have none.
  if (manifest::find_field(json, "delegated") == nullptr) return state;
  const Json* delegated = TRY(manifest::object_field(json, "delegated"));
  for (const auto& [name, role] : delegated->items())
    state.delegated.emplace(name, TRY_CONTEXT(decode_delegated(role), name));
  return state;
}

}  // namespace

Result<ImageState> load_image_state(Change& change) {
  const std::optional<std::string> record = TRY(change.get(kImageStateKey));
  if (!record) return fail(ErrorCode::kUnavailable, "there is no Image repository yet");
  return decode_state(*record);
}

void save_image_state(Change& change, const ImageState& state) {
  Json delegated = Json::object();
  for (const auto& [name, role] : state.delegated)
    delegated[name] = {{"version", role.version},
                       {"expires", format_utc(role.expires)},
                       {"believed", role.is_believed}};
  change.put(kImageStateKey, to_stored(Json{
                                 {"root", state.root},
                                 {"targets", state.targets},
                                 {"snapshot", state.snapshot},
                                 {"timestamp", state.timestamp},
                                 {"snapshot_expires", format_utc(state.snapshot_expires)},
                                 {"targets_expires", format_utc(state.targets_expires)},
                                 {"delegated", std::move(delegated)},
                             }));
}

Result<std::string> stored_document(Change& change, const std::string& key) {
  std::optional<std::string> bytes = TRY(change.get(key));
  if (!bytes) return fail(ErrorCode::kCorrupt, "{} is missing", key);
  return std::move(*bytes);
}

Result<CachedDocument> load_timestamp(Change& change) {
  const std::string value = TRY(stored_document(change, std::string(kImageTimestampKey)));
  return decode_cached(value);
}

Result<manifest::StoredRoles> load_present(Change& change, const ImageState& state) {
  const CachedDocument timestamp = TRY(load_timestamp(change));
  const std::string root = TRY(stored_document(change, image_root_key(state.root)));
  const std::string snapshot = TRY(stored_document(change, image_snapshot_key(state.snapshot)));
  const std::string targets = TRY(stored_document(change, image_targets_key(state.targets)));
  manifest::StoredRoles present{.root = to_bytes(root),
                                .timestamp = to_bytes(timestamp.bytes),
                                .snapshot = to_bytes(snapshot),
                                .targets = to_bytes(targets)};
  for (const auto& [name, role] : state.delegated) {
    const std::string document = TRY(stored_document(change, delegated_key(name, role.version)));
    present.delegated.emplace(name, to_bytes(document));
  }
  return present;
}

Result<std::map<std::string, manifest::FileEntry>> present_files(Change& change,
                                                                 const ImageState& state) {
  const std::string document = TRY(stored_document(change, image_snapshot_key(state.snapshot)));
  const auto envelope = TRY(manifest::Envelope::parse(as_bytes(document), kSnapshotBytesMax));
  return TRY(manifest::decode_snapshot(envelope.signed_part())).files;
}

}  // namespace layby::server
