#include "server/fleet/check_in.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::string_view kSilentPrefix = "si/";
constexpr std::size_t kHeardMax = 2'000'000;  // 150 bytes each
constexpr std::size_t kScanBatch = 1000;

std::string seen_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "seen";
}

std::string silent_key(const manifest::Vin& vin) {
  return std::string(kSilentPrefix) + vin.text();
}

struct Seen {
  UnixSeconds at = 0;
  UnixSeconds due = 0;  // where its entry in the index stands
  std::optional<UnixSeconds> silent_since;
};

Result<std::optional<Seen>> decode(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const Json json = TRY(parse_stored("seen", *text));
  Seen seen;
  seen.at = TRY(manifest::time_field(json, "at"));
  seen.due = TRY(manifest::time_field(json, "due"));
  if (manifest::find_field(json, "silent_since"))
    seen.silent_since = TRY(manifest::time_field(json, "silent_since"));
  return seen;
}

std::string index_key(const manifest::Vin& vin, UnixSeconds due) {
  return deadline_key({.at = due, .kind = DeadlineKind::kSilence, .subject = vin.text(), .id = {}});
}

void save(Change& change, const manifest::Vin& vin, const Seen& seen) {
  Json json{{"at", format_utc(seen.at)}, {"due", format_utc(seen.due)}};
  if (seen.silent_since) json["silent_since"] = format_utc(*seen.silent_since);
  change.put(seen_key(vin), to_stored(json));
}

// With its one entry in the index of deadlines.
void wait_for(Change& change, const manifest::Vin& vin, const std::optional<Seen>& before,
              const Seen& seen) {
  if (before) change.erase(index_key(vin, before->due));
  change.put(index_key(vin, seen.due), "");
  save(change, vin, seen);
}

Json silence_json(UnixSeconds last_heard, UnixSeconds since) {
  return {{"last_heard", format_utc(last_heard)}, {"silent_since", format_utc(since)}};
}

void say(CarAffairs& affairs, std::string_view what, std::string_view state, Json data) {
  affairs.record(what, "", data);
  data["state"] = std::string(state);
  affairs.emit(EventType::kCheckIn, "", data, "");
}

Result<std::size_t> count_silent(const Store& store) {
  std::size_t count = 0;
  std::string begin(kSilentPrefix);
  while (true) {
    const auto page = TRY(store.scan(begin, after_prefix(kSilentPrefix), kScanBatch));
    count += page.size();
    if (page.size() < kScanBatch) return count;
    begin = page.back().key + '\0';
  }
}

}  // namespace

CheckIns::CheckIns(UnixSeconds silence_seconds, std::size_t silent_count,
                   std::function<void(std::size_t)> on_count)
    : silence_seconds_(silence_seconds),
      on_count_(std::move(on_count)),
      silent_count_(silent_count) {}

Result<std::unique_ptr<CheckIns>> CheckIns::open(const Store& store, UnixSeconds silence_seconds,
                                                 std::function<void(std::size_t)> on_count) {
  const std::size_t count = TRY(count_silent(store));
  on_count(count);
  return std::unique_ptr<CheckIns>(new CheckIns(silence_seconds, count, std::move(on_count)));
}

std::optional<UnixSeconds> CheckIns::remembered(const manifest::Vin& vin) const {
  const std::lock_guard lock(mutex_);
  const auto found = heard_.find(vin.text());
  return found == heard_.end() ? std::nullopt : std::optional(found->second.at);
}

void CheckIns::remember(const manifest::Vin& vin, Heard heard) {
  const std::lock_guard lock(mutex_);
  // Rather a read of the store for each car than out of memory.
  if (heard_.size() >= kHeardMax) heard_.clear();
  heard_.insert_or_assign(vin.text(), heard);
}

UnixSeconds CheckIns::due_after(UnixSeconds heard, const Pairing& pairing) const {
  return std::max(due_after(heard), heard + kPollsBeforeSilent * pairing.poll_seconds);
}

void CheckIns::count(Turn turn) {
  if (turn == Turn::kNone) return;
  const std::lock_guard lock(mutex_);
  if (turn == Turn::kFellSilent)
    ++silent_count_;
  else
    --silent_count_;
  on_count_(silent_count_);
}

void CheckIns::heard(const Services& services, const manifest::Vin& vin) {
  // Switched off, it still ends what was noticed before.
  if (silence_seconds_ == 0 && silent_count_ == 0) return;
  const UnixSeconds now = services.clock.now();
  {
    const std::lock_guard lock(mutex_);
    const auto found = heard_.find(vin.text());
    if (found != heard_.end() && now - found->second.written < pace_seconds()) {
      found->second.at = std::max(found->second.at, now);
      return;
    }
  }
  const Result<Written> written = commit_with_retry(
      services.store, [&](Change& change) { return write_heard(services, change, vin, now); });
  if (!written) {
    services.log(LogLevel::kError, "check-in not kept",
                 {{"vin", vin.text()}, {"error", written.error().message()}});
    return;
  }
  remember(vin, {.at = now, .written = written->at});
  count(written->turn);
}

Result<CheckIns::Written> CheckIns::write_heard(const Services& services, Change& change,
                                                const manifest::Vin& vin, UnixSeconds now) const {
  const std::optional<Seen> before = TRY(decode(TRY(change.get(seen_key(vin)))));
  // After a restart: it was written not long ago.
  if (before && !before->silent_since && now - before->at < pace_seconds())
    return Written{.at = before->at};
  if (silence_seconds_ == 0 && (!before || !before->silent_since)) return Written{.at = now};
  wait_for(change, vin, before, {.at = now, .due = due_after(now), .silent_since = {}});
  if (!before || !before->silent_since) return Written{.at = now};
  change.erase(silent_key(vin));
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, vin.text()));
  say(affairs, "heard-again", "resumed", silence_json(before->at, *before->silent_since));
  return Written{.at = now, .turn = Turn::kSpokeAgain};
}

Result<void> CheckIns::begin(CarAffairs& affairs) const {
  if (silence_seconds_ == 0) return {};
  const manifest::Vin& vin = affairs.car().vin;
  const std::optional<Seen> before = TRY(decode(TRY(affairs.change().get(seen_key(vin)))));
  // Its silence ends when it calls.
  if (before && before->silent_since) return {};
  const UnixSeconds now = affairs.now();
  wait_for(affairs.change(), vin, before, {.at = now, .due = due_after(now), .silent_since = {}});
  return {};
}

Result<void> CheckIns::settle(const Services& services, const Deadline& deadline,
                              const std::string& key) {
  const manifest::Vin vin = TRY(manifest::Vin::parse(deadline.subject));
  const Turn turn = TRY(commit_with_retry(services.store, [&](Change& change) -> Result<Turn> {
    if (!TRY(change.get(key))) return Turn::kNone;
    change.erase(key);
    return settle_in(services, change, vin, deadline);
  }));
  count(turn);
  return {};
}

Result<CheckIns::Turn> CheckIns::settle_in(const Services& services, Change& change,
                                           const manifest::Vin& vin,
                                           const Deadline& deadline) const {
  std::optional<Seen> seen = TRY(decode(TRY(change.get(seen_key(vin)))));
  if (!seen || seen->due != deadline.at || seen->silent_since) return Turn::kNone;
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, "system"));
  const auto& pairing = affairs.car().pairing;
  // Nobody waits for a car that could not come in.
  if (silence_seconds_ == 0 || !pairing || pairing->revoked_at) {
    change.erase(seen_key(vin));
    return Turn::kNone;
  }
  const UnixSeconds now = affairs.now();
  seen->at = std::max(seen->at, remembered(vin).value_or(0));
  const UnixSeconds due = due_after(seen->at, *pairing);
  if (due > now) {
    wait_for(change, vin, std::nullopt, {.at = seen->at, .due = due, .silent_since = {}});
    return Turn::kNone;
  }
  seen->silent_since = now;
  save(change, vin, *seen);
  const Json data = silence_json(seen->at, now);
  change.put(silent_key(vin), to_stored(data));
  say(affairs, "fell-silent", "missed", data);
  services.log(LogLevel::kWarning, "car silent",
               {{"vin", vin.text()}, {"last_heard", format_utc(seen->at)}});
  return Turn::kFellSilent;
}

Result<std::optional<CheckIn>> CheckIns::load(const Store& store, const manifest::Vin& vin) const {
  const std::optional<Seen> seen = TRY(decode(TRY(store.get(seen_key(vin)))));
  if (!seen) return std::nullopt;
  return CheckIn{.last_heard = std::max(seen->at, remembered(vin).value_or(0)),
                 .silent_since = seen->silent_since};
}

Response get_silent_cars(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const Page page = TRY(read_page(request));
    const std::string prefix(kSilentPrefix);
    const std::string begin = page.after.empty() ? prefix : prefix + page.after + '\0';
    Json cars = Json::array();
    for (const KeyValue& entry :
         TRY(services.store.scan(begin, after_prefix(prefix), page.limit))) {
      Json car = TRY(parse_stored(entry.key, entry.value));
      car["vin"] = entry.key.substr(prefix.size());
      cars.push_back(std::move(car));
    }
    return json_response(200, {{"cars", std::move(cars)}});
  }());
}

}  // namespace layby::server
