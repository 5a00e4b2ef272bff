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
constexpr int kReadsOfRecord = 3;
constexpr std::uint64_t kReservedBytes = 128 * kKiB;  // of each record
// How far the copy may be behind.
constexpr std::uint64_t kDataStepBytes = 16 * kMiB;
constexpr std::uint64_t kReportStep = 64;

std::string path_of(const std::string& directory, std::uint64_t sequence) {
  return directory + "/journal." + std::to_string(sequence % 2);
}

std::string copy_path_of(const std::string& directory) {
  return directory + "/journal.kept";
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

// A record that cannot be read, or is not what was written: the medium gets another chance, since
// what comes next overwrites the older record.
Result<std::optional<Found>> read_record(Disk& disk, const std::string& path) {
  Result<Bytes> bytes = read_file(disk, path, kJournalBytesMax);
  for (int i = 1; i < kReadsOfRecord; ++i) {
    if (bytes && parse(*bytes)) break;
    if (!bytes && bytes.error().code() == ErrorCode::kNotFound) break;
    bytes = read_file(disk, path, kJournalBytesMax);
  }
  if (!bytes) return fail(bytes.error());
  return parse(*bytes);
}

struct Search {
  std::optional<Found> best;
  std::vector<std::string> unreadable;  // paths
  int present = 0;
};

Search search(Disk& disk, const std::string& directory) {
  Search search;
  for (const std::string& path :
       {path_of(directory, 0), path_of(directory, 1), copy_path_of(directory)}) {
    auto found = read_record(disk, path);
    if (!found && found.error().code() == ErrorCode::kNotFound) continue;
    ++search.present;
    if (!found) {
      search.unreadable.push_back(path);  // no record; another one may do
      continue;
    }
    const bool is_in_place = *found && (path == copy_path_of(directory) ||
                                        path == path_of(directory, (*found)->sequence));
    if (is_in_place && (!search.best || (*found)->sequence > search.best->sequence))
      search.best = std::move(*found);
  }
  return search;
}

Result<Found> newest(const Search& search, const std::string& directory) {
  if (search.best) return *search.best;
  if (search.present == 0)
    return fail(ErrorCode::kNotFound, "there is no journal in {}", directory);
  return fail(ErrorCode::kCorrupt,
              "neither the records of the journal in {} nor their copy are whole: a partner has to "
              "provision and pair the car anew",
              directory);
}

// What must not be forgotten when both records are lost. What counts on and on asks in steps, so
// that the copy is written seldom: time by the day, data by 16 MiB, reports by 64 (a counter that
// is behind leaps, outbox.cc).
crypto::Digest256 what_asks_for_a_copy(const Record& record) {
  std::string text =
      fmt::format("{} {} {} {} {} {} {} {} {}", record.map_set, record.private_mode, record.bearer,
                  record.roaming, std::max(record.time_signed, record.time_counted) / kDaySeconds,
                  record.data_month, record.data_bytes / kDataStepBytes,
                  record.report_counter / kReportStep, record.owner_time.value_or(0));
  for (const crypto::Digest256& key : record.time_keys) text += "\n" + to_hex(key);
  for (const OrderRecord& order : record.orders)
    text += fmt::format("\n{} {} {} {}", order.id.text(), to_string(order.state), order.attempts,
                        order.committed);
  for (const auto& [slot, held] : record.slots)
    text += fmt::format("\n{} {} {}", slot.text(), to_hex(held.sha256), held.path);
  for (const auto& [id, function] : record.functions)
    text += fmt::format("\n{} {} {}", id.text(), function.newest.counter, function.on);
  return crypto::blake2b_256(as_bytes(text));
}

}  // namespace

Result<Journal> Journal::open(Disk& disk, const std::string& directory) {
  const Search searched = search(disk, directory);
  const Found found = TRY(newest(searched, directory));
  for (const std::string& path : searched.unreadable) TRY_VOID(disk.remove(path));
  Record record = TRY_CONTEXT(decode_record(found.body), "the journal in " + directory);
  return Journal(disk, directory, std::move(record), found.sequence);
}

Result<Journal> Journal::create(Disk& disk, const std::string& directory, Record record) {
  std::uint64_t sequence = 0;
  if (const auto found = search(disk, directory).best) sequence = found->sequence;
  Journal journal(disk, directory, std::move(record), sequence);
  TRY_VOID(journal.save());
  TRY_VOID(journal.save());  // from the first day on there are two
  return journal;
}

Result<Record> Journal::read(Disk& disk, const std::string& directory) {
  for (int i = 1;; ++i) {
    const Result<Found> found = newest(search(disk, directory), directory);
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
    // So that a full disk does not keep the car from noting where it is. What cannot be reserved is
    // written all the same.
    static_cast<void>(file->reserve(kReservedBytes));
    if (is_new) TRY_VOID(disk_->sync_dir(directory_));
  }
  TRY_VOID(file->write_at(0, bytes));
  TRY_VOID(file->sync());
  sequence_ = sequence;
  const crypto::Digest256 asks = what_asks_for_a_copy(record_);
  copied_ = asks == kept_ ? Result<void>{} : replace_file(*disk_, copy_path_of(directory_), bytes);
  if (copied_) kept_ = asks;
  return {};
}

}  // namespace layby::agent
