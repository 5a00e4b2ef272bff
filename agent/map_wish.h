// The car asks by itself for the map regions that matter to it: home, where it was lately if it
// says where it is, and what is installed (P3.2). Off unless the host switches it on. In private
// mode nothing is noted of where it is.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "agent/facts.h"
#include "agent/journal.h"
#include "agent/transport.h"
#include "base/clock.h"

namespace layby::agent {

struct MapPolicy {
  enum class Choice {
    kOwner,     // the owner looks for maps
    kAnnounce,  // the car looks, the head unit says what there is, the owner orders
    kAuto,      // the car looks and orders
  } choice = Choice::kOwner;
  std::optional<manifest::RegionId> home{};
};
std::optional<MapPolicy::Choice> map_choice_from(std::string_view name);  // owner, announce, auto

// Named in one request; the server takes the first three of which there is news (P3.1).
constexpr std::size_t kWishedRegionsMax = 16;
// What is remembered of where the car was, and how long.
constexpr std::size_t kVisitsMax = 16;
constexpr std::int64_t kVisitSecondsMax = 30 * kDaySeconds;

// A map order is on its way.
bool has_map_order(const Record& record);

class MapWish {
 public:
  // All must outlive it.
  MapWish(Transport& transport, const Clock& clock, Journal& journal, const MapPolicy& policy)
      : transport_(transport), clock_(clock), journal_(journal), policy_(policy) {}

  // Notes the region that the car says it is in; `now` in trusted time. Saves only what is news.
  Result<void> note(const Facts& facts, UnixSeconds now);

  // Home first, then the regions visited last, then the other installed ones.
  std::vector<manifest::RegionId> regions(UnixSeconds now) const;

  // It is time to ask: once a day, and at once for a new region, with no map order under way.
  bool is_due(UnixSeconds now) const;
  // When it will be time, by the wall clock; 0: not known.
  UnixSeconds next_due() const;
  // One request. An error is the journal's; what the server says, or that it is silent, decides
  // only when it is asked next.
  enum class Found { kNothing, kOrder, kAnnounced };
  Result<Found> ask(UnixSeconds now);

 private:
  Transport& transport_;
  const Clock& clock_;
  Journal& journal_;
  const MapPolicy& policy_;
};

}  // namespace layby::agent
