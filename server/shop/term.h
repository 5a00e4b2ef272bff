// Terms of a product: how long what was bought lasts (P1.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "manifest/json.h"

namespace layby::server {

struct Term {
  enum class Kind {
    kUnlimited,     // one payment
    kFixed,         // so many days
    kSubscription,  // a calendar month at a time
    kInclusive,     // so many days, costs nothing
  };
  Kind kind = Kind::kUnlimited;
  std::uint64_t days = 0;  // kFixed and kInclusive
};

constexpr std::uint64_t kTermDaysMax = 3660;

std::string_view to_string(Term::Kind kind);
// kBadFormat: also for days where they mean nothing, or none where they are needed.
Result<Term> read_term(const manifest::Json& json);
manifest::Json term_json(const Term& term);

// When a term that begins at `from` ends; nothing for an unlimited one. A month later is the same
// day and time of the next month, or that month's last day where there is no such day.
std::optional<UnixSeconds> term_end(const Term& term, UnixSeconds from);

}  // namespace layby::server
