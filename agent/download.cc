#include "agent/download.h"

#include <algorithm>

#include "agent/download_parts.h"
#include "agent/re_encoders.h"
#include "agent/software_slot.h"
#include "base/assert.h"
#include "base/limits.h"
#include "crypto/random.h"
#include "manifest/region_image.h"

namespace layby::agent {
namespace {

using Kind = DownloadOutcome::Kind;

// A run of chunks in one request: as much as comes in about this time, within these bounds. A run
// is the longest that the agent does not look at anything else but private mode and its host's
// wish.
constexpr std::uint64_t kRunSeconds = 10;
constexpr std::uint64_t kRunBytesMin = 1 * kMiB;
constexpr std::uint64_t kRunBytesMax = 32 * kMiB;
constexpr std::int64_t kRunDeadlineMs = 15 * 60 * 1000;
// Of whatever is fetched of a payload, over this window: who drips must not hold the agent, which
// looks at nothing else meanwhile, until the deadline.
constexpr std::uint64_t kPayloadBytesPerSecondMin = 256;
constexpr int kPayloadRateWindowSeconds = 60;
constexpr std::int64_t kPieceDeadlineMs = 15 * 60 * 1000;
// A run that brought so much before it broke off is gone on with at once: a link that is cut every
// few seconds costs its connections and no pauses. The order's byte budget bounds how often.
constexpr std::uint64_t kProgressBytesMin = 16 * kKiB;

// Damaged chunks or images of one order before it fails; there is a backoff between them.
constexpr std::uint32_t kDamagesMax = 16;

// A medium that does not read or write a file: so often in a row it is tried again, then the file
// is made anew.
constexpr std::uint32_t kMediumFailuresMax = 3;

constexpr std::int64_t kBackoffFirstSeconds = 2;
constexpr std::int64_t kBackoffSecondsMax = 15 * 60;
constexpr std::int64_t kRetryAfterSecondsMax = kDaySeconds;

bool is_final(int status) {
  return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

// What an exchange has cost of the `asked` bytes: also an answer that nobody can use, or that broke
// off, came over the air.
std::uint64_t cost_of(const Result<HttpResponse>& response, std::uint64_t body_bytes,
                      std::uint64_t asked) {
  if (!response && response.error().code() == ErrorCode::kEndlessData) return asked;
  return std::min(asked, body_bytes);
}

std::string payload_path(const manifest::Payload& payload) {
  return "/v1/payloads/" + to_hex(payload.sha256);
}

DownloadOutcome budget_spent(const OrderRecord& order, const manifest::Payload& payload) {
  return {
      .kind = Kind::kGiveUp,
      .error = Error(ErrorCode::kByteBudgetSpent,
                     fmt::format("{}: {} bytes were received for this order, no more than {} "
                                 "are allowed",
                                 payload_text(payload), order.bytes_received, order.bytes_budget))};
}

}  // namespace

std::int64_t backoff_seconds(std::uint32_t failures_in_row) {
  const int doublings = static_cast<int>(std::clamp<std::uint32_t>(failures_in_row, 1, 12)) - 1;
  const std::int64_t full = std::min(kBackoffSecondsMax, kBackoffFirstSeconds << doublings);
  const std::uint32_t random = load_u32(crypto::random_bytes(4).data());
  return full / 2 + static_cast<std::int64_t>(random % static_cast<std::uint32_t>(full / 2 + 1));
}

Result<std::unique_ptr<ReadAt>> open_slot(Disk& disk, const Layout& layout,
                                          const manifest::Slot& slot, const SlotRecord& held) {
  const std::string path = layout.absolute(held.path);
  if (slot.kind() == manifest::ImageKind::kSoftware) return open_software(disk, path, held.length);
  if (slot.kind() == manifest::ImageKind::kFunction) return disk.open_read(path);
  return std::unique_ptr<ReadAt>(TRY(manifest::RegionImage::open(disk, path)));
}

Downloads::Downloads(Disk& disk, Transport& transport, const Clock& clock, const Layout& layout,
                     Journal& journal, const DataBudget& budget, std::function<bool()> interrupted)
    : disk_(disk),
      transport_(transport),
      clock_(clock),
      layout_(layout),
      journal_(journal),
      budget_(budget),
      interrupted_(std::move(interrupted)) {}

Downloads::~Downloads() = default;

// ---- what to fetch ------------------------------------------------------------------------------

DownloadOutcome Downloads::prepare(OrderRecord& order, Fetching fetching) {
  for (std::size_t i = 0; i < order.images.size(); ++i)
    if (!order.images[i].chosen && !order.images[i].complete) return decide(order, i);
  const bool nothing_to_get = std::all_of(order.images.begin(), order.images.end(),
                                          [](const auto& image) { return image.complete; });
  if (nothing_to_get) return {.kind = Kind::kComplete};
  return fetching == Fetching::kNotYet ? DownloadOutcome{.kind = Kind::kFetch} : check_room(order);
}

DownloadOutcome Downloads::decide(OrderRecord& order, std::size_t index) {
  ImageProgress& image = order.images[index];
  // What the slot holds is read from the medium, not believed from the record: a wrong base is
  // noticed before the first byte.
  std::optional<crypto::Digest256> held;
  const auto slot = journal_.record().slots.find(image.slot);
  if (slot != journal_.record().slots.end()) {
    const auto content = open_slot(disk_, layout_, image.slot, slot->second);
    if (content) {
      const auto digests = crypto::hash_all(**content, crypto::Hasher::With::kSha256);
      if (digests) held = digests->sha256;
    }
  }
  if (held && *held == image.sha256) {
    image.complete = true;
  } else {
    const auto& payloads = image.payloads;
    const manifest::ReEncoders available = available_re_encoders();
    const auto fits = [&](const manifest::Payload& payload,
                          const std::optional<crypto::Digest256>& base) {
      return payload.base == base && manifest::covers(available, payload.needs) &&
             (!obtainable_ || obtainable_(payload));
    };
    auto found = std::find_if(payloads.begin(), payloads.end(),
                              [&](const auto& p) { return held && fits(p, held); });
    if (found == payloads.end())
      found = std::find_if(payloads.begin(), payloads.end(),
                           [&](const auto& p) { return fits(p, std::nullopt); });
    if (found == payloads.end())
      return later(order, Error(ErrorCode::kWrongBase,
                                fmt::format("{}: there is no payload for what the slot {} "
                                            "holds, and no whole image",
                                            image.name.text(), image.slot.text())));
    image.chosen = static_cast<std::size_t>(found - payloads.begin());
  }
  if (const auto saved = journal_.save(); !saved) return later(order, saved.error());
  return {};
}

bool Downloads::needs_bytes(const OrderRecord& order) {
  return std::any_of(order.images.begin(), order.images.end(), [](const ImageProgress& image) {
    const bool has_all = image.chunk_count > 0 && image.chunks_done == image.chunk_count;
    return !image.complete && !has_all;
  });
}

// ---- fetching -----------------------------------------------------------------------------------

DownloadOutcome Downloads::step(OrderRecord& order, Meter meter) {
  for (std::size_t i = 0; i < order.images.size(); ++i) {
    const ImageProgress& image = order.images[i];
    if (image.complete) continue;
    if (!image.chosen) return decide(order, i);
    if (image.chunk_count == 0) return fetch_head(order, i, meter);
    if (image.broken_chunk) return fetch_whole_chunk(order, i, meter);
    if (image.chunks_done < image.chunk_count) return fetch_run(order, i, meter);
    return read_back(order, i);
  }
  return {.kind = Kind::kComplete};
}

// Counted before it comes: a car that dies in every download must not do so for ever, nor at the
// owner's cost. A chunk at a time, with the mark of the one before: a power cut costs one.
Result<void> Downloads::count_chunk(OrderRecord& order, Run& run) {
  const std::uint64_t bytes = open_->applier->head().chunk(run.next).payload_bytes;
  TRY_VOID(count(order, bytes, run.meter));
  run.counted += bytes;
  return {};
}

Result<void> Downloads::count(OrderRecord& order, std::uint64_t bytes, Meter meter) {
  if (!is_from_package()) order.bytes_received += bytes;
  if (meter == Meter::kCounted) budget_.count(journal_.record(), bytes);
  const auto saved = journal_.save();
  if (!saved) give_back(order, bytes, meter);  // nothing is asked for on a count that may be lost
  return saved;
}

void Downloads::give_back(OrderRecord& order, std::uint64_t bytes, Meter meter) {
  if (!is_from_package()) order.bytes_received -= bytes;
  if (meter == Meter::kCounted) DataBudget::give_back(journal_.record(), bytes);
}

DownloadOutcome Downloads::fetch_piece(OrderRecord& order, const manifest::Payload& payload,
                                       ByteRange range, Meter meter, Bytes& bytes) {
  if (!is_from_package() && order.bytes_received + range.length > order.bytes_budget)
    return budget_spent(order, payload);
  if (const auto counted = count(order, range.length, meter); !counted)
    return later(order, counted.error());
  bytes.clear();
  std::uint64_t body_bytes = 0;
  const auto response = transport_.exchange({.path = payload_path(payload),
                                             .range = range,
                                             .bytes_max = range.length,
                                             .deadline_ms = kPieceDeadlineMs,
                                             .bytes_per_second_min = kPayloadBytesPerSecondMin,
                                             .rate_window_seconds = kPayloadRateWindowSeconds,
                                             .body_bytes = &body_bytes},
                                            [&](ByteSpan part) -> Result<void> {
                                              bytes.insert(bytes.end(), part.begin(), part.end());
                                              return {};
                                            });
  give_back(order, range.length - cost_of(response, body_bytes, range.length), meter);
  return judge(order, response, 206);
}

// Only one that says the same as the metadata that names it.
DownloadOutcome Downloads::read_head(OrderRecord& order, const ImageProgress& image,
                                     const manifest::Payload& payload, ByteSpan bytes,
                                     std::optional<delta::PayloadHead>& head) {
  const std::string what = payload_text(payload);
  if (crypto::sha256(bytes) != payload.head_sha256)
    return damaged(order, Error(ErrorCode::kWrongChunk, what + ": its head has another digest"));
  auto parsed = delta::parse_head(bytes);
  if (!parsed) return damaged(order, parsed.error().with_context(what));
  const bool fits = parsed->target_sha256() == image.sha256 &&
                    parsed->target_bytes() == image.length &&
                    parsed->payload_bytes() == payload.length &&
                    parsed->base().has_value() == payload.base.has_value() &&
                    (!payload.base || parsed->base()->sha256 == *payload.base);
  if (!fits)
    return {.kind = Kind::kRefuse,
            .error = Error(ErrorCode::kBadPayload,
                           what + ": its head says other than the metadata that names it")};
  head.emplace(std::move(*parsed));
  return {};
}

DownloadOutcome Downloads::fetch_head(OrderRecord& order, std::size_t index, Meter meter) {
  ImageProgress& image = order.images[index];
  const manifest::Payload& payload = *image.payload();
  if (payload.head_length > kPayloadHeadBytesMax || payload.head_length == 0)
    return {.kind = Kind::kRefuse,
            .error = Error(ErrorCode::kTooLarge,
                           payload_text(payload) + ": its head has an impossible length")};
  Bytes bytes;
  DownloadOutcome outcome = fetch_piece(order, payload, {0, payload.head_length}, meter, bytes);
  if (outcome.kind != Kind::kMore) return outcome;
  std::optional<delta::PayloadHead> head;
  outcome = read_head(order, image, payload, bytes, head);
  if (outcome.kind != Kind::kMore) return outcome;
  auto stored = replace_file(disk_, layout_.head(order, index), bytes);
  if (stored) stored = start_staging(order, index);
  if (!stored) return no_room_or_later(order, stored.error());
  image.chunk_count = head->chunk_count();
  image.chunks_done = 0;
  image.bytes_done = payload.head_length;
  order.failures_in_row = 0;
  if (const auto saved = journal_.save(); !saved) return later(order, saved.error());
  return {};
}

Result<void> Downloads::open_image(OrderRecord& order, std::size_t index) {
  ImageProgress& image = order.images[index];
  const manifest::Payload& payload = *image.payload();
  if (open_ && open_->order == order.id && open_->index == index &&
      open_->payload == payload.sha256)
    return {};
  open_.reset();
  const Bytes head = TRY(read_file(disk_, layout_.head(order, index), kPayloadHeadBytesMax));
  if (crypto::sha256(head) != payload.head_sha256)
    return fail(ErrorCode::kCorrupt, "{} does not have its digest any more",
                layout_.head(order, index));
  auto open =
      std::make_unique<Open>(Open{order.id, index, payload.sha256, nullptr, nullptr, std::nullopt});
  if (payload.base) {
    const auto slot = journal_.record().slots.find(image.slot);
    if (slot == journal_.record().slots.end())
      return fail(ErrorCode::kWrongBase, "the slot {} is empty now", image.slot.text());
    open->base = TRY(open_slot(disk_, layout_, image.slot, slot->second));
  }
  open->target = TRY(disk_.open_write(layout_.staging(order, index, journal_.record())));
  open->applier.emplace(TRY(delta::Applier::open(TRY(delta::parse_head(head)), open->base.get())));
  TRY_VOID(check_staged(*open, image));
  open_ = std::move(open);
  return skip_chunks_on_disk(image);
}

// A file system that was repaired may have lost what the marks speak of. The contents are read back
// when all chunks are there; here only what would keep the next chunk from ever being made.
Result<void> Downloads::check_staged(const Open& open, const ImageProgress& image) {
  if (image.chunks_done == 0) return {};
  const delta::ChunkEntry& last = open.applier->head().chunk(image.chunks_done - 1);
  if (open.target->size() >= last.target_offset + last.target_bytes) return {};
  return fail(ErrorCode::kCorrupt, "{}: {} bytes are left of what {} chunks made",
              image.name.text(), open.target->size(), image.chunks_done);
}

// A power cut between sync and mark: the chunk is there and need not come again.
Result<void> Downloads::skip_chunks_on_disk(ImageProgress& image) {
  const delta::PayloadHead& head = open_->applier->head();
  bool found = false;
  while (image.chunks_done < image.chunk_count &&
         delta::check_chunk(head, image.chunks_done, *open_->target)) {
    image.bytes_done += head.chunk(image.chunks_done).payload_bytes;
    ++image.chunks_done;
    found = true;
  }
  if (!found) return {};
  TRY_VOID(open_->target->sync());
  return journal_.save();
}

DownloadOutcome Downloads::not_opened(OrderRecord& order, ImageProgress& image,
                                      const Error& error) {
  // Head or base are not what they were: decide anew what to fetch.
  open_.reset();
  if (error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kWrongBase ||
      error.code() == ErrorCode::kNotFound) {
    image.forget();
    return damaged(order, error);
  }
  return unreadable(order, image, error);
}

DownloadOutcome Downloads::fetch_run(OrderRecord& order, std::size_t index, Meter meter) {
  ImageProgress& image = order.images[index];
  const manifest::Payload& payload = *image.payload();
  if (const auto opened = open_image(order, index); !opened)
    return not_opened(order, image, opened.error());
  if (image.chunks_done == image.chunk_count) return {};

  const delta::PayloadHead& head = open_->applier->head();
  std::uint64_t wanted =
      std::clamp(order.bytes_per_second * kRunSeconds, kRunBytesMin, kRunBytesMax);
  if (meter == Meter::kCounted) wanted = std::min(wanted, budget_.left(journal_.record()));
  Run run{.image = image,
          .what = payload_text(payload),
          .meter = meter,
          .next = image.chunks_done,
          .end = image.chunks_done};
  run.buffer = take_begun(order, index, run.next);
  run.buffer.reserve(head.largest_chunk_payload_bytes());
  const std::uint64_t have = run.buffer.size();
  std::uint64_t run_bytes = 0;
  while (run.end < image.chunk_count &&
         (run_bytes == 0 || run_bytes + head.chunk(run.end).payload_bytes <= wanted))
    run_bytes += head.chunk(run.end++).payload_bytes;
  if (!is_from_package() && order.bytes_received + run_bytes - have > order.bytes_budget)
    return budget_spent(order, payload);
  if (const auto counted = count_chunk(order, run); !counted) {
    keep_begun(order, index, run);
    return later(order, counted.error());
  }

  const std::int64_t started_ms = clock_.monotonic_ms();
  std::uint64_t received = 0, body_bytes = 0;
  const auto response = transport_.exchange(
      {.path = payload_path(payload),
       .range = ByteRange{head.chunk(run.next).payload_offset + have, run_bytes - have},
       .bytes_max = run_bytes - have,
       .deadline_ms = kRunDeadlineMs,
       .bytes_per_second_min = kPayloadBytesPerSecondMin,
       .rate_window_seconds = kPayloadRateWindowSeconds,
       .body_bytes = &body_bytes},
      [&](ByteSpan bytes) {
        received += bytes.size();
        return take_bytes(order, run, bytes);
      });
  const std::uint64_t cost = cost_of(response, body_bytes, run_bytes - have);
  give_back(order, run.counted - std::min(run.counted, cost), meter);
  const std::uint64_t elapsed_ms =
      static_cast<std::uint64_t>(std::max<std::int64_t>(1, clock_.monotonic_ms() - started_ms));
  if (received > 0)
    order.bytes_per_second = (order.bytes_per_second + 3 * (received * 1000 / elapsed_ms)) / 4;
  return end_run(order, index, run, response, received);
}

DownloadOutcome Downloads::end_run(OrderRecord& order, std::size_t index, Run& run,
                                   const Result<HttpResponse>& response, std::uint64_t received) {
  ImageProgress& image = run.image;
  if (!response && response.error().code() == ErrorCode::kIo) {
    open_.reset();
    return unreadable(order, image, response.error());
  }
  if (!response && response.error().code() == ErrorCode::kBadPayload && whole_of(image) != nullptr)
    return mark_broken(order, run, response.error());
  // A whole chunk that could not be written has another story.
  const bool is_broken_off =
      run.next < run.end && (!response || response->status == 206) &&
      run.buffer.size() < open_->applier->head().chunk(run.next).payload_bytes;
  DownloadOutcome outcome = judge(order, response, 206);
  if (outcome.kind != Kind::kMore) open_.reset();
  // After damage nothing of it is believed; what a network or the host broke off goes on.
  if (is_broken_off && outcome.kind != Kind::kGiveUp && (response || !is_damage(response.error())))
    keep_begun(order, index, run);
  // A link that breaks is no news; one that only drips is (slow retrieval).
  const bool is_link = !response && response.error().code() == ErrorCode::kUnavailable;
  if (is_broken_off && is_link && outcome.kind == Kind::kLater && received >= kProgressBytesMin) {
    order.failures_in_row = 0;  // nothing to report: it goes on with the next step
    return {};
  }
  if (outcome.kind != Kind::kMore) return outcome;
  if (run.next != run.end)
    return later(order, Error(ErrorCode::kUnavailable, run.what + ": the answer was too short"));
  return {};
}

void Downloads::keep_begun(const OrderRecord& order, std::size_t index, Run& run) {
  begun_ = std::make_unique<Begun>(
      Begun{order.id, index, run.image.payload()->sha256, run.next, std::move(run.buffer)});
}

// The bytes of this chunk that came before the connection broke off: they are not fetched again.
Bytes Downloads::take_begun(const OrderRecord& order, std::size_t index, std::uint32_t chunk) {
  const std::unique_ptr<Begun> begun = std::move(begun_);
  const bool is_its = begun && begun->order == order.id && begun->index == index &&
                      begun->payload == order.images[index].payload()->sha256 &&
                      begun->chunk == chunk &&
                      begun->bytes.size() < open_->applier->head().chunk(chunk).payload_bytes;
  return is_its ? std::move(begun->bytes) : Bytes{};
}

Result<void> Downloads::take_bytes(OrderRecord& order, Run& run, ByteSpan bytes) {
  while (!bytes.empty()) {
    if (run.next == run.end)
      return fail(ErrorCode::kEndlessData, "{}: more bytes than were asked for", run.what);
    const std::size_t size = open_->applier->head().chunk(run.next).payload_bytes;
    const std::size_t count = std::min(bytes.size(), size - run.buffer.size());
    run.buffer.insert(run.buffer.end(), bytes.begin(), bytes.begin() + static_cast<long>(count));
    bytes = bytes.subspan(count);
    if (run.buffer.size() == size) TRY_VOID(take_chunk(order, run));
  }
  // Private mode, a border or a call does not wait for the end of a chunk (P2.2, P2.3).
  if (run.next < run.end && interrupted_ && interrupted_())
    return fail(ErrorCode::kCancelled, "{}: interrupted", run.what);
  return {};
}

Result<void> Downloads::take_chunk(OrderRecord& order, Run& run) {
  const std::string what =
      fmt::format("{}, chunk {} of {}", run.what, run.next, run.image.chunk_count);
  if (before_unpacking_) before_unpacking_();
  const auto applied = open_->applier->apply_chunk(run.next, run.buffer, *open_->target);
  if (!applied) return fail(applied.error().with_context(what));
  TRY_VOID(open_->target->sync());  // data first, then the mark
  run.image.bytes_done += run.buffer.size();
  run.image.chunks_done = ++run.next;
  run.buffer.clear();
  order.failures_in_row = 0;
  order.error.reset();
  return run.next == run.end ? journal_.save() : count_chunk(order, run);
}

DownloadOutcome Downloads::read_back(OrderRecord& order, std::size_t index) {
  ImageProgress& image = order.images[index];
  open_.reset();
  const std::string path = layout_.staging(order, index, journal_.record());
  const auto file = image.slot.kind() == manifest::ImageKind::kSoftware
                        ? open_software(disk_, path, image.length)
                        : disk_.open_read(path);
  if (!file) return unreadable(order, image, file.error());
  const auto digests = crypto::hash_all(**file, crypto::Hasher::With::kSha256);
  if (!digests) return unreadable(order, image, digests.error());
  if (digests->sha256 != image.sha256 || digests->length != image.length) {
    image.forget();
    return damaged(order, Error(ErrorCode::kWrongImage,
                                fmt::format("{}: what was written to {} does not have the signed "
                                            "digest and length",
                                            image.name.text(), path)));
  }
  image.complete = true;
  if (const auto saved = journal_.save(); !saved) {
    image.complete = false;
    return later(order, saved.error());
  }
  return {};
}

// ---- what went wrong ----------------------------------------------------------------------------

DownloadOutcome Downloads::judge(OrderRecord& order, const Result<HttpResponse>& response,
                                 int wanted) {
  if (!response) {
    const Error& error = response.error();
    if (is_damage(error)) return damaged(order, error);
    switch (error.code()) {
      case ErrorCode::kCancelled:
      case ErrorCode::kPrivateMode: return {.kind = Kind::kInterrupted, .error = error};
      default: return no_room_or_later(order, error);
    }
  }
  if (response->status == wanted) return {};
  const Error error(
      ErrorCode::kUnavailable,
      fmt::format("the server answered {} to a request for a payload", response->status));
  if (is_final(response->status))
    return {.kind = Kind::kRefuse, .error = Error(ErrorCode::kNotFound, error.message())};
  DownloadOutcome outcome = later(order, error);
  if (const auto wish = response->retry_after_seconds())
    outcome.retry_seconds = std::clamp(*wish, outcome.retry_seconds, kRetryAfterSecondsMax);
  return outcome;
}

DownloadOutcome Downloads::damaged(OrderRecord& order, const Error& error) {
  open_.reset();
  begun_.reset();
  whole_.reset();
  ++order.damages;
  if (error.code() != ErrorCode::kIo) note_attack(journal_.record(), error);  // no medium attacks
  if (order.damages >= kDamagesMax) return {.kind = Kind::kGiveUp, .error = error};
  return later(order, error);
}

DownloadOutcome Downloads::unreadable(OrderRecord& order, ImageProgress& image,
                                      const Error& error) {
  if (order.failures_in_row + 1 < kMediumFailuresMax) return later(order, error);
  image.forget();
  DownloadOutcome outcome = damaged(order, error);
  order.failures_in_row = 0;
  return outcome;
}

DownloadOutcome Downloads::later(OrderRecord& order, const Error& error) {
  ++order.failures_in_row;
  return {.kind = Kind::kLater,
          .error = error,
          .retry_seconds = backoff_seconds(order.failures_in_row)};
}

void Downloads::discard(const OrderRecord& order) {
  if (open_ && open_->order == order.id) open_.reset();
  if (begun_ && begun_->order == order.id) begun_.reset();
  whole_.reset();
  const auto names = disk_.list(layout_.inbox());
  if (!names) return;  // no inbox, nothing to discard
  for (const std::string& name : *names)
    if (name.starts_with(order.id.text() + "."))
      static_cast<void>(disk_.remove(layout_.inbox() + "/" + name));
}

}  // namespace layby::agent
