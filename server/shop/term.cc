#include "server/shop/term.h"

#include <algorithm>
#include <chrono>

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

namespace {

constexpr Term::Kind kKinds[] = {Term::Kind::kUnlimited, Term::Kind::kFixed,
                                 Term::Kind::kSubscription, Term::Kind::kInclusive};

bool counts_days(Term::Kind kind) {
  return kind == Term::Kind::kFixed || kind == Term::Kind::kInclusive;
}

UnixSeconds one_month_after(UnixSeconds from) {
  using namespace std::chrono;
  const sys_seconds time{seconds{from}};
  const sys_days midnight = floor<days>(time);
  const year_month_day date{midnight};
  const year_month next = date.year() / date.month() + months{1};
  const day last = (next / std::chrono::last).day();
  const sys_days then{next / std::min(date.day(), last)};
  return (then + (time - midnight)).time_since_epoch().count();
}

}  // namespace

std::string_view to_string(Term::Kind kind) {
  switch (kind) {
    case Term::Kind::kUnlimited: return "unlimited";
    case Term::Kind::kFixed: return "fixed";
    case Term::Kind::kSubscription: return "subscription";
    case Term::Kind::kInclusive: return "inclusive";
  }
  LAYBY_ASSERT(false);
}

Result<Term> read_term(const manifest::Json& json) {
  TRY_VOID(check_fields(json, {"kind", "days"}));
  const std::string kind = TRY(manifest::text_field(json, "kind"));
  const auto* found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                   [&](Term::Kind known) { return to_string(known) == kind; });
  if (found == std::end(kKinds))
    return fail(ErrorCode::kBadFormat,
                "\"kind\" of a term: \"unlimited\", \"fixed\", \"subscription\" or \"inclusive\"");
  Term term{.kind = *found, .days = 0};
  const bool has_days = manifest::find_field(json, "days") != nullptr;
  if (has_days != counts_days(term.kind))
    return fail(ErrorCode::kBadFormat, "\"days\" belongs to the terms fixed and inclusive");
  if (has_days) term.days = TRY(manifest::uint_field(json, "days", kTermDaysMax));
  if (has_days && term.days == 0) return fail(ErrorCode::kBadFormat, "\"days\": at least 1");
  return term;
}

manifest::Json term_json(const Term& term) {
  manifest::Json json{{"kind", std::string(to_string(term.kind))}};
  if (counts_days(term.kind)) json["days"] = term.days;
  return json;
}

std::optional<UnixSeconds> term_end(const Term& term, UnixSeconds from) {
  switch (term.kind) {
    case Term::Kind::kUnlimited: return std::nullopt;
    case Term::Kind::kFixed:
    case Term::Kind::kInclusive: return from + static_cast<UnixSeconds>(term.days) * kDaySeconds;
    case Term::Kind::kSubscription: return one_month_after(from);
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::server
