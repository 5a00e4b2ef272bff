// layby-delta: makes, applies and looks into payloads by hand.
//
//   1. read the command line
//   2. open what is read, refuse what cannot work
//   3. do it into a temporary file beside the result, which goes away with us whatever ends us
//   4. sync, rename: the result's name never stands for half a file
//   5. make sure that what was said was heard
//
// Exit status: 0 done; 1 the command line makes no sense; 2 a file is missing, cannot be read or
// written, or the disk is full; 3 the base is not the one the payload was made for; 4 the payload
// is damaged, cut off or not a payload; 5 anything else.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <csignal>
#include <cstdio>
#include <new>
#include <string>
#include <system_error>

#include "base/disk.h"
#include "base/mapped_file.h"
#include "crypto/initialize.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "delta/payload.h"

namespace layby::delta {
namespace {

struct Arguments {
  std::vector<std::string> files;  // of diff: OLD NEW, or NEW
  bool full = false;
  std::string profile = "small";
  bool quick = false;
  bool json = false;
  std::optional<std::uint32_t> chunk_bytes{};
  std::uint64_t memory_bytes = EncodeOptions{}.memory_bytes_max;
  unsigned threads = 0;
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

// The path of the temporary file, for the signal handler; empty while there is none.
char unfinished[PATH_MAX];

// Ctrl-C and the like: nothing half made is left, and whoever waits for us sees the signal.
extern "C" void remove_unfinished(int signal) {
  if (unfinished[0] != '\0') ::unlink(unfinished);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void handle_signals() {
  // SIGBUS: an image became shorter meanwhile, or its disk failed.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGBUS}) std::signal(signal, remove_unfinished);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write()
}

// A result in the making. Unless it is published it is removed again.
class TemporaryFile {
 public:
  // Its name holds our process number: two that make the same result do not write into one file,
  // and nobody's file is called so.
  static Result<TemporaryFile> create(Disk& disk, const std::string& path) {
    // The rename would put a file in the place of a device or of a link.
    const auto old = disk.status(path);
    if (old && old->kind != FileStatus::Kind::kFile)
      return fail(ErrorCode::kIo, "{} is not a file: it is not replaced", path);
    const std::string temporary = fmt::format("{}.{}.part", path, ::getpid());
    if (temporary.size() >= sizeof unfinished)
      return fail(ErrorCode::kIo, "{} is too long a path", path);
    TRY_VOID(disk.remove(temporary));
    temporary.copy(unfinished, temporary.size());
    return TemporaryFile(disk, path, temporary, TRY(disk.open_write(temporary)));
  }
  ~TemporaryFile() {
    if (!file_) return;
    file_.reset();
    static_cast<void>(disk_->remove(temporary_));
    unfinished[0] = '\0';
  }
  TemporaryFile(TemporaryFile&&) noexcept = default;

  File& file() { return *file_; }

  Result<void> publish() {
    TRY_VOID(file_->sync());
    TRY_VOID(disk_->rename(temporary_, path_));
    unfinished[0] = '\0';
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
    case EncodeReport::Search::kRegions: return "regions";
  }
  return "unknown";
}

// An image may be larger than memory. What cannot be mapped is read.
Result<std::unique_ptr<ReadAt>> open_image(Disk& disk, const std::string& path) {
  if (auto mapped = MappedFile::open(path)) return std::move(*mapped);
  return disk.open_read(path);
}

Result<void> diff(Disk& disk, const Arguments& arguments) {
  const std::size_t wanted = arguments.full ? 1 : 2;
  if (arguments.files.size() != wanted)
    return fail(ErrorCode::kInvalidArgument, "diff takes OLD NEW, or --full NEW: {} files given",
                arguments.files.size());
  const auto base = arguments.full ? nullptr : TRY(open_image(disk, arguments.files[0]));
  const auto target = TRY(open_image(disk, arguments.files.back()));
  EncodeOptions options;
  options.profile = arguments.profile == "fast" ? Profile::kFast : Profile::kSmall;
  options.effort = arguments.quick ? Effort::kQuick : Effort::kThorough;
  options.chunk_target_bytes = arguments.chunk_bytes;
  options.memory_bytes_max = arguments.memory_bytes;
  options.threads = arguments.threads;
  options.temporary_directory = parent_dir(arguments.output);
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
  if (report.streams > 0) fmt::print("  {} compressed streams seen through\n", report.streams);
  if (report.streams_left_out > 0 || report.copies_left_out > 0)
    fmt::print("  left out: {} streams more than fit, {} copies too dear to read\n",
               report.streams_left_out, report.copies_left_out);
  if (!report.streams_given_up.empty())
    fmt::print("  no compressed stream is seen through: {}\n", report.streams_given_up);
  return {};
}

struct Wanted {
  std::uint64_t bytes;
  crypto::Digest256 sha256;
};

// What the payload makes, if it can be made here. The head is let go again: applying keeps its own.
Result<Wanted> check_apply(Disk& disk, const ReadAt& payload, const ReadAt* base,
                           const Arguments& arguments) {
  PayloadHead head = TRY_CONTEXT(read_head(payload), arguments.payload);
  const Wanted wanted{head.target_bytes(), head.target_sha256()};
  TRY_VOID(Applier::open(std::move(head), base));
  const std::uint64_t free = TRY(disk.free_bytes(parent_dir(arguments.output)));
  if (free < wanted.bytes)
    return fail(ErrorCode::kDiskFull, "{} needs {} bytes, {} are free: {} are missing",
                arguments.output, wanted.bytes, free, wanted.bytes - free);
  return wanted;
}

Result<void> apply(Disk& disk, const Arguments& arguments) {
  const auto payload = TRY(disk.open_read(arguments.payload));
  const auto base = arguments.base.empty() ? nullptr : TRY(disk.open_read(arguments.base));
  const Wanted wanted = TRY(check_apply(disk, *payload, base.get(), arguments));
  TemporaryFile output = TRY(TemporaryFile::create(disk, arguments.output));
  TRY_VOID(apply_payload(*payload, base.get(), output.file()));
  TRY_VOID(output.publish());
  fmt::print("{}: {} bytes, SHA-256 {}\n", arguments.output, wanted.bytes, to_hex(wanted.sha256));
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

// What libraries throw, as an error: fmt where standard output takes nothing more, and whoever asks
// for memory.
template <typename Work>
Result<void> guarded(Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kTooLarge, "there is not enough memory");
  } catch (const std::system_error& error) {
    return fail(ErrorCode::kIo, "writing to standard output: {}", error.code().message());
  }
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
  diff_command
      ->add_option("--profile", arguments.profile,
                   "small: the fewest bytes; fast: applied several times faster")
      ->check(CLI::IsMember({"small", "fast"}))
      ->capture_default_str();
  diff_command->add_flag("--quick", arguments.quick, "Made sooner and larger");
  diff_command
      ->add_option("--chunk-bytes", arguments.chunk_bytes,
                   "Target bytes of a chunk, 1024 to 4194304; else 4 MiB, a full image 2 MiB")
      ->check(CLI::NonNegativeNumber);  // CLI11 reads -1 as the largest number
  diff_command
      ->add_option("--memory-bytes", arguments.memory_bytes,
                   "Most memory to use, at least 136 MiB, whatever the sizes of the images; below "
                   "about ten times OLD temporary files are used beside the payload, and below "
                   "about seven times it parts of OLD are searched less thoroughly")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);

  diff_command->add_option("--threads", arguments.threads,
                           "Threads that code chunks, 0 for all cores; the payload is the same");

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
  handle_signals();
  const Result<void> done = guarded([&]() -> Result<void> {
    RealDisk disk;
    TRY_VOID(diff_command->parsed()    ? diff(disk, arguments)
             : apply_command->parsed() ? apply(disk, arguments)
                                       : inspect(disk, arguments));
    if (std::fflush(stdout) != 0) throw std::system_error(errno, std::generic_category());
    return {};
  });
  if (done) return 0;
  std::fputs(fmt::format("layby-delta: {}\n", done.error().message()).c_str(), stderr);
  return exit_status(done.error().code());
}

}  // namespace
}  // namespace layby::delta

int main(int argc, char** argv) {
  layby::crypto::initialize();
  return layby::delta::run(argc, argv);
}
