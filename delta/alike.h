// For the matcher: images in which addresses are replaced by what they refer to, so that code which
// only moved is equal in both. Encoder only.
#pragma once

#include "base/bytes.h"
#include "delta/address_table.h"

namespace layby::delta {

// Fills `alike` with a copy of `image` with each address in it replaced by a digest of the bytes
// that it refers to, their own addresses left out; `bare` with the image without addresses. Both
// are as long as the image.
void make_alike(ByteSpan image, const std::vector<Module>& modules,
                const std::vector<AddressRange>& ranges, unsigned threads, MutableByteSpan bare,
                MutableByteSpan alike);

}  // namespace layby::delta
