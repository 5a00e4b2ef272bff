// `?after=` of lists whose entries are numbered.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

// 0 where it is absent; kInvalidArgument for what is no number.
Result<std::uint64_t> after_number(const Page& page);

}  // namespace layby::server
