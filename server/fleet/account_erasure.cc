#include "server/fleet/account_erasure.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/account.h"
#include "server/fleet/consent.h"
#include "server/fleet/deadline.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/idempotency.h"
#include "server/fleet/invitation.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/ownership.h"
#include "server/fleet/pairing.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::string_view kErasures = "x/erase/";
constexpr std::size_t kBatch = 500;
constexpr std::size_t kErasuresAtOnce = 100;
constexpr std::size_t kCarsPerAccountMax = 10'000;

// What is to be gone from the files, as texts: keys, and prefixes that end in a slash.
struct Erasure {
  std::string account;
  std::string by;
  std::vector<std::string> places;
};

std::string erasure_key(std::string_view account) {
  return std::string(kErasures) + std::string(account);
}

void save(Change& change, const Erasure& erasure) {
  change.put(erasure_key(erasure.account),
             to_stored({{"by", erasure.by}, {"places", erasure.places}}));
}

Result<Erasure> decode(const KeyValue& entry) {
  const Json json = TRY(parse_stored(entry.key, entry.value));
  Erasure erasure;
  erasure.account = entry.key.substr(kErasures.size());
  erasure.by = TRY(manifest::text_field(json, "by"));
  erasure.places = TRY(texts_field(json, "places", 100'000, 1000));
  return erasure;
}

std::vector<KeyRange> ranges_of(const Erasure& erasure) {
  std::vector<KeyRange> ranges;
  for (const std::string& place : erasure.places) {
    if (place.ends_with('/'))
      ranges.push_back({place, after_prefix(place)});
    else
      ranges.push_back({place, place + '\0'});
  }
  return ranges;
}

// Receivers of events have to forget the person too.
void announce(const Services& services, Change& change, const std::string& account) {
  LAYBY_ASSERT(services.events != nullptr);
  const std::uint64_t id = services.events->draw(change);
  change.put(event_key(id), to_stored({{"id", id},
                                       {"type", "account-erased"},
                                       {"at", format_utc(services.clock.now())},
                                       {"account", account},
                                       {"data", Json::object()}}));
}

void note_erased_subject(const Services& services, Change& change, const std::string& subject_at) {
  const UnixSeconds now = services.clock.now();
  const std::string key = erased_subject_key(subject_at);
  change.put(key, to_stored({{"at", format_utc(now)}}));
  forget_at(change, now + kErasedSubjectSeconds, subject_at.substr(2, 32), key);
}

// From here on nobody is let in by this account, and nothing new is written for it.
Result<Erasure> begin(const Services& services, Change& change, const std::string& id,
                      const std::string& by) {
  const Account account = TRY(load_account(change, id));
  Erasure erasure{.account = id,
                  .by = by,
                  .places = {account_key(id), kept_answers_prefix(id), message_prefix(id),
                             account_cars_prefix(id)}};
  const auto erase = [&](const std::string& key) {
    change.erase(key);
    erasure.places.push_back(key);
  };
  change.erase(account_key(id));
  for (const TokenMark& token : account.tokens) erase(token_key(token.digest));
  for (const std::string& key : {account.subject_at, account.answer_at})
    if (!key.empty()) erase(key);
  if (!account.subject_at.empty()) note_erased_subject(services, change, account.subject_at);
  erase(invitation_tries_key(id));
  const std::string code = account_pairing_code_key(id);
  if (const std::optional<std::string> digest = TRY(change.get(code))) {
    erase(pairing_code_key(*digest));
    erase(code);
  }
  const std::string cars = account_cars_prefix(id);
  for (const KeyValue& car : TRY(change.scan(cars, after_prefix(cars), kCarsPerAccountMax))) {
    const manifest::Vin vin = TRY(manifest::Vin::parse(car.key.substr(cars.size())));
    erasure.places.push_back(software_consent_key(vin));
    erasure.places.push_back(car_user_key(vin, id));
  }
  save(change, erasure);
  announce(services, change, id);
  return erasure;
}

Result<void> leave_car(const Services& services, const Erasure& erasure, const manifest::Vin& vin) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, erasure.by));
    if (affairs.car().owned_by(erasure.account)) return end_ownership(affairs);
    const Result<void> removed = remove_user(affairs, erasure.account);
    if (!removed && removed.error().code() != ErrorCode::kNotFound) return removed;
    change.erase(account_car_key(erasure.account, vin));
    return {};
  });
}

Result<void> leave_cars(const Services& services, const Erasure& erasure) {
  const std::string prefix = account_cars_prefix(erasure.account);
  for (;;) {
    const std::vector<KeyValue> cars =
        TRY(services.store.scan(prefix, after_prefix(prefix), kBatch));
    if (cars.empty()) return {};
    for (const KeyValue& car : cars)
      TRY_VOID(
          leave_car(services, erasure, TRY(manifest::Vin::parse(car.key.substr(prefix.size())))));
  }
}

Result<void> erase_all(Store& store, const std::string& prefix) {
  for (;;) {
    const std::vector<KeyValue> found = TRY(store.scan(prefix, after_prefix(prefix), kBatch));
    if (found.empty()) return {};
    Batch batch;
    for (const KeyValue& entry : found) batch.writes.push_back({entry.key, std::nullopt});
    TRY_VOID(store.commit(batch));
  }
}

// Messages last: what the cars' leaving told the owner is among them.
Result<void> erase_data(const Services& services, const Erasure& erasure) {
  TRY_VOID(leave_cars(services, erasure));
  TRY_VOID(erase_all(services.store, kept_answers_prefix(erasure.account)));
  return erase_all(services.store, message_prefix(erasure.account));
}

struct Finished {
  std::size_t count = 0;
  std::optional<Error> failure = {};  // the last one's
};

// One that fails must not keep those of others from being done: it is tried again the next time.
Result<Finished> finish(const Services& services, const std::vector<KeyValue>& begun) {
  Finished finished;
  std::vector<KeyRange> ranges;
  Batch done;
  for (const KeyValue& entry : begun) {
    const auto erase = [&]() -> Result<Erasure> {
      Erasure erasure = TRY(decode(entry));
      TRY_VOID(erase_data(services, erasure));
      return erasure;
    };
    const Result<Erasure> erasure = erase();
    if (!erasure) {
      services.log(LogLevel::kError, "account not erased",
                   {{"key", entry.key}, {"error", erasure.error().message()}});
      finished.failure = erasure.error();
      continue;
    }
    for (KeyRange& range : ranges_of(*erasure)) ranges.push_back(std::move(range));
    done.writes.push_back({entry.key, std::nullopt});
  }
  finished.count = done.writes.size();
  if (finished.count == 0) return finished;
  TRY_VOID(services.store.purge(ranges));
  TRY_VOID(services.store.commit(done));
  return finished;
}

}  // namespace

Result<void> erase_account(const Services& services, const std::string& id, const std::string& by) {
  const Erasure erasure =
      TRY(commit_with_retry(services.store, [&](Change& change) -> Result<Erasure> {
        return begin(services, change, id, by);
      }));
  TRY_VOID(erase_data(services, erasure));
  services.wake_eraser();
  return {};
}

Result<std::size_t> continue_erasures(const Services& services) {
  Finished all;
  std::string begin(kErasures);
  for (;;) {
    const std::vector<KeyValue> begun =
        TRY(services.store.scan(begin, after_prefix(kErasures), kErasuresAtOnce));
    Finished finished = TRY(finish(services, begun));
    all.count += finished.count;
    if (finished.failure) all.failure = std::move(finished.failure);
    if (begun.size() < kErasuresAtOnce) break;
    begin = begun.back().key + '\0';
  }
  if (all.count > 0)
    services.log(LogLevel::kInfo, "accounts erased", {{"count", std::to_string(all.count)}});
  if (all.failure) return fail(*all.failure);
  return all.count;
}

}  // namespace layby::server
