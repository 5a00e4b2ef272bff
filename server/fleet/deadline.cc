#include "server/fleet/deadline.h"

#include "base/assert.h"
#include "base/time_text.h"

namespace layby::server {

namespace {

std::string_view to_string(DeadlineKind kind) {
  switch (kind) {
    case DeadlineKind::kOrder: return "order";
    case DeadlineKind::kForget: return "forget";
    case DeadlineKind::kSilence: return "silence";
  }
  LAYBY_ASSERT(false);
}

}  // namespace

std::string deadline_key(const Deadline& deadline) {
  return fmt::format("{}{}/{}/{}/{}", kDeadlinePrefix, format_utc(deadline.at), deadline.subject,
                     deadline.id, to_string(deadline.kind));
}

Result<Deadline> parse_deadline(std::string_view key) {
  std::string_view parts[5];
  std::size_t begin = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t end = i == 4 ? key.size() : key.find('/', begin);
    if (end == std::string_view::npos || end < begin)
      return fail(ErrorCode::kCorrupt, "deadline key {}", key);
    parts[i] = key.substr(begin, end - begin);
    begin = end + 1;
  }
  auto at = TRY(parse_utc(parts[1]));
  Deadline deadline{.at = std::move(at),
                    .kind = DeadlineKind::kOrder,
                    .subject = std::string(parts[2]),
                    .id = std::string(parts[3])};
  for (const DeadlineKind kind :
       {DeadlineKind::kOrder, DeadlineKind::kForget, DeadlineKind::kSilence}) {
    deadline.kind = kind;
    if (parts[4] == to_string(kind)) return deadline;
  }
  return fail(ErrorCode::kCorrupt, "deadline key {}", key);
}

std::string deadlines_end(UnixSeconds now) {
  return fmt::format("{}{}", kDeadlinePrefix, format_utc(now + 1));
}

void forget_at(Change& change, UnixSeconds at, std::string_view id, std::string_view key) {
  change.put(deadline_key(
                 {.at = at, .kind = DeadlineKind::kForget, .subject = "-", .id = std::string(id)}),
             key);
}

}  // namespace layby::server
