// What this agent's payloads may need (delta/payload.h), as it travels.
#pragma once

#include "manifest/re_encoders.h"

namespace layby::agent {

manifest::ReEncoders available_re_encoders();

}  // namespace layby::agent
