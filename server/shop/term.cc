#include "server/shop/term.h"

#include <algorithm>

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

Result<Term::From> parse_from(std::string_view text) {
  if (text == "acceptance") return Term::From::kAcceptance;
  if (text == "activation") return Term::From::kActivation;
  return fail(ErrorCode::kBadFormat, "\"from\" of a term: \"acceptance\" or \"activation\"");
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
  TRY_VOID(check_fields(json, {"kind", "days", "from", "grace_days"}));
  const std::string kind = TRY(manifest::text_field(json, "kind"));
  const auto* found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                   [&](Term::Kind known) { return to_string(known) == kind; });
  if (found == std::end(kKinds))
    return fail(ErrorCode::kBadFormat,
                "\"kind\" of a term: \"unlimited\", \"fixed\", \"subscription\" or \"inclusive\"");
  Term term{.kind = *found};
  const bool has_days = manifest::find_field(json, "days") != nullptr;
  if (has_days != counts_days(term.kind))
    return fail(ErrorCode::kBadFormat, "\"days\" belongs to the terms fixed and inclusive");
  if (has_days) term.days = TRY(manifest::uint_field(json, "days", kTermDaysMax));
  if (has_days && term.days == 0) return fail(ErrorCode::kBadFormat, "\"days\": at least 1");
  for (const char* field : {"from", "grace_days"})
    if (!term.ends() && manifest::find_field(json, field))
      return fail(ErrorCode::kBadFormat, "\"{}\" belongs to terms that end", field);
  if (manifest::find_field(json, "from"))
    term.from = TRY(manifest::text_field(json, "from").and_then(parse_from));
  if (term.kind == Term::Kind::kSubscription) term.grace_days = kSubscriptionGraceDays;
  if (manifest::find_field(json, "grace_days"))
    term.grace_days = TRY(manifest::uint_field(json, "grace_days", kGraceDaysMax));
  return term;
}

manifest::Json term_json(const Term& term) {
  manifest::Json json{{"kind", std::string(to_string(term.kind))}};
  if (counts_days(term.kind)) json["days"] = term.days;
  if (!term.ends()) return json;
  json["grace_days"] = term.grace_days;
  json["from"] = term.from == Term::From::kAcceptance ? "acceptance" : "activation";
  return json;
}

std::optional<UnixSeconds> term_end(const Term& term, const TimeZone& zone, UnixSeconds anchor,
                                    std::uint64_t count) {
  const auto periods = static_cast<std::int64_t>(count);
  switch (term.kind) {
    case Term::Kind::kUnlimited: return std::nullopt;
    case Term::Kind::kFixed:
    case Term::Kind::kInclusive:
      return zone.days_later(anchor, static_cast<std::int64_t>(term.days) * periods);
    case Term::Kind::kSubscription: return zone.months_later(anchor, periods);
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::server
