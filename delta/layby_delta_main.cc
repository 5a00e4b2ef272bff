// layby-delta: makes, applies and looks into payloads by hand.
//
//   1. read the command line
//   2. open what is read, refuse what cannot work
//   3. do it into a temporary file beside the result
//   4. sync, rename: the result's name never stands for half a file
//
// Exit status: 0 done; 1 the command line makes no sense; 2 a file is missing, cannot be read or
// written, or the disk is full; 3 the base is not the one the payload was made for; 4 the payload
// is damaged, cut off or not a payload; 5 anything else.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/disk.h"
#include "crypto/initialize.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "delta/payload.h"

namespace layby::delta {
namespace {

struct Arguments {
  std::vector<std::string> files;  // of diff: OLD NEW, or NEW
  bool full = false;
  bool fast = false;
  bool json = false;
  std::uint32_t chunk_bytes = kChunkTargetBytesMax;
  std::uint64_t memory_bytes = EncodeOptions{}.memory_bytes_max;
  std::string base;
  std::string payload;
  std::string output;
};

int exit_status(ErrorCode code) {
  constexpr std::pair<ErrorCode, int> kStatuses[] = {
      {ErrorCode::kInvalidArgument, 1}, {ErrorCode::kNotFound, 2},    {ErrorCode::kIo, 2},
      {ErrorCode::kDiskFull, 2},        {ErrorCode::kWrongBase, 3},   {ErrorCode::kBadPayload, 4},
      {ErrorCode::kWrongChunk, 4},      {ErrorCode::kUnsupported, 4}, {ErrorCode::kCorrupt, 4}};
  for (const auto& [of, status] : kStatuses)
    if (of == code) return status;
  return 5;
}

// A result in the making. Unless it is published it is removed again.
class TemporaryFile {
 public:
  static Result<TemporaryFile> create(Disk& disk, const std::string& path) {
    const std::string temporary = path + ".part";
    auto file = TRY(disk.open_write(temporary));
    TRY_VOID(file->truncate(0));
    return TemporaryFile(disk, path, temporary, std::move(file));
  }
  ~TemporaryFile() {
    if (!file_) return;
    file_.reset();
    static_cast<void>(disk_->remove(temporary_));
  }
  TemporaryFile(TemporaryFile&&) noexcept = default;

  File& file() { return *file_; }

  Result<void> publish() {
    TRY_VOID(file_->sync());
    TRY_VOID(disk_->rename(temporary_, path_));
    file_.reset();
    return disk_->sync_dir(parent_dir(path_));
  }

 private:
  TemporaryFile(Disk& disk, std::string path, std::string temporary, std::unique_ptr<File> file)
      : disk_(&disk),
        path_(std::move(path)),
        temporary_(std::move(temporary)),
        file_(std::move(file)) {}

  Disk* disk_;
  std::string path_;
  std::string temporary_;
  std::unique_ptr<File> file_;
};

const char* to_string(EncodeReport::Search search) {
  switch (search) {
    case EncodeReport::Search::kNone: return "none";
    case EncodeReport::Search::kBlocks: return "blocks";
    case EncodeReport::Search::kSuffixes: return "suffixes";
  }
  return "unknown";
}

Result<void> diff(Disk& disk, const Arguments& arguments) {
  const std::size_t wanted = arguments.full ? 1 : 2;
  if (arguments.files.size() != wanted)
    return fail(ErrorCode::kInvalidArgument, "diff takes OLD NEW, or --full NEW: {} files given",
                arguments.files.size());
  const auto base = arguments.full ? nullptr : TRY(disk.open_read(arguments.files[0]));
  const auto target = TRY(disk.open_read(arguments.files.back()));
  EncodeOptions options;
  options.effort = arguments.fast ? Effort::kFast : Effort::kSmallest;
  options.chunk_target_bytes = arguments.chunk_bytes;
  options.memory_bytes_max = arguments.memory_bytes;
  TemporaryFile output = TRY(TemporaryFile::create(disk, arguments.output));
  const EncodeReport report = TRY(encode(base.get(), *target, options, output.file()));
  TRY_VOID(output.publish());
  fmt::print(
      "{}: {} bytes ({:.3f} % of {}), {} chunks\n"
      "  {} copies of {} bytes, {} of them changed; {} new bytes; search: {}\n"
      "  head {} bytes, SHA-256 {}\n  SHA-256 {}\n",
      arguments.output, report.payload_bytes,
      100.0 * static_cast<double>(report.payload_bytes) /
          static_cast<double>(std::max<std::uint64_t>(report.target_bytes, 1)),
      report.target_bytes, report.chunk_count, report.copies, report.copied_bytes,
      report.changed_bytes, report.new_bytes, to_string(report.search), report.head_bytes,
      to_hex(report.head_sha256), to_hex(report.payload_sha256));
  return {};
}

Result<void> apply(Disk& disk, const Arguments& arguments) {
  const auto payload = TRY(disk.open_read(arguments.payload));
  const PayloadHead head = TRY_CONTEXT(read_head(*payload), arguments.payload);
  const auto base = arguments.base.empty() ? nullptr : TRY(disk.open_read(arguments.base));
  TRY_VOID(Applier::open(head, base.get()));
  const std::uint64_t free = TRY(disk.free_bytes(parent_dir(arguments.output)));
  if (free < head.target_bytes())
    return fail(ErrorCode::kDiskFull, "{} needs {} bytes, {} are free: {} are missing",
                arguments.output, head.target_bytes(), free, head.target_bytes() - free);
  TemporaryFile output = TRY(TemporaryFile::create(disk, arguments.output));
  TRY_VOID(apply_payload(*payload, base.get(), output.file()));
  TRY_VOID(output.publish());
  fmt::print("{}: {} bytes, SHA-256 {}\n", arguments.output, head.target_bytes(),
             to_hex(head.target_sha256()));
  return {};
}

void print_json(const PayloadHead& head) {
  fmt::print(
      "{{\"version\":{},\"coder\":\"{}\",\"headBytes\":{},\"payloadBytes\":{},\n"
      " \"target\":{{\"bytes\":{},\"sha256\":\"{}\"}},\n",
      head.version(), to_string(head.coder()), head.head_bytes(), head.payload_bytes(),
      head.target_bytes(), to_hex(head.target_sha256()));
  if (head.base())
    fmt::print(" \"base\":{{\"bytes\":{},\"sha256\":\"{}\"}},\n", head.base()->bytes,
               to_hex(head.base()->sha256));
  fmt::print(" \"chunks\":[");
  const char* separator = "";
  for (const ChunkEntry& chunk : head.chunks()) {
    fmt::print(
        "{}\n  {{\"targetOffset\":{},\"targetBytes\":{},\"payloadOffset\":{},\"payloadBytes\":{},"
        "\"payloadBlake2b\":\"{}\",\"targetBlake2b\":\"{}\"}}",
        separator, chunk.target_offset, chunk.target_bytes, chunk.payload_offset,
        chunk.payload_bytes, to_hex(chunk.payload_digest), to_hex(chunk.target_digest));
    separator = ",";
  }
  fmt::print("]}}\n");
}

void print_text(const PayloadHead& head) {
  fmt::print("version {}, coder {}, {} bytes of which the head {}\n", head.version(),
             to_string(head.coder()), head.payload_bytes(), head.head_bytes());
  fmt::print("target  {} bytes, SHA-256 {}\n", head.target_bytes(), to_hex(head.target_sha256()));
  if (head.base())
    fmt::print("base    {} bytes, SHA-256 {}\n", head.base()->bytes, to_hex(head.base()->sha256));
  else
    fmt::print("base    none: a full image\n");
  fmt::print("{:>6} {:>14} {:>10} {:>14} {:>10}\n", "chunk", "target offset", "bytes",
             "payload offset", "bytes");
  for (std::uint32_t i = 0; i < head.chunk_count(); ++i) {
    const ChunkEntry& chunk = head.chunk(i);
    fmt::print("{:>6} {:>14} {:>10} {:>14} {:>10}\n", i, chunk.target_offset, chunk.target_bytes,
               chunk.payload_offset, chunk.payload_bytes);
  }
}

Result<void> inspect(Disk& disk, const Arguments& arguments) {
  const auto payload = TRY(disk.open_read(arguments.payload));
  const PayloadHead head = TRY_CONTEXT(read_head(*payload), arguments.payload);
  if (arguments.json)
    print_json(head);
  else
    print_text(head);
  return {};
}

int run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Makes, applies and looks into Layby payloads");
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 wrong command line, 2 a file cannot be read or written,\n"
      "3 wrong base, 4 payload damaged or not a payload, 5 anything else.");

  CLI::App* diff_command = app.add_subcommand("diff", "Make a payload from OLD to NEW");
  diff_command->add_option("FILES", arguments.files, "OLD NEW; with --full only NEW")->required();
  diff_command->add_option("-o,--output", arguments.output, "The payload")->required();
  diff_command->add_flag("--full", arguments.full, "A full image, applied without a base");
  diff_command->add_flag("--fast", arguments.fast, "Larger and made sooner");
  diff_command->add_option("--chunk-bytes", arguments.chunk_bytes,
                           "Target bytes of a chunk, 1024 to 4194304");
  diff_command->add_option("--memory-bytes", arguments.memory_bytes,
                           "Most memory to use; the search for matches becomes coarser below "
                           "about seven times OLD");

  CLI::App* apply_command = app.add_subcommand("apply", "Make NEW from a payload");
  apply_command->add_option("PAYLOAD", arguments.payload)->required();
  apply_command->add_option("--base", arguments.base, "OLD; not for a full image");
  apply_command->add_option("-o,--output", arguments.output, "NEW")->required();

  CLI::App* inspect_command = app.add_subcommand("inspect", "Show what a payload says");
  inspect_command->add_option("PAYLOAD", arguments.payload)->required();
  inspect_command->add_flag("--json", arguments.json, "As JSON");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  RealDisk disk;
  const Result<void> done = diff_command->parsed()    ? diff(disk, arguments)
                            : apply_command->parsed() ? apply(disk, arguments)
                                                      : inspect(disk, arguments);
  if (done) return 0;
  fmt::print(stderr, "layby-delta: {}\n", done.error().message());
  return exit_status(done.error().code());
}

}  // namespace
}  // namespace layby::delta

int main(int argc, char** argv) {
  layby::crypto::initialize();
  return layby::delta::run(argc, argv);
}
