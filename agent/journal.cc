#include "agent/journal.h"

#include <algorithm>
#include <optional>

namespace layby::agent {
namespace {

constexpr std::string_view kMagic = "LAYBYJNL";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 8 + 4 + 4 + 8 + 32;
// A reader beside a writer may meet both records half written; the next look finds one whole.
constexpr int kReadTries = 20;

std::string path_of(const std::string& directory, std::uint64_t sequence) {
  return directory + "/journal." + std::to_string(sequence % 2);
}

crypto::Digest256 digest_of(std::uint64_t sequence, ByteSpan body) {
  Bytes covered;
  covered.reserve(8 + body.size());
  append_u64(covered, sequence);
  covered.insert(covered.end(), body.begin(), body.end());
  return crypto::blake2b_256(covered);
}

struct Found {
  std::uint64_t sequence;
  Bytes body;
};

std::optional<Found> parse(ByteSpan bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  if (as_text(bytes.first(kMagic.size())) != kMagic) return std::nullopt;
  if (load_u32(bytes.data() + 8) != kVersion) return std::nullopt;
  const std::uint32_t length = load_u32(bytes.data() + 12);
  if (length > bytes.size() - kHeaderBytes) return std::nullopt;
  const std::uint64_t sequence = load_u64(bytes.data() + 16);
  const ByteSpan body = bytes.subspan(kHeaderBytes, length);
  const crypto::Digest256 digest = digest_of(sequence, body);
  if (!std::equal(digest.begin(), digest.end(), bytes.begin() + 24)) return std::nullopt;
  return Found{sequence, Bytes(body.begin(), body.end())};
}

Result<Found> newest(Disk& disk, const std::string& directory) {
  std::optional<Found> best;
  int present = 0;
  for (std::uint64_t i = 0; i < 2; ++i) {
    const Result<Bytes> bytes = read_file(disk, path_of(directory, i), kJournalBytesMax);
    if (!bytes && bytes.error().code() == ErrorCode::kNotFound) continue;
    ++present;
    if (!bytes) continue;  // an unreadable record is no record; the other one may do
    auto found = parse(*bytes);
    if (found && found->sequence % 2 == i && (!best || found->sequence > best->sequence))
      best = std::move(found);
  }
  if (best) return *best;
  if (present == 0) return fail(ErrorCode::kNotFound, "there is no journal in {}", directory);
  return fail(ErrorCode::kCorrupt, "neither record of the journal in {} is whole", directory);
}

}  // namespace

Result<Journal> Journal::open(Disk& disk, const std::string& directory) {
  const Found found = TRY(newest(disk, directory));
  Record record = TRY_CONTEXT(decode_record(found.body), "the journal in " + directory);
  return Journal(disk, directory, std::move(record), found.sequence);
}

Result<Journal> Journal::create(Disk& disk, const std::string& directory, Record record) {
  std::uint64_t sequence = 0;
  if (const auto found = newest(disk, directory)) sequence = found->sequence;
  Journal journal(disk, directory, std::move(record), sequence);
  TRY_VOID(journal.save());
  return journal;
}

Result<Record> Journal::read(Disk& disk, const std::string& directory) {
  for (int i = 1;; ++i) {
    const Result<Found> found = newest(disk, directory);
    if (found) return decode_record(found->body);
    if (found.error().code() == ErrorCode::kNotFound || i == kReadTries) return fail(found.error());
  }
}

Result<void> Journal::save() {
  const Bytes body = TRY(encode_record(record_));
  if (body.size() > kJournalBytesMax - kHeaderBytes)
    return fail(ErrorCode::kTooLarge, "the journal would have {} bytes, at most {} are allowed",
                body.size(), kJournalBytesMax - kHeaderBytes);
  const std::uint64_t sequence = sequence_ + 1;
  Bytes bytes = to_bytes(kMagic);
  append_u32(bytes, kVersion);
  append_u32(bytes, static_cast<std::uint32_t>(body.size()));
  append_u64(bytes, sequence);
  const crypto::Digest256 digest = digest_of(sequence, body);
  bytes.insert(bytes.end(), digest.begin(), digest.end());
  bytes.insert(bytes.end(), body.begin(), body.end());

  std::unique_ptr<File>& file = files_[sequence % 2];
  if (!file) {
    const std::string path = path_of(directory_, sequence);
    const bool is_new = !disk_->status(path).has_value();
    file = TRY(disk_->open_write(path));
    if (is_new) TRY_VOID(disk_->sync_dir(directory_));
  }
  TRY_VOID(file->write_at(0, bytes));
  TRY_VOID(file->sync());
  sequence_ = sequence;
  return {};
}

}  // namespace layby::agent
