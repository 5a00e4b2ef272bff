// The journal: the agent's record, in two alternating files, and a copy.
//
// Each holds one whole record with a sequence number and a digest; a new record overwrites the
// older of the two. A write that is torn by a power cut destroys the record that nobody needs any
// more. Whenever an order's state, the word for a set of ECUs, a slot, a function, the live set,
// private mode or the bearer changed, and with each day of trusted time, 16 MiB of metered data and
// 64 reports, the record is written a third time, as the copy `journal.kept`: a car whose two
// records are damaged goes on from there. What it is behind by repeats itself without harm: marks
// of chunks, reports, etags.
// Layout, little-endian: "LAYBYJNL", version u32 = 1, body length u32, sequence u64,
// BLAKE2b-256 of sequence and body (32), body. Bytes behind the body are left over from longer
// records.
#pragma once

#include <memory>
#include <string>

#include "agent/record.h"
#include "base/disk.h"
#include "base/limits.h"
#include "base/result.h"

namespace layby::agent {

// More than the largest targets make of it (kTargetsBytesMax): no plan is too large to be kept.
constexpr std::uint64_t kJournalBytesMax = 16 * kMiB;

class Journal {
 public:
  // Reads the newest record that is whole, the copy included; what cannot be read is removed, so
  // that it is written anew. kNotFound if there are no files, kCorrupt if none of them is whole.
  // `disk` must outlive it.
  static Result<Journal> open(Disk& disk, const std::string& directory);
  // Starts with this record; what was there is overwritten.
  static Result<Journal> create(Disk& disk, const std::string& directory, Record record);
  // For another process than the one that writes: reads without opening anything for writing.
  static Result<Record> read(Disk& disk, const std::string& directory);

  Record& record() { return record_; }
  const Record& record() const { return record_; }
  std::uint64_t sequence() const { return sequence_; }

  // Makes `record()` durable. On an error the last saved record still stands on the disk. That the
  // copy could not be written is none: it is tried again with the next record.
  Result<void> save();
  // Whether what the last `save` found to be worth a copy is in it; else why not.
  const Result<void>& copied() const { return copied_; }

 private:
  Journal(Disk& disk, std::string directory, Record record, std::uint64_t sequence)
      : disk_(&disk),
        directory_(std::move(directory)),
        record_(std::move(record)),
        sequence_(sequence) {}

  Disk* disk_;
  std::string directory_;
  Record record_;
  std::uint64_t sequence_;
  std::unique_ptr<File> files_[2];
  crypto::Digest256 kept_{};  // of what of the record asks for a copy; of the last one
  Result<void> copied_{};
};

}  // namespace layby::agent
