// The log of `laybyd`: one line an event on standard error, as key=value pairs.
#pragma once

#include <string>

#include "server/services.h"

namespace layby::server {

// Events below `least` are dropped. Any thread may call what it returns.
Log make_log(LogLevel least);

// `ts` and `level` are put in front by make_log: event="payload job done" image=maps/DE/1.tar
std::string log_line(std::string_view event, std::initializer_list<LogField> fields);

}  // namespace layby::server
