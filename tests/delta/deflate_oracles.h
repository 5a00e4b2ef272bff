// Streams of the programs that deflate recipes name, made by those programs, and texts for them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "delta/deflate_recipe.h"

namespace layby::tests {

struct NamedText {
  std::string name;
  Bytes text;
};

// Sources of this repository, cut at lengths where windows begin and end; this program; noise;
// zeros; next to nothing.
std::vector<NamedText> texts_to_deflate();

Bytes deflated_by_zlib(ByteSpan text, const delta::DeflateRecipe& recipe);
Bytes inflated_by_zlib(ByteSpan stream);

// By the `gzip` that is installed, without its header and trailer.
Bytes deflated_by_gzip(ByteSpan text, unsigned level);

// By the `zip` that is installed; nothing where it stores the text as it is.
std::optional<Bytes> deflated_by_zip(ByteSpan text, unsigned level);

}  // namespace layby::tests
