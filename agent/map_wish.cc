#include "agent/map_wish.h"

#include <algorithm>

#include "agent/region_list.h"
#include "base/limits.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

constexpr std::int64_t kAskSeconds = kDaySeconds;
constexpr std::int64_t kRetrySeconds = 15 * 60;
// A visit is noted again at most this often: a region is left seldom, a journal is flash.
constexpr std::int64_t kVisitStepSeconds = kDaySeconds;
constexpr std::uint64_t kAnswerBytesMax = 64 * kKiB;
constexpr std::int64_t kAskDeadlineMs = 60'000;

struct FoundMaps {
  std::optional<manifest::OrderId> order;     // that the server made
  std::vector<manifest::RegionId> regions{};  // of which there is news
};

Result<FoundMaps> read_answer(const std::string& body) {
  const manifest::Json json =
      TRY(manifest::parse_strict(as_bytes(body), {.bytes_max = kAnswerBytesMax}));
  FoundMaps found;
  if (manifest::find_field(json, "regions") != nullptr)
    found.regions = TRY(region_list_field(json, "regions", kWishedRegionsMax));
  if (manifest::find_field(json, "id") != nullptr)
    found.order = TRY(manifest::OrderId::parse(TRY(manifest::text_field(json, "id"))));
  return found;
}

}  // namespace

std::optional<MapPolicy::Choice> map_choice_from(std::string_view name) {
  if (name == "owner") return MapPolicy::Choice::kOwner;
  if (name == "announce") return MapPolicy::Choice::kAnnounce;
  if (name == "auto") return MapPolicy::Choice::kAuto;
  return std::nullopt;
}

bool has_map_order(const Record& record) {
  return std::any_of(record.orders.begin(), record.orders.end(), [](const OrderRecord& order) {
    return !is_final(order.state) && !order.images.empty() &&
           order.images.front().slot.kind() == manifest::ImageKind::kMap;
  });
}

Result<void> MapWish::note(const Facts& facts, UnixSeconds now) {
  if (policy_.choice == MapPolicy::Choice::kOwner || journal_.record().private_mode) return {};
  const auto said = facts.text(vss::kRegion, clock_.now() * 1000);
  const std::string* name = std::get_if<std::string>(&said);
  if (name == nullptr) return {};
  const auto region = manifest::RegionId::parse(*name);
  if (!region) return {};
  auto& visits = journal_.record().visits;
  const auto known = visits.find(*region);
  if (known != visits.end() && now < known->second + kVisitStepSeconds) return {};
  if (known == visits.end()) journal_.record().map_ask_next = 0;
  visits.insert_or_assign(*region, now);
  std::erase_if(visits, [&](const auto& visit) { return visit.second + kVisitSecondsMax < now; });
  while (visits.size() > kVisitsMax)
    visits.erase(std::min_element(visits.begin(), visits.end(), [](const auto& a, const auto& b) {
      return a.second < b.second;
    }));
  return journal_.save();
}

std::vector<manifest::RegionId> MapWish::regions(UnixSeconds now) const {
  std::vector<manifest::RegionId> wished;
  if (policy_.home) wished.push_back(*policy_.home);
  std::vector<std::pair<UnixSeconds, manifest::RegionId>> visits;
  for (const auto& [region, at] : journal_.record().visits)
    if (at + kVisitSecondsMax >= now && region != policy_.home) visits.emplace_back(at, region);
  std::sort(visits.begin(), visits.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  for (const auto& visit : visits) wished.push_back(visit.second);
  for (const auto& [slot, held] : journal_.record().slots) {
    if (slot.kind() != manifest::ImageKind::kMap) continue;
    const auto region = manifest::RegionId::parse(slot.id());
    if (region && std::find(wished.begin(), wished.end(), *region) == wished.end())
      wished.push_back(*region);
  }
  if (wished.size() > kWishedRegionsMax)
    wished.erase(wished.begin() + static_cast<long>(kWishedRegionsMax), wished.end());
  return wished;
}

UnixSeconds MapWish::next_due() const {
  return policy_.choice == MapPolicy::Choice::kOwner ? 0 : journal_.record().map_ask_next;
}

bool MapWish::is_due(UnixSeconds now) const {
  const Record& record = journal_.record();
  if (policy_.choice == MapPolicy::Choice::kOwner || regions(now).empty()) return false;
  // A wall clock that was set back must not put it off for ever.
  const bool is_far = record.map_ask_next > clock_.now() + kAskSeconds;
  if (record.map_ask_next > clock_.now() && !is_far) return false;
  return !has_map_order(record);
}

Result<MapWish::Found> MapWish::ask(UnixSeconds now) {
  Record& record = journal_.record();
  const bool announces = policy_.choice == MapPolicy::Choice::kAnnounce;
  const manifest::Json wish = {{"regions", region_list_json(regions(now))},
                               {"start", announces ? "announce" : "order"}};
  const std::string body = TRY(manifest::to_wire(wish));
  // Before it is asked: a car that dies of the answer must not ask for ever.
  record.map_ask_next = clock_.now() + kRetrySeconds;
  TRY_VOID(journal_.save());
  const auto response = transport_.exchange({.method = HttpRequest::Method::kPost,
                                             .path = "/v1/vehicle/map-requests",
                                             .headers = {{"Content-Type", "application/json"}},
                                             .body = body,
                                             .bytes_max = kAnswerBytesMax,
                                             .deadline_ms = kAskDeadlineMs});
  const bool is_answer = response && response->status < 500 && response->status != 429 &&
                         response->status != 408 && response->status != 425;
  if (!is_answer) {
    const auto patience = response ? response->retry_after_seconds() : std::nullopt;
    record.map_ask_next =
        clock_.now() + std::clamp(patience.value_or(0), kRetrySeconds, kAskSeconds);
    TRY_VOID(journal_.save());
    return Found::kNothing;
  }
  record.map_ask_next = clock_.now() + kAskSeconds;
  Found found = Found::kNothing;
  record.maps_announced.clear();
  const bool is_good = response->status == 200 || response->status == 201;
  const Result<FoundMaps> maps = is_good ? read_answer(response->body) : FoundMaps{};
  if (maps) {
    if (maps->order) {
      record.map_found = maps->order->text();
      found = Found::kOrder;
    } else if (!maps->regions.empty()) {
      record.maps_announced = maps->regions;
      found = Found::kAnnounced;
    }
  }
  TRY_VOID(journal_.save());
  return found;
}

}  // namespace layby::agent
