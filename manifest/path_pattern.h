// Shell patterns of delegated paths (TUF 1.0.34, section 4.5, PATHPATTERN).
#pragma once

#include <string_view>

namespace layby::manifest {

// As fnmatch(3) with FNM_PATHNAME: `*` is any run of characters and `?` any one, neither of them a
// `/`; `[a-z]` is one of those characters and `[!a-z]` (or `[^a-z]`) one of the others, never a
// `/`; a class such as `[[:digit:]]` has ASCII's characters only; `\` takes the meaning from what
// follows it. A bracket that is not closed within its segment stands for itself. Characters are
// those of UTF-8, compared by code point, whatever the locale; what is no UTF-8 is taken byte by
// byte.
bool path_matches(std::string_view pattern, std::string_view text);

}  // namespace layby::manifest
