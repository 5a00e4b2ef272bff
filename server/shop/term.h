// Terms of a product: how long what was bought lasts (P1.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "manifest/json.h"
#include "server/shop/local_time.h"

namespace layby::server {

struct Term {
  enum class Kind {
    kUnlimited,     // one payment
    kFixed,         // so many days
    kSubscription,  // a month at a time
    kInclusive,     // so many days, costs nothing
  };
  enum class From {
    kAcceptance,  // the order: the owner has accepted the terms of use
    kActivation,  // the car's report that it is active
  };
  Kind kind = Kind::kUnlimited;
  std::uint64_t days = 0;  // kFixed and kInclusive
  From from = From::kActivation;
  // How long after its end a car that hears nothing lets the function run: a month that was paid
  // for in time must not stop because the car stood in a tunnel.
  std::uint64_t grace_days = 0;

  bool ends() const { return kind != Kind::kUnlimited; }
};

constexpr std::uint64_t kTermDaysMax = 3660;
constexpr std::uint64_t kGraceDaysMax = 31;
// Of a subscription, where the catalogue does not say; of other terms none.
constexpr std::uint64_t kSubscriptionGraceDays = 3;

std::string_view to_string(Term::Kind kind);
// kBadFormat: also for days or a beginning where they mean nothing, or none where they are needed.
Result<Term> read_term(const manifest::Json& json);
manifest::Json term_json(const Term& term);

// When the `count`th period of a term that began at `anchor` ends, in local time (local_time.h);
// nothing for an unlimited one. Always from the anchor: a month that was short shortens no other.
std::optional<UnixSeconds> term_end(const Term& term, const TimeZone& zone, UnixSeconds anchor,
                                    std::uint64_t count = 1);

}  // namespace layby::server
