#include "agent/map_wish.h"

#include <algorithm>

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

// The id of the order that the server made; nothing where all is as new as can be.
Result<std::optional<manifest::OrderId>> read_answer(const std::string& body) {
  const manifest::Json json =
      TRY(manifest::parse_strict(as_bytes(body), {.bytes_max = kAnswerBytesMax}));
  if (manifest::find_field(json, "id") == nullptr) return std::optional<manifest::OrderId>{};
  return std::optional(TRY(manifest::OrderId::parse(TRY(manifest::text_field(json, "id")))));
}

}  // namespace

Result<void> MapWish::note(const Facts& facts, UnixSeconds now) {
  if (policy_.choice != MapPolicy::Choice::kAuto || is_private(facts)) return {};
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
  if (wished.size() > kWishedRegionsMax)
    wished.erase(wished.begin() + static_cast<long>(kWishedRegionsMax), wished.end());
  return wished;
}

UnixSeconds MapWish::next_due() const {
  return policy_.choice == MapPolicy::Choice::kAuto ? journal_.record().map_ask_next : 0;
}

bool MapWish::is_due(UnixSeconds now) const {
  const Record& record = journal_.record();
  if (policy_.choice != MapPolicy::Choice::kAuto || regions(now).empty()) return false;
  // A wall clock that was set back must not put it off for ever.
  const bool is_far = record.map_ask_next > clock_.now() + kAskSeconds;
  if (record.map_ask_next > clock_.now() && !is_far) return false;
  return std::none_of(record.orders.begin(), record.orders.end(), [](const OrderRecord& order) {
    return !is_final(order.state) && !order.images.empty() &&
           order.images.front().slot.kind() == manifest::ImageKind::kMap;
  });
}

Result<MapWish::Found> MapWish::ask(UnixSeconds now) {
  Record& record = journal_.record();
  manifest::Json wish = {{"regions", manifest::Json::array()}};
  for (const manifest::RegionId& region : regions(now)) wish["regions"].push_back(region.text());
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
  if (response->status == 200 || response->status == 201) {
    const auto order = read_answer(response->body);
    if (order && *order) {
      record.map_found = (*order)->text();
      found = Found::kOrder;
    }
  }
  TRY_VOID(journal_.save());
  return found;
}

}  // namespace layby::agent
