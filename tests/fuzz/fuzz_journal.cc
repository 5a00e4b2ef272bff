// The journal: the input is a record's body, wrapped as `Journal` writes it, and as a file as it
// is. What was read says the same when it is written again.
#include "agent/journal.h"
#include "base/assert.h"
#include "tests/agent/memory_disk.h"

using namespace layby;
using namespace layby::agent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tests::MemoryDisk disk;
  LAYBY_ASSERT(disk.make_dirs("/s") && replace_file(disk, "/s/journal.0", {data, size}));
  LAYBY_ASSERT(!Journal::open(disk, "/s") || size > 0);
  const auto record = decode_record({data, size});
  if (!record) return 0;
  const auto body = encode_record(*record);
  LAYBY_ASSERT(body);
  const auto again = decode_record(*body);
  LAYBY_ASSERT(again && *encode_record(*again) == *body);
  LAYBY_ASSERT(Journal::create(disk, "/s", *record));
  LAYBY_ASSERT(*encode_record(*Journal::read(disk, "/s")) == *body);
  for (const char* name : {"/s/journal.0", "/s/journal.1"})
    LAYBY_ASSERT(replace_file(disk, name, {data, size}));
  LAYBY_ASSERT(*encode_record(Journal::open(disk, "/s")->record()) == *body);  // from the copy
  return 0;
}
