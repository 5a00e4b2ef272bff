// The codec against an installed library: a payload from one text to another, applied again; and a
// symbol of the agent, whose libraries must all have been found.
#include <cstdio>
#include <string>

#include "agent/texts.h"
#include "base/disk.h"
#include "delta/applier.h"
#include "delta/encoder.h"

namespace {

layby::Result<void> round_trip(const std::string& directory) {
  layby::RealDisk disk;
  std::string base_text;
  for (int i = 0; i < 5000; ++i) base_text += "line " + std::to_string(i) + "\n";
  const std::string target_text = "another beginning\n" + base_text + "another end\n";
  TRY_VOID(layby::replace_file(disk, directory + "/base", layby::as_bytes(base_text)));
  TRY_VOID(layby::replace_file(disk, directory + "/target", layby::as_bytes(target_text)));
  const auto base = TRY(disk.open_read(directory + "/base"));
  const auto target = TRY(disk.open_read(directory + "/target"));
  {
    const auto payload = TRY(disk.open_write(directory + "/payload"));
    const auto report = TRY(layby::delta::encode(base.get(), *target, {}, *payload));
    std::printf("%llu bytes of payload\n", static_cast<unsigned long long>(report.payload_bytes));
  }
  const auto payload = TRY(disk.open_read(directory + "/payload"));
  const auto made = TRY(disk.open_write(directory + "/made"));
  TRY_VOID(layby::delta::apply_payload(*payload, base.get(), *made));
  const auto bytes = TRY(layby::read_file(disk, directory + "/made", 1 << 20));
  if (layby::as_text(bytes) != target_text)
    return layby::fail(layby::ErrorCode::kInternal, "what was made is not the target");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !layby::agent::language_from("de")) return 2;
  const auto done = round_trip(argv[1]);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
