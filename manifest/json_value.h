// The inside of a Json value, for .cc files: heavy to compile, so no header includes it.
#pragma once

#include <nlohmann/json.hpp>

#include "manifest/json.h"
