// Offline packages: what is read would be written again, byte for byte, and payloads are what their
// names say or refused.
#include "base/assert.h"
#include "manifest/offline_package.h"
#include "tests/fuzz/memory_bytes.h"

using namespace layby;
using namespace layby::manifest;

namespace {

// A wrong checksum hides all else that is wrong with a header: each block that looks like one gets
// the right one.
void mend_checksums(Bytes& bytes) {
  for (std::size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    if (as_text(ByteSpan(bytes).subspan(at + 257, 5)) != "ustar") continue;
    std::fill_n(bytes.begin() + static_cast<long>(at) + 148, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += bytes[at + i];
    const std::string text = fmt::format("{:06o}", sum);
    std::copy(text.begin(), text.end(), bytes.begin() + static_cast<long>(at) + 148);
    bytes[at + 154] = 0;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input(data, data + size);
  mend_checksums(input);
  const tests::MemoryBytes archive(input);
  const auto package = OfflinePackage::open(archive);
  if (!package) return 0;
  std::string again;
  for (const PackageMember& member : package->members()) {
    LAYBY_ASSERT(package->find(member.name) == &member);
    Bytes bytes(static_cast<std::size_t>(member.length));
    LAYBY_ASSERT(package->read_at(member, 0, bytes));
    again += package_member_head(member.name, member.length).value();
    again += as_text(bytes);
    again += package_padding(member.length);
  }
  again += package_end();
  LAYBY_ASSERT(again == as_text(input));
  static_cast<void>(package->check_payloads());  // a flipped payload is refused, no more than that
  return 0;
}
