// What `layby-agent status` and `updates` show: read from the journal, also beside a running
// daemon.
#pragma once

#include <string>

#include "agent/layout.h"
#include "base/clock.h"
#include "base/disk.h"

namespace layby::agent {

enum class StatusForm { kText, kJson };
enum class Daemon { kRunning, kNotRunning };

// README.md has the fields of the JSON form. Ends with a line feed.
Result<std::string> status(Disk& disk, const Clock& clock, const Layout& layout, Daemon daemon,
                           StatusForm form);
Result<std::string> updates(Disk& disk, const Layout& layout, StatusForm form);

}  // namespace layby::agent
