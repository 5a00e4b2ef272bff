// What the head unit shows: what is under way, which condition is missing, which terms remain
// (P1.13, P2.2, P4.2, P4.3).
#pragma once

#include <map>

#include "agent/facts.h"
#include "agent/licences.h"
#include "agent/record.h"
#include "agent/screen.h"
#include "agent/texts.h"

namespace layby::agent {

struct HeadUnitView {
  const Record& record;
  const Facts& facts;
  const std::map<manifest::FunctionId, LicenceVerdict>& licences;
  std::int64_t now_ms;  // by the wall clock, as the signals' time stamps
  UnixSeconds now;      // in trusted time, as terms
};

Screen head_unit_screen(const HeadUnitView& view, Language language);

}  // namespace layby::agent
