#include "server/payloads/uploads.h"

#include <set>

#include "base/time_text.h"
#include "manifest/json_value.h"

namespace layby::server {

using manifest::Json;

struct Uploads::Record {
  std::uint64_t length;
  std::uint64_t offset;
  UnixSeconds touched;
};

namespace {

constexpr std::string_view kPrefix = "u/";
constexpr std::string_view kFilePrefix = "upload-";
constexpr std::uint64_t kRecordBytesMax = 4 * kKiB;

std::string key_of(const crypto::Digest256& id) {
  return std::string(kPrefix) + to_hex(id);
}

}  // namespace

std::string Uploads::file_of(const crypto::Digest256& id) const {
  return services_.payloads.incoming_dir() + "/" + std::string(kFilePrefix) + to_hex(id);
}

std::optional<std::uint64_t> Uploads::complete_length(const crypto::Digest256& id) const {
  const auto payload = services_.payloads.open(id);
  if (!payload) return std::nullopt;
  return (*payload)->size();
}

Result<std::optional<Uploads::Record>> Uploads::load(const crypto::Digest256& id) const {
  const std::optional<std::string> text = TRY(services_.store.get(key_of(id)));
  if (!text) return std::nullopt;
  const Json json = TRY(manifest::parse_strict(as_bytes(*text), {kRecordBytesMax}));
  Record record{};
  record.length = TRY(manifest::uint_field(json, "length", kImageBytesMax));
  record.offset = TRY(manifest::uint_field(json, "offset", record.length));
  record.touched = TRY(manifest::time_field(json, "touched"));
  return record;
}

Result<void> Uploads::save(const crypto::Digest256& id, const Record& record) {
  const Json json{{"length", record.length},
                  {"offset", record.offset},
                  {"touched", format_utc(record.touched)}};
  std::string text = TRY(manifest::to_wire(json));
  Batch batch;
  batch.writes.push_back({key_of(id), std::move(text)});
  return services_.store.commit(batch);
}

Result<void> Uploads::drop(const crypto::Digest256& id) {
  Batch batch;
  batch.writes.push_back({key_of(id), std::nullopt});
  TRY_VOID(services_.store.commit(batch));
  return services_.disk.remove(file_of(id));
}

Result<void> Uploads::check_space(std::uint64_t length) const {
  const auto open = TRY(services_.store.scan(kPrefix, after_prefix(kPrefix), kOpenUploadsMax + 1));
  if (open.size() >= kOpenUploadsMax)
    return fail(ErrorCode::kUnavailable, "{} uploads are open already", open.size());
  std::uint64_t promised = 0;
  for (const KeyValue& pair : open) {
    const auto id = TRY(array_from_hex<32>(pair.key.substr(kPrefix.size())));
    const std::optional<Record> record = TRY(load(id));
    if (record) promised += record->length - record->offset;
  }
  const std::uint64_t free = TRY(services_.disk.free_bytes(services_.payloads.incoming_dir()));
  const std::uint64_t needed = length + promised + limits_.free_bytes_min;
  if (free < needed)
    return fail(ErrorCode::kDiskFull,
                "{} bytes are free, {} are needed: {} for this upload, {} for open ones, {} to "
                "stay free",
                free, needed, length, promised, limits_.free_bytes_min);
  return {};
}

Result<void> Uploads::recover() {
  std::set<std::string> wanted;
  const auto open = TRY(services_.store.scan(kPrefix, after_prefix(kPrefix), 2 * kOpenUploadsMax));
  for (const KeyValue& pair : open) {
    const auto id = TRY(array_from_hex<32>(pair.key.substr(kPrefix.size())));
    if (complete_length(id))
      TRY_VOID(drop(id));
    else
      wanted.insert(file_of(id));
  }
  const std::string incoming = services_.payloads.incoming_dir();
  for (const std::string& name : TRY(services_.disk.list(incoming))) {
    const std::string path = incoming + "/" + name;
    if (wanted.count(path) == 0) TRY_VOID(services_.disk.remove_tree(path));
  }
  return {};
}

Result<UploadState> Uploads::begin(const crypto::Digest256& id, std::uint64_t length) {
  if (length > kImageBytesMax)
    return fail(ErrorCode::kTooLarge, "{} bytes, at most {} are taken", length, kImageBytesMax);
  const std::lock_guard begin_lock(begin_mutex_);
  const std::lock_guard lock(mutex_of(id));
  if (const auto complete = complete_length(id)) return UploadState{*complete, *complete};
  if (const std::optional<Record> record = TRY(load(id))) {
    if (record->length != length)
      return fail(ErrorCode::kConflict, "this upload was begun with {} bytes, not {}",
                  record->length, length);
    return UploadState{record->length, record->offset};
  }
  TRY_VOID(check_space(length));
  {
    const std::unique_ptr<File> file = TRY(services_.disk.open_write(file_of(id)));
    TRY_VOID(file->truncate(0));
    TRY_VOID(file->sync());
  }
  TRY_VOID(services_.disk.sync_dir(services_.payloads.incoming_dir()));
  if (length == 0) {
    TRY_VOID(services_.payloads.adopt(file_of(id), id));
    return UploadState{0, 0};
  }
  TRY_VOID(save(id, {length, 0, services_.clock.now()}));
  return UploadState{length, 0};
}

Result<UploadState> Uploads::state(const crypto::Digest256& id) const {
  if (const auto complete = complete_length(id)) return UploadState{*complete, *complete};
  const std::optional<Record> record = TRY(load(id));
  if (!record) return fail(ErrorCode::kNotFound, "there is no such upload");
  return UploadState{record->length, record->offset};
}

Result<UploadState> Uploads::append(const crypto::Digest256& id, std::uint64_t offset,
                                    ByteSpan bytes) {
  const std::lock_guard lock(mutex_of(id));
  // The answer to the last piece may have been lost: the same piece again is no mistake.
  if (const auto complete = complete_length(id)) return UploadState{*complete, *complete};
  std::optional<Record> record = TRY(load(id));
  if (!record) return fail(ErrorCode::kNotFound, "there is no such upload");
  if (record->offset != offset)
    return fail(ErrorCode::kConflict, "the upload stands at {}, not at {}", record->offset, offset);
  if (bytes.size() > record->length - offset)
    return fail(ErrorCode::kTooLarge, "{} bytes at {} reach past the upload's {} bytes",
                bytes.size(), offset, record->length);
  {
    const std::unique_ptr<File> file = TRY(services_.disk.open_write(file_of(id)));
    TRY_VOID(file->write_at(offset, bytes));
    TRY_VOID(file->sync());
  }
  record->offset += bytes.size();
  record->touched = services_.clock.now();
  if (record->offset < record->length) {
    TRY_VOID(save(id, *record));
    return UploadState{record->length, record->offset};
  }
  const Result<void> adopted = services_.payloads.adopt(file_of(id), id);
  if (!adopted && adopted.error().code() != ErrorCode::kWrongImage) return fail(adopted.error());
  TRY_VOID(drop(id));
  if (!adopted) return fail(adopted.error());
  return UploadState{record->length, record->offset};
}

Result<void> Uploads::abandon(const crypto::Digest256& id) {
  const std::lock_guard lock(mutex_of(id));
  return drop(id);
}

Result<std::size_t> Uploads::expire() {
  std::size_t expired = 0;
  const auto open = TRY(services_.store.scan(kPrefix, after_prefix(kPrefix), 2 * kOpenUploadsMax));
  for (const KeyValue& pair : open) {
    const auto id = TRY(array_from_hex<32>(pair.key.substr(kPrefix.size())));
    const std::lock_guard lock(mutex_of(id));
    const std::optional<Record> record = TRY(load(id));
    if (!record || services_.clock.now() - record->touched < limits_.abandoned_seconds) continue;
    TRY_VOID(drop(id));
    ++expired;
  }
  return expired;
}

}  // namespace layby::server
