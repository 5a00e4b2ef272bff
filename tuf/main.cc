// layby-tuf: a plain client of The Update Framework.
//
//   layby-tuf --metadata-dir M init ROOT
//   layby-tuf --metadata-url U --metadata-dir M refresh
//   layby-tuf --metadata-url U --metadata-dir M --target-name P... --target-dir T
//             --target-base-url B download
//
// Exit status: 0 all of it was done, 1 it was not; the reason is one line on standard error.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "crypto/initialize.h"
#include "tuf/directory_lock.h"
#include "tuf/session.h"

namespace layby::tuf {
namespace {

struct Arguments {
  std::string metadata_dir;
  std::string metadata_url;
  std::vector<std::string> target_names;
  std::string target_dir;
  std::string target_base_url;
  std::string root;
  std::string ca_file;
  std::uint32_t metadata_seconds = 30 * 60;  // slow retrieval: all of it, however many files it is
};

Result<void> require(const std::string& value, const char* option) {
  if (value.empty()) return fail(ErrorCode::kInvalidArgument, "{} is needed", option);
  return {};
}

Result<void> init(const Arguments& arguments) {
  TRY_VOID(require(arguments.metadata_dir, "--metadata-dir"));
  RealDisk disk;
  return MetadataDirectory(disk, arguments.metadata_dir).initialize(arguments.root);
}

Result<void> refresh(const Arguments& arguments) {
  TRY_VOID(require(arguments.metadata_dir, "--metadata-dir"));
  TRY_VOID(require(arguments.metadata_url, "--metadata-url"));
  RealDisk disk;
  const auto http = TRY(HttpClient::create(arguments.ca_file));
  const DirectoryLock lock =
      TRY_CONTEXT(DirectoryLock::take(arguments.metadata_dir), "no trusted root, use init first");
  Session session =
      TRY(Session::open(disk, *http, arguments.metadata_dir, arguments.metadata_url,
                        SystemClock().now(), std::chrono::seconds(arguments.metadata_seconds)));
  return session.refresh();
}

Result<void> download(const Arguments& arguments) {
  TRY_VOID(require(arguments.metadata_dir, "--metadata-dir"));
  TRY_VOID(require(arguments.metadata_url, "--metadata-url"));
  TRY_VOID(require(arguments.target_dir, "--target-dir"));
  TRY_VOID(require(arguments.target_base_url, "--target-base-url"));
  if (arguments.target_names.empty())
    return fail(ErrorCode::kInvalidArgument, "--target-name is needed");
  RealDisk disk;
  const auto http = TRY(HttpClient::create(arguments.ca_file));
  const DirectoryLock lock =
      TRY_CONTEXT(DirectoryLock::take(arguments.metadata_dir), "no trusted root, use init first");
  Session session =
      TRY(Session::open(disk, *http, arguments.metadata_dir, arguments.metadata_url,
                        SystemClock().now(), std::chrono::seconds(arguments.metadata_seconds)));
  TRY_VOID(session.refresh());
  for (const std::string& name : arguments.target_names)
    TRY_VOID(session.download(name, arguments.target_dir, arguments.target_base_url));
  return {};
}

// One line, whatever names of others are quoted in it.
void print_reason(std::string reason) {
  for (char& c : reason)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  fmt::print(stderr, "layby-tuf: {}\n", reason);
}

int run(int argc, char** argv) {
  CLI::App app{"A client of The Update Framework (TUF 1.0)", "layby-tuf"};
  Arguments arguments;
  app.add_option("--metadata-dir", arguments.metadata_dir, "trusted metadata lies here");
  app.add_option("--metadata-url", arguments.metadata_url, "where the repository has its metadata");
  app.add_option("--target-name", arguments.target_names, "what to download; may be repeated")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--target-dir", arguments.target_dir, "where downloaded targets go");
  app.add_option("--target-base-url", arguments.target_base_url,
                 "where the repository has targets");
  app.add_option("--ca", arguments.ca_file,
                 "PEM file of the servers' authority, in the place of the system's");
  app.add_option("--metadata-seconds", arguments.metadata_seconds,
                 "what all metadata together may take (1800)")
      ->check(CLI::Range(1, 86'400));
  app.require_subcommand(1);
  app.fallthrough();
  Result<void> (*chosen)(const Arguments&) = nullptr;
  CLI::App* init_command = app.add_subcommand("init", "trust a root; makes no request");
  init_command->add_option("ROOT", arguments.root, "file of the root to trust")->required();
  init_command->callback([&] { chosen = init; });
  app.add_subcommand("refresh", "fetch the newest metadata")->callback([&] { chosen = refresh; });
  app.add_subcommand("download", "refresh, then fetch targets")->callback([&] {
    chosen = download;
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    print_reason(error.what());
    return 1;
  }
  crypto::initialize();
  const Result<void> done = chosen(arguments);
  if (done) return 0;
  print_reason(fmt::format("{}: {}", to_string(done.error().code()), done.error().message()));
  return 1;
}

}  // namespace
}  // namespace layby::tuf

int main(int argc, char** argv) {
  try {
    return layby::tuf::run(argc, argv);
  } catch (const std::exception& error) {  // of a library: no memory, a broken stream
    std::fprintf(stderr, "layby-tuf: %s\n", error.what());
    return 1;
  }
}
