// Downloading an order's images: choosing payloads, fetching runs of chunks, applying each as it
// arrives, reading the whole back.
//
// A chunk counts once it is verified, applied and synced; then it is marked in the journal, and it
// is never fetched again. A chunk of a delta that came as it was sent and all the same does not
// make its bytes is taken from the whole image instead, and the delta goes on behind it. Memory:
// one chunk and what the applier needs, whatever the sizes.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "agent/data_budget.h"
#include "agent/journal.h"
#include "agent/layout.h"
#include "agent/transport.h"
#include "base/clock.h"
#include "base/disk.h"
#include "delta/applier.h"

namespace layby::agent {

// What became of one piece of work.
struct DownloadOutcome {
  enum class Kind {
    kMore,         // call again
    kFetch,        // payloads are chosen and there is room: Event::kFetch
    kComplete,     // every image is here and read back
    kLater,        // failed for now: after retry_seconds
    kNoSpace,      // as kLater; `error` names what is missing
    kGiveUp,       // for good: too much damage, too many bytes
    kRefuse,       // for good: the server does not have it, or it is nonsense
    kInterrupted,  // the host, or private mode, wants something else first
  } kind = Kind::kMore;
  std::optional<Error> error{};
  std::int64_t retry_seconds = 0;
};

// Whether what is fetched now counts against the month's data budget.
enum class Meter { kFree, kCounted };

class Downloads {
 public:
  // All must outlive it. `interrupted` is asked while bytes come in.
  Downloads(Disk& disk, Transport& transport, const Clock& clock, const Layout& layout,
            Journal& journal, const DataBudget& budget, std::function<bool()> interrupted);
  ~Downloads();

  // From now on payloads come from a package, and are chosen among those for which this holds: it
  // has not all of them. They cost nobody's data plan, so no budget counts or bounds them.
  void take_only(std::function<bool(const manifest::Payload&)> obtainable) {
    obtainable_ = std::move(obtainable);
  }

  // Called before a chunk is unpacked; may be empty.
  void before_unpacking(std::function<void()> hook) { before_unpacking_ = std::move(hook); }

  // One bounded piece of work for an order in kOffered: looks at what one slot holds, chooses the
  // payload for it; in the end checks the room and answers kFetch or kComplete.
  // While it may not come yet no room is taken for it.
  enum class Fetching { kMayBegin, kNotYet };
  DownloadOutcome prepare(OrderRecord& order, Fetching fetching);
  // One bounded piece of work for an order in kDownloading: a head, a run of chunks, or the
  // reading back of one image. Counted, it fetches no more than the budget has left, rounded up to
  // one head or chunk.
  DownloadOutcome step(OrderRecord& order, Meter meter);
  // The order cannot go on without bytes from the server.
  static bool needs_bytes(const OrderRecord& order);
  // Deletes what an order left in the inbox, and forgets what is open. What a sick medium does not
  // let go of is Installer::sweep's at the next start.
  void discard(const OrderRecord& order);

 private:
  struct Open;
  struct Run;
  struct Begun;
  struct Whole;
  bool is_from_package() const { return static_cast<bool>(obtainable_); }
  DownloadOutcome decide(OrderRecord& order, std::size_t index);
  DownloadOutcome check_room(OrderRecord& order);
  // `bytes` of a payload, no more and no less; counted. Anything but kMore: they did not come.
  DownloadOutcome fetch_piece(OrderRecord& order, const manifest::Payload& payload, ByteRange range,
                              Meter meter, Bytes& bytes);
  DownloadOutcome read_head(OrderRecord& order, const ImageProgress& image,
                            const manifest::Payload& payload, ByteSpan bytes,
                            std::optional<delta::PayloadHead>& head);
  DownloadOutcome fetch_head(OrderRecord& order, std::size_t index, Meter meter);
  const manifest::Payload* whole_of(const ImageProgress& image) const;
  DownloadOutcome mark_broken(OrderRecord& order, Run& run, const Error& error);
  DownloadOutcome fetch_whole_head(OrderRecord& order, std::size_t index, Meter meter);
  DownloadOutcome fetch_whole_chunk(OrderRecord& order, std::size_t index, Meter meter);
  DownloadOutcome end_whole(OrderRecord& order, std::size_t index);
  DownloadOutcome fetch_run(OrderRecord& order, std::size_t index, Meter meter);
  Result<void> count(OrderRecord& order, std::uint64_t bytes, Meter meter);
  Result<void> count_chunk(OrderRecord& order, Run& run);
  void give_back(OrderRecord& order, std::uint64_t bytes, Meter meter);
  DownloadOutcome read_back(OrderRecord& order, std::size_t index);
  Result<void> reserve_room(const OrderRecord& order, std::uint64_t unpacked_bytes);
  Result<void> remove_staging(const OrderRecord& order, std::size_t index);
  Result<void> start_staging(const OrderRecord& order, std::size_t index);
  Result<void> open_image(OrderRecord& order, std::size_t index);
  static Result<void> check_staged(const Open& open, const ImageProgress& image);
  Result<void> skip_chunks_on_disk(ImageProgress& image);
  void keep_begun(const OrderRecord& order, std::size_t index, Run& run);
  Bytes take_begun(const OrderRecord& order, std::size_t index, std::uint32_t chunk);
  DownloadOutcome end_run(OrderRecord& order, std::size_t index, Run& run,
                          const Result<HttpResponse>& response, std::uint64_t received);
  Result<void> take_bytes(OrderRecord& order, Run& run, ByteSpan bytes);
  Result<void> take_chunk(OrderRecord& order, Run& run);
  DownloadOutcome judge(OrderRecord& order, const Result<HttpResponse>& response, int wanted);
  DownloadOutcome damaged(OrderRecord& order, const Error& error);
  DownloadOutcome not_opened(OrderRecord& order, ImageProgress& image, const Error& error);
  DownloadOutcome unreadable(OrderRecord& order, ImageProgress& image, const Error& error);
  DownloadOutcome later(OrderRecord& order, const Error& error);
  DownloadOutcome no_room_or_later(OrderRecord& order, const Error& error);

  Disk& disk_;
  Transport& transport_;
  const Clock& clock_;
  const Layout& layout_;
  Journal& journal_;
  const DataBudget& budget_;
  std::function<bool()> interrupted_;
  std::function<bool(const manifest::Payload&)> obtainable_;  // empty: all of them
  std::function<void()> before_unpacking_;
  std::unique_ptr<Open> open_;
  std::unique_ptr<Begun> begun_;
  std::unique_ptr<Whole> whole_;
};

// Seconds until the n-th try in a row (from 1), with jitter: exponential, bounded.
std::int64_t backoff_seconds(std::uint32_t failures_in_row);

// The bytes that a slot holds now, as its image: a file, or a region's archive as a view.
Result<std::unique_ptr<ReadAt>> open_slot(Disk& disk, const Layout& layout,
                                          const manifest::Slot& slot, const SlotRecord& held);

}  // namespace layby::agent
