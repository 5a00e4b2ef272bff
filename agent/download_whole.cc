// Downloads: a chunk of a delta that came as it was sent and all the same does not make its bytes.
// They are taken from the whole image, chunk by chunk until they are there, and the delta goes on
// behind them.
#include <algorithm>

#include "agent/download_parts.h"
#include "base/limits.h"

namespace layby::agent {
namespace {

using Kind = DownloadOutcome::Kind;

// What mends a broken chunk was in nobody's count when the order began: the budget grows by each
// piece that comes, and by no more than the image once. A piece that does not come is on the order.
class Allowance {
 public:
  Allowance(OrderRecord& order, ImageProgress& image, const manifest::Payload& whole,
            std::uint64_t bytes)
      : order_(order), image_(image), bytes_(image.whole_bytes + bytes > whole.length ? 0 : bytes) {
    image_.whole_bytes += bytes_;
    order_.bytes_budget += bytes_;
  }
  void take_back() {
    image_.whole_bytes -= bytes_;
    order_.bytes_budget -= bytes_;
  }

 private:
  OrderRecord& order_;
  ImageProgress& image_;
  std::uint64_t bytes_;
};

}  // namespace

// Other than the payload that is taken.
const manifest::Payload* Downloads::whole_of(const ImageProgress& image) const {
  const auto whole = std::find_if(
      image.payloads.begin(), image.payloads.end(), [&](const manifest::Payload& payload) {
        return !payload.base && &payload != image.payload() && payload.head_length > 0 &&
               payload.head_length <= kPayloadHeadBytesMax &&
               (!obtainable_ || obtainable_(payload));
      });
  return whole == image.payloads.end() ? nullptr : &*whole;
}

// The same bytes would make the same again: a re-encoder that is not what it says it is, or a
// medium that gives back other bytes of the base than were written.
DownloadOutcome Downloads::mark_broken(OrderRecord& order, Run& run, const Error& error) {
  open_.reset();
  begun_.reset();
  run.image.broken_chunk = run.next;
  order.error = recordable(error);
  note_attack(journal_.record(), error);
  if (const auto saved = journal_.save(); !saved) return later(order, saved.error());
  return {};
}

DownloadOutcome Downloads::fetch_whole_head(OrderRecord& order, std::size_t index, Meter meter) {
  ImageProgress& image = order.images[index];
  const auto stored = read_file(disk_, layout_.head(order, index), kPayloadHeadBytesMax);
  if (!stored) return not_opened(order, image, stored.error());
  std::optional<delta::PayloadHead> delta_head, head;
  DownloadOutcome outcome = read_head(order, image, *image.payload(), *stored, delta_head);
  if (outcome.kind != Kind::kMore) {
    image.forget();
    return outcome;
  }
  if (*image.broken_chunk >= delta_head->chunk_count()) {
    image.forget();
    return damaged(order, Error(ErrorCode::kCorrupt, image.name.text() + ": no such chunk"));
  }
  const delta::ChunkEntry& broken = delta_head->chunk(*image.broken_chunk);
  const manifest::Payload& payload = *whole_of(image);
  Allowance allowance(order, image, payload, payload.head_length);
  Bytes bytes;
  outcome = fetch_piece(order, payload, {0, payload.head_length}, meter, bytes);
  if (outcome.kind != Kind::kMore) {
    allowance.take_back();
    return outcome;
  }
  outcome = read_head(order, image, payload, bytes, head);
  if (outcome.kind != Kind::kMore) return outcome;
  std::uint32_t first = 0;
  while (first + 1 < head->chunk_count() &&
         head->chunk(first + 1).target_offset <= broken.target_offset)
    ++first;
  auto applier = delta::Applier::open(std::move(*head), nullptr);
  if (!applier) return damaged(order, applier.error());
  whole_ = std::make_unique<Whole>(Whole{order.id, index, payload.sha256, std::move(*applier),
                                         first, broken.target_offset + broken.target_bytes});
  return {};
}

// One chunk of the whole image; what it makes beyond the broken one is right as well.
DownloadOutcome Downloads::fetch_whole_chunk(OrderRecord& order, std::size_t index, Meter meter) {
  ImageProgress& image = order.images[index];
  const manifest::Payload* payload = whole_of(image);
  if (payload == nullptr) {
    image.forget();
    return damaged(order, Error(ErrorCode::kBadPayload,
                                image.name.text() + ": there is no whole image to mend it from"));
  }
  const bool is_begun = whole_ && whole_->order == order.id && whole_->index == index &&
                        whole_->payload == payload->sha256;
  if (!is_begun) return fetch_whole_head(order, index, meter);

  const delta::ChunkEntry& chunk = whole_->applier.head().chunk(whole_->next);
  Allowance allowance(order, image, *payload, chunk.payload_bytes);
  Bytes bytes;
  const DownloadOutcome outcome =
      fetch_piece(order, *payload, {chunk.payload_offset, chunk.payload_bytes}, meter, bytes);
  if (outcome.kind != Kind::kMore) {
    allowance.take_back();
    return outcome;
  }
  open_.reset();
  if (before_unpacking_) before_unpacking_();
  const auto made = [&]() -> Result<void> {
    const auto target = TRY(disk_.open_write(layout_.staging(order, index, journal_.record())));
    TRY_VOID(whole_->applier.apply_chunk(whole_->next, bytes, *target));
    return target->sync();
  }();
  if (!made && is_damage(made.error())) return damaged(order, made.error());
  if (!made && made.error().code() == ErrorCode::kIo) return unreadable(order, image, made.error());
  if (!made) return no_room_or_later(order, made.error());
  ++whole_->next;
  if (chunk.target_offset + chunk.target_bytes < whole_->end) return {};
  return end_whole(order, index);
}

// The head of the delta decides whether its chunk is there now.
DownloadOutcome Downloads::end_whole(OrderRecord& order, std::size_t index) {
  ImageProgress& image = order.images[index];
  const std::uint32_t broken = *image.broken_chunk;
  whole_.reset();
  image.broken_chunk.reset();
  if (const auto opened = open_image(order, index); !opened)
    return not_opened(order, image, opened.error());
  if (image.chunks_done > broken) {
    order.error.reset();
    order.failures_in_row = 0;
    return {};
  }
  image.forget();
  return damaged(order, Error(ErrorCode::kBadPayload,
                              fmt::format("{}: its chunk {} is another than the whole image's",
                                          image.name.text(), broken)));
}

}  // namespace layby::agent
