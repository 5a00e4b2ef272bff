// Any bytes as what comes over a secondary's socket, and as what comes back from one: headers,
// bodies, and whole conversations with a provisioned ECU, which never fails, never installs
// anything, and goes on.
#include "agent/secondary/secondary.h"
#include "base/assert.h"
#include "manifest/metadata_json.h"
#include "tests/agent/memory_disk.h"

using namespace layby;
using namespace layby::secondary;

namespace {

class NoFirmware final : public Firmware {
 public:
  Result<void> boot(Step, const std::string&) override { LAYBY_ASSERT(false); }
  Runs runs(const std::string&) override { return Runs::kUnknown; }
  Result<void> check(const std::string&) override { return {}; }
};

// One that is provisioned, with an image.
const tests::MemoryDisk& provisioned() {
  static const auto disk = [] {
    auto made = std::make_unique<tests::MemoryDisk>();
    const auto key = crypto::MemorySigner::from_seed({1});
    const crypto::Signer* signers[] = {key.get()};
    manifest::Root root;
    root.expires = 2'000'000'000;
    for (const auto role : manifest::kRoles) root.add_key(role, manifest::PublicKey::of(*key));
    LAYBY_ASSERT(made->make_dirs("/factory"));
    LAYBY_ASSERT(replace_file(*made, "/factory/root", manifest::make_root(root, signers).value()));
    LAYBY_ASSERT(replace_file(*made, "/factory/image", as_bytes("software")));
    const EcuFactory factory{
        .identity = {.vin = manifest::Vin::parse("WVWZZZ1JZXW000017").value(),
                     .serial = manifest::EcuSerial::parse("BRK-1").value(),
                     .hardware = manifest::HardwareId::parse("brake-2").value()},
        .director_root_path = "/factory/root",
        .image_root_path = "/factory/root",
        .software_path = "/factory/image"};
    LAYBY_ASSERT(provision(*made, EcuLayout("/ecu"), factory));
    return made;
  }();
  return *disk;
}

void read_bodies(ByteSpan bytes) {
  if (const auto time = read_time(bytes))
    LAYBY_ASSERT(std::ranges::equal(make_time(*time).body, bytes));
  if (const auto want = read_want(bytes))
    LAYBY_ASSERT(std::ranges::equal(make_want(*want).body, bytes));
  if (const auto file = read_file_body(bytes))
    LAYBY_ASSERT(std::ranges::equal(make_file(*file).body, bytes));
  if (const auto piece = read_piece(bytes))
    LAYBY_ASSERT(std::ranges::equal(make_piece(*piece).body, bytes));
  LAYBY_ASSERT(!to_string(read_error(bytes).code()).empty());
  if (const auto status = decode_status(bytes)) {
    const auto again = decode_status(secondary::encode(*status).value());
    LAYBY_ASSERT(again && again->installed == status->installed && again->phase == status->phase);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteSpan bytes(data, size);
  read_bodies(bytes);
  tests::MemoryDisk disk(provisioned());
  const ManualClock clock(1'795'000'000);
  NoFirmware firmware;
  auto ecu = Secondary::open(disk, clock, firmware, "/ecu").value();
  const auto before = ecu->state().installed;
  while (bytes.size() >= kHeaderBytes) {
    const auto header = read_header(bytes.first(kHeaderBytes));
    if (!header) {
      ecu->note_refusal(header.error());
      break;
    }
    bytes = bytes.subspan(kHeaderBytes);
    const ByteSpan body = bytes.first(std::min<std::size_t>(bytes.size(), header->body_bytes));
    const Message answer = ecu->answer({header->type, Bytes(body.begin(), body.end())});
    LAYBY_ASSERT(secondary::encode(answer).has_value());
    bytes = bytes.subspan(body.size());
  }
  LAYBY_ASSERT(ecu->state().installed == before);
  LAYBY_ASSERT(Secondary::open(disk, clock, firmware, "/ecu").has_value());
  return 0;
}
