#include "delta/proof.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "delta/applier.h"
#include "delta/residence.h"
#include "delta/share_out.h"
#include "delta/span_source.h"
#include "delta/stopping.h"

namespace layby::delta {
namespace {

// Stands in for the target while a chunk is applied: holds what is before the chunk, and what is
// written must be what the target has there already.
class ProofFile final : public File {
 public:
  ProofFile(ByteSpan target, std::uint64_t size) : target_(target), size_(size) {}

  std::uint64_t size() const override { return size_; }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    check_stop();
    if (offset > size_ || out.size() > size_ - offset)
      return fail(ErrorCode::kIo, "the applier reads target bytes that it has not written");
    return SpanSource(target_).read_at(offset, out);
  }
  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    if (offset > target_.size() || bytes.size() > target_.size() - offset ||
        !std::equal(bytes.begin(), bytes.end(),
                    target_.begin() + static_cast<std::ptrdiff_t>(offset)))
      return fail(ErrorCode::kCorrupt, "target bytes from {} on differ", offset);
    return {};
  }
  Result<void> truncate(std::uint64_t) override {
    return fail(ErrorCode::kIo, "the applier truncates the target");
  }
  Result<void> sync() override { return {}; }

 private:
  const ByteSpan target_;
  const std::uint64_t size_;
};

class Proof {
 public:
  Proof(const File& output, PayloadHead head, const ProvedImage& base, const ProvedImage& target)
      : output_(output),
        head_(std::move(head)),
        base_source_(base.source),
        base_bytes_(base.bytes),
        base_(base_bytes_),
        target_source_(*target.source),
        target_(target.bytes) {}

  Result<void> run(unsigned threads, const std::stop_token& stop) {
    // First the two that take longest.
    share_out(std::size_t{2} + head_.chunk_count(), threads, [&](std::size_t part) {
      const Result<void> proved = prove(part);
      let_pages_go();
      if (!proved) note(part, proved.error());
      return proved.has_value() && !stop.stop_requested();
    });
    if (failure_) return fail(std::move(*failure_));
    return {};
  }

 private:
  Result<void> prove(std::size_t part) {
    if (part == 0)
      return base_source_ != nullptr ? check_base(head_, StoppableSource(*base_source_))
                                     : Result<void>();
    if (part == 1) return check_target(head_, StoppableSource(target_source_));
    const auto index = static_cast<std::uint32_t>(part - 2);
    const ChunkEntry& chunk = head_.chunk(index);
    std::unique_ptr<Applier> applier = TRY(take_applier());
    Bytes bytes(chunk.payload_bytes);
    TRY_VOID(read(chunk.payload_offset, bytes));
    ProofFile proof(target_, chunk.target_offset);
    TRY_VOID(applier->apply_chunk(index, bytes, proof));
    const std::lock_guard lock(mutex_);
    appliers_.push_back(std::move(applier));
    return {};
  }

  Result<std::unique_ptr<Applier>> take_applier() {
    {
      const std::lock_guard lock(mutex_);
      if (!appliers_.empty()) {
        std::unique_ptr<Applier> applier = std::move(appliers_.back());
        appliers_.pop_back();
        return applier;
      }
    }
    return std::make_unique<Applier>(
        TRY(Applier::open(head_, base_source_ != nullptr ? &base_ : nullptr)));
  }

  // One file, one thread at a time.
  Result<void> read(std::uint64_t offset, MutableByteSpan bytes) {
    const std::lock_guard lock(mutex_);
    return output_.read_at(offset, bytes);
  }

  void note(std::size_t part, const Error& error) {
    const std::lock_guard lock(mutex_);
    if (failure_ && failed_part_ < part) return;
    failed_part_ = part;
    failure_ = error;
  }

  const File& output_;
  const PayloadHead head_;
  const ReadAt* const base_source_;
  const SpanSource base_bytes_;
  const StoppableSource base_;
  const ReadAt& target_source_;
  const ByteSpan target_;
  std::mutex mutex_;  // guards the file, and what follows
  std::vector<std::unique_ptr<Applier>> appliers_;
  std::optional<Error> failure_;
  std::size_t failed_part_ = 0;
};

}  // namespace

Result<void> apply_and_compare(const File& output, const ProvedImage& base,
                               const ProvedImage& target, unsigned threads,
                               const std::stop_token& stop) {
  return Proof(output, TRY(read_head(output)), base, target).run(threads, stop);
}

}  // namespace layby::delta
