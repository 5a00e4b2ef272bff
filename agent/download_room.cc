// Downloads: the room on the disk. All that an order needs is checked and taken before its first
// byte: the images where they will be made, and what maps need to be unpacked beside the live ones.
#include <algorithm>

#include "agent/download.h"
#include "agent/software_slot.h"
#include "base/limits.h"

namespace layby::agent {
namespace {

using Kind = DownloadOutcome::Kind;
using manifest::ImageKind;

// What an order may cost in bytes: its payloads twice, and a little for heads and broken chunks.
constexpr std::uint64_t kBudgetFactor = 2;
constexpr std::uint64_t kBudgetExtraBytes = 16 * kMiB;

// Left free for heads, the journal, reports and metadata.
constexpr std::uint64_t kRoomReserveBytes = 16 * kMiB;

struct Needs {
  std::uint64_t images = 0;    // where they are made
  std::uint64_t unpacked = 0;  // all regions lie unpacked before the inbox is emptied
  std::uint64_t payloads = 0;
};

Needs needs_of(const OrderRecord& order) {
  Needs needs;
  for (const ImageProgress& image : order.images) {
    if (image.complete) continue;
    needs.payloads += image.payload()->length;
    needs.images += image.length;
    if (image.slot.kind() == ImageKind::kMap) needs.unpacked += image.length;
  }
  return needs;
}

Result<void> reserve(File& file, std::uint64_t bytes) {
  auto reserved = file.reserve(bytes);
  // Where the file system cannot promise it, it was at least free a moment ago.
  if (!reserved && reserved.error().code() == ErrorCode::kUnsupported) return {};
  return reserved;
}

// What an owner or a partner could give up: other updates that wait here, and functions that are
// off.
std::string what_may_go(const Record& record, const OrderRecord& order) {
  std::string text;
  for (const OrderRecord& other : record.orders) {
    if (other.id == order.id || is_final(other.state) || is_past_no_return(other.state)) continue;
    std::uint64_t bytes = 0;
    for (const ImageProgress& image : other.images)
      if (image.slot.kind() != ImageKind::kSoftware && image.chunk_count > 0) bytes += image.length;
    if (bytes > 0) text += fmt::format("; cancelling {} frees {}", other.id.text(), bytes);
  }
  for (const auto& [id, function] : record.functions) {
    const auto slot = record.slots.find(manifest::Slot::function(id));
    if (!function.on && slot != record.slots.end())
      text += fmt::format("; {} is off and takes {}", id.text(), slot->second.length);
  }
  return text;
}

}  // namespace

DownloadOutcome Downloads::check_room(OrderRecord& order) {
  // What an earlier try took, and the spare slot, which is written anew.
  discard(order);
  Result<void> cleared;
  for (std::size_t i = 0; i < order.images.size() && cleared; ++i)
    if (!order.images[i].complete) cleared = remove_staging(order, i);
  if (!cleared) return later(order, cleared.error());
  Needs needs = needs_of(order);
  for (std::size_t i = 0; i < order.images.size(); ++i) {
    const ImageProgress& image = order.images[i];
    if (image.complete || image.slot.kind() != ImageKind::kSoftware) continue;
    const std::string path = layout_.staging(order, i, journal_.record());
    const auto device = device_bytes(disk_, path);
    if (!device) continue;
    if (*device < image.length)
      return {.kind = Kind::kRefuse,
              .error = Error(ErrorCode::kNotEnoughSpace,
                             fmt::format("the slot {} has {} bytes, {} are needed", path, *device,
                                         image.length))};
    needs.images -= image.length;  // a device has its room
  }
  const std::uint64_t needed = needs.images + needs.unpacked + kRoomReserveBytes;
  const auto free = disk_.free_bytes(layout_.directory());
  if (!free) return later(order, free.error());
  if (*free < needed)
    return no_room_or_later(
        order, Error(ErrorCode::kNotEnoughSpace,
                     fmt::format("{} bytes are needed in {}, {} are free, {} are missing{}", needed,
                                 layout_.directory(), *free, needed - *free,
                                 what_may_go(journal_.record(), order))));
  if (const auto reserved = reserve_room(order, needs.unpacked); !reserved) {
    discard(order);
    return no_room_or_later(order, reserved.error());
  }
  if (order.bytes_budget == 0)
    order.bytes_budget = kBudgetFactor * needs.payloads + kBudgetExtraBytes;
  return {.kind = Kind::kFetch};
}

Result<void> Downloads::reserve_room(const OrderRecord& order, std::uint64_t unpacked_bytes) {
  TRY_VOID(disk_.make_dirs(layout_.inbox()));
  for (std::size_t i = 0; i < order.images.size(); ++i)
    if (!order.images[i].complete) TRY_VOID(start_staging(order, i));
  if (unpacked_bytes == 0) return {};
  const auto room = TRY(disk_.open_write(layout_.room(order)));
  return reserve(*room, unpacked_bytes);
}

// A file that the medium does not give back any more is left behind, too.
Result<void> Downloads::remove_staging(const OrderRecord& order, std::size_t index) {
  const std::string path = layout_.staging(order, index, journal_.record());
  const auto old = disk_.status(path);
  if (!old || old->kind != FileStatus::Kind::kFile) return {};
  return disk_.remove(path);
}

// An empty file with its room, whose name survives a power cut as the marks do that will refer to
// it: whatever lay in its place before must not look like progress.
Result<void> Downloads::start_staging(const OrderRecord& order, std::size_t index) {
  const std::string path = layout_.staging(order, index, journal_.record());
  const auto old = disk_.status(path);
  if (!old || old->size > 0) TRY_VOID(remove_staging(order, index));
  const auto target = TRY(disk_.open_write(path));
  if (target->size() > 0) TRY_VOID(target->truncate(0));
  TRY_VOID(reserve(*target, order.images[index].length));
  TRY_VOID(target->sync());
  return disk_.sync_dir(parent_dir(path));
}

DownloadOutcome Downloads::no_room_or_later(OrderRecord& order, const Error& error) {
  DownloadOutcome outcome = later(order, error);
  if (error.code() == ErrorCode::kDiskFull || error.code() == ErrorCode::kNotEnoughSpace)
    outcome.kind = Kind::kNoSpace;
  return outcome;
}

}  // namespace layby::agent
