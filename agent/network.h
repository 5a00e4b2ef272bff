// Which way there is to the server, and who may take it now (P2.2, P2.3). Pure functions of facts.
#pragma once

#include <optional>

#include "agent/facts.h"
#include "agent/record.h"
#include "manifest/image_entry.h"

namespace layby::agent {

// What the car says of its connection. A car that says nothing of bearers has one that costs
// nothing: its host has nothing to choose from.
struct Connection {
  bool is_private = false;  // private mode: P2.2
  bool is_there = true;     // any bearer
  bool is_metered = false;  // SIMs, and a phone's hotspot; a bearer of unknown name too
  bool is_roaming = false;  // over Wi-Fi never
  bool is_in_call = false;  // a call on 2G, where data has to stop
  bool operator==(const Connection&) const = default;
};
Connection connection(const Facts& facts);

// What goes over the air while roaming.
enum class RoamingUse {
  kNothing,
  kNews,  // polls and reports, a few kilobytes; no payloads
  kPayloads,
};
std::optional<RoamingUse> roaming_use_from(std::string_view name);  // nothing, news, payloads

struct NetworkPolicy {
  RoamingUse roaming = RoamingUse::kNews;
  std::uint64_t data_budget_bytes = 0;  // of payloads over metered bearers, a month; 0: no limit
  std::int64_t map_wifi_wait_seconds = kDaySeconds;  // how long a map waits for Wi-Fi
};

// Why nothing may be asked of the server or told to it now; empty if it may.
std::optional<Wait> bar_to_news(const Connection& connection, const NetworkPolicy& policy);

struct Bar {
  Wait wait;
  UnixSeconds ends = 0;  // in trusted time, where it ends by itself; else 0
};
// Why this order's payloads may not come now. `budget_left` in bytes.
std::optional<Bar> bar_to_payload(const Connection& connection, const NetworkPolicy& policy,
                                  const OrderRecord& order, UnixSeconds now,
                                  std::uint64_t budget_left);

}  // namespace layby::agent
