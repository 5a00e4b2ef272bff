#include "agent/policy.h"

namespace layby::agent {

Verdict evaluate(const Facts& facts, const Requirements& requirements, const OwnerTime& owner_time,
                 std::int64_t now_ms, Latch latch) {
  Verdict verdict;
  for (const ConditionRow& row : kConditionTable) {
    const auto why = check(row, facts, requirements, latch, now_ms);
    if (why) verdict.reasons.push_back({row.condition, *why});
    if (!why && row.band != 0) verdict.latch.set(row.condition);
  }
  for (std::size_t i = 0; i < requirements.package.size(); ++i)
    if (const auto why = check(requirements.package[i], facts, now_ms))
      verdict.reasons.push_back({Condition::kPackage, *why, i});
  if (const Doubt* doubt = std::get_if<Doubt>(&owner_time))
    verdict.reasons.push_back({Condition::kOwnerTime, why_of(*doubt)});
  const auto* wanted = std::get_if<std::optional<UnixSeconds>>(&owner_time);
  const bool too_early = wanted != nullptr && *wanted && **wanted * 1000 > now_ms;
  if (verdict.reasons.empty() && !too_early) {
    verdict.answer = Verdict::Answer::kYes;
    return verdict;
  }
  verdict.answer = verdict.reasons.empty() ? Verdict::Answer::kAskAgain : Verdict::Answer::kNo;
  if (too_early) {
    verdict.reasons.push_back({Condition::kOwnerTime, Why::kNotFulfilled});
    verdict.ask_again_at = **wanted;
  }
  return verdict;
}

}  // namespace layby::agent
