#include "server/fleet/trail_routes.h"

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/fleet/after_number.h"
#include "server/fleet/auth.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"

namespace layby::server {

using manifest::Json;

namespace {

Result<Json> list_between(const Store& store, const std::string& begin, const std::string& end,
                          std::size_t limit) {
  Json list = Json::array();
  for (const KeyValue& entry : TRY(store.scan(begin, end, limit)))
    list.push_back(TRY(parse_stored(entry.key, entry.value)));
  return list;
}

// Messages to `account`, of this car or of all.
Answer<Response> message_page(const Services& services, const Request& request,
                              const std::string& account, const std::string& vin) {
  const Page page = TRY(read_page(request));
  const std::string prefix = message_prefix(account);
  std::string begin = fmt::format("{}{:020}", prefix, TRY(after_number(page)) + 1);
  const std::string end = fmt::format("{}{:020}", prefix, services.events->visible_end());
  Json events = Json::array();
  while (events.size() < page.limit) {
    const std::vector<KeyValue> found = TRY(services.store.scan(begin, end, kPageLimitMax));
    for (const KeyValue& entry : found) {
      Json event = TRY(parse_stored(entry.key, entry.value));
      // Some are of no car.
      if (!vin.empty() && manifest::text_field(event, "vin").value_or("") != vin) continue;
      events.push_back(std::move(event));
      if (events.size() == page.limit) break;
    }
    if (found.size() < kPageLimitMax) break;
    begin = found.back().key + '\0';
  }
  return json_response(200, {{"events", std::move(events)}});
}

}  // namespace

Response get_car_messages(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    if (access.standing != Standing::kOwner)
      return refuse(RefusalCode::kOwnerOnly, "messages are for the owner of the car");
    return message_page(services, request, access.caller.account, access.car.vin.text());
  }());
}

Response get_messages(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_account(services, request));
    return message_page(services, request, caller.account, "");
  }());
}

Response get_events(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    LAYBY_ASSERT(services.events != nullptr);
    const Page page = TRY(read_page(request));
    const std::uint64_t after = TRY(after_number(page));
    // Asked before the scan: what lands later is for the next reader.
    const std::uint64_t end = services.events->visible_end();
    Json events = Json::array();
    if (after + 1 < end)
      events = TRY(list_between(services.store, event_key(after + 1), event_key(end), page.limit));
    return json_response(200, {{"events", std::move(events)}});
  }());
}

}  // namespace layby::server
