#include "tests/agent/c_host.h"

#include <cstdlib>

#include "agent/layout.h"
#include "base/assert.h"
#include "crypto/certificate.h"

namespace layby::tests {
namespace {

// Names that a callback gives are its caller's; ErrorCode's numbers are those of the interface.
int code_of(const Error& error) {
  return static_cast<int>(error.code());
}

template <typename T>
int code_of(const Result<T>& result) {
  return result ? LAYBY_OK : code_of(result.error());
}

MemoryDisk& disk_of(void* context) {
  return static_cast<World*>(context)->disk;
}

// One that is open: for both, or for reading alone.
struct Open {
  std::unique_ptr<ReadAt> reader;
  File* file = nullptr;  // of `reader`
};

Open& open_of(void* file) {
  return *static_cast<Open*>(file);
}

int open_file(void* context, const char* path, layby_open_mode mode, void** file) {
  auto open = std::make_unique<Open>();
  if (mode == LAYBY_OPEN_READ) {
    auto reader = disk_of(context).open_read(path);
    if (!reader) return code_of(reader);
    open->reader = std::move(*reader);
  } else {
    auto both = disk_of(context).open_write(path);
    if (!both) return code_of(both);
    open->file = both->get();
    open->reader = std::move(*both);
  }
  *file = open.release();
  return LAYBY_OK;
}

int status(void* context, const char* path, layby_file_kind* kind, std::uint64_t* bytes) {
  const auto found = disk_of(context).status(path);
  if (!found) return code_of(found);
  *bytes = found->size;
  switch (found->kind) {
    case FileStatus::Kind::kFile: *kind = LAYBY_FILE; break;
    case FileStatus::Kind::kDirectory: *kind = LAYBY_DIRECTORY; break;
    case FileStatus::Kind::kSymlink: *kind = LAYBY_SYMLINK; break;
    case FileStatus::Kind::kOther: *kind = LAYBY_OTHER; break;
  }
  return LAYBY_OK;
}

int do_command(World& world, const layby_command& command) {
  FakeVehicle& car = world.vehicle;
  switch (command.kind) {
    case LAYBY_ACTIVATE_FUNCTION:
      return code_of(car.activate_function(command.name, command.path, command.until));
    case LAYBY_DEACTIVATE_FUNCTION: return code_of(car.deactivate_function(command.name));
    case LAYBY_BOOT_TRIAL: return code_of(car.boot_software(agent::BootStep::kTrial, command.path));
    case LAYBY_BOOT_KEEP: return code_of(car.boot_software(agent::BootStep::kKeep, command.path));
    case LAYBY_BOOT_REVERT:
      return code_of(car.boot_software(agent::BootStep::kRevert, command.path));
    case LAYBY_CHECK_SOFTWARE: return code_of(car.check_software(command.path));
    case LAYBY_RELOAD_MAPS: return code_of(car.reload_maps(command.path));
    case LAYBY_SHOW: return code_of(car.show({.language = "en", .lines = {command.name}}));
  }
  return LAYBY_INVALID_ARGUMENT;
}

agent::HttpRequest request_of(const layby_request& asked) {
  agent::HttpRequest request{.method = std::string(asked.method) == "POST"
                                           ? agent::HttpRequest::Method::kPost
                                           : agent::HttpRequest::Method::kGet,
                             .path = asked.path};
  for (std::size_t i = 0; i < asked.header_count; ++i)
    request.headers[asked.headers[i].name] = asked.headers[i].value;
  request.body.assign(static_cast<const char*>(asked.body), asked.body_bytes);
  if (asked.range_bytes > 0)
    request.range = agent::ByteRange{.offset = asked.range_offset, .length = asked.range_bytes};
  request.bytes_max = asked.bytes_max;
  return request;
}

int give_body(layby_answer* answer, const std::string& body) {
  constexpr std::size_t kPieceBytes = 4096;
  for (std::size_t at = 0; at < body.size(); at += kPieceBytes) {
    const int taken =
        layby_answer_body(answer, body.data() + at, std::min(kPieceBytes, body.size() - at));
    if (taken != LAYBY_OK) return taken;
  }
  return LAYBY_OK;
}

// The world's server by a transport that knows nothing of sinks: bytes first, then their end.
int exchange_with(World& world, const layby_request& asked, layby_answer* answer) {
  std::string payload;
  const agent::BodySink sink = [&](ByteSpan bytes) -> Result<void> {
    payload.append(as_text(bytes));
    return {};
  };
  const auto got =
      world.server.exchange(request_of(asked), asked.range_bytes > 0 ? sink : agent::BodySink{});
  if (got) {
    layby_answer_status(answer, 100);
    layby_answer_header(answer, "X-Passing", "not of this answer");
    layby_answer_status(answer, got->status);
    for (const auto& [name, value] : got->headers)
      layby_answer_header(answer, name.c_str(), value.c_str());
  } else if (!payload.empty()) {  // broken off in the middle
    layby_answer_status(answer, 206);
  }
  if (!payload.empty()) {  // which the world's server leaves to its sinks
    const std::string range = fmt::format("bytes {}-", asked.range_offset);
    layby_answer_header(answer, "Content-Range", range.c_str());
  }
  const int given = give_body(answer, got && payload.empty() ? got->body : payload);
  if (given != LAYBY_OK) return given;
  return code_of(got);
}

}  // namespace

CHost::CHost(World& of) : world(of) {
  give_certificate();
  options.size = sizeof options;
  options.state_directory = kState;
  options.language = "en";
  give_disk();
  give_vehicle();
  give_the_rest();
}

// A host's transport shows it: the car is paired with a real one.
void CHost::give_certificate() {
  const agent::Layout layout(kState);
  const auto own = crypto::make_authority(
      kVin, {.not_before = kStart - kDaySeconds, .not_after = kStart + 1000 * kDaySeconds});
  LAYBY_ASSERT(own.has_value());
  const std::string both = own->certificate_pem + own->key_pem;
  LAYBY_ASSERT(replace_file(world.disk, layout.certificate(), as_bytes(both)).has_value());
}

void CHost::give_disk() {
  layby_disk& disk = options.disk;
  disk.context = &world;
  disk.open = open_file;
  disk.size = [](void*, void* file, std::uint64_t* bytes) -> int {
    *bytes = open_of(file).reader->size();
    return LAYBY_OK;
  };
  disk.read = [](void*, void* file, std::uint64_t offset, void* bytes, std::size_t count) {
    return code_of(
        open_of(file).reader->read_at(offset, {static_cast<std::uint8_t*>(bytes), count}));
  };
  disk.write = [](void*, void* file, std::uint64_t offset, const void* bytes, std::size_t count) {
    return code_of(
        open_of(file).file->write_at(offset, {static_cast<const std::uint8_t*>(bytes), count}));
  };
  disk.truncate = [](void*, void* file, std::uint64_t bytes) {
    return code_of(open_of(file).file->truncate(bytes));
  };
  disk.reserve = [](void*, void* file, std::uint64_t bytes) {
    return code_of(open_of(file).file->reserve(bytes));
  };
  disk.sync = [](void*, void* file) { return code_of(open_of(file).file->sync()); };
  disk.close = [](void*, void* file) { delete &open_of(file); };
  disk.status = status;
  disk.make_directories = [](void* context, const char* path) {
    return code_of(disk_of(context).make_dirs(path));
  };
  disk.list = [](void* context, const char* path, void (*give)(void*, const char*), void* sink) {
    const auto names = disk_of(context).list(path);
    if (!names) return code_of(names);
    for (auto name = names->rbegin(); name != names->rend(); ++name) give(sink, name->c_str());
    return LAYBY_OK;
  };
  disk.rename = [](void* context, const char* from, const char* to) {
    return code_of(disk_of(context).rename(from, to));
  };
  disk.make_symlink = [](void* context, const char* target, const char* path) {
    return code_of(disk_of(context).symlink(target, path));
  };
  disk.read_symlink = [](void* context, const char* path, void (*give)(void*, const char*),
                         void* sink) {
    const auto target = disk_of(context).read_symlink(path);
    if (!target) return code_of(target);
    give(sink, target->c_str());
    return LAYBY_OK;
  };
  disk.remove = [](void* context, const char* path) {
    return code_of(disk_of(context).remove(path));
  };
  disk.remove_tree = [](void* context, const char* path) {
    return code_of(disk_of(context).remove_tree(path));
  };
  disk.sync_directory = [](void* context, const char* path) {
    return code_of(disk_of(context).sync_dir(path));
  };
  disk.free_bytes = [](void* context, const char* path, std::uint64_t* bytes) {
    const auto free = disk_of(context).free_bytes(path);
    if (free) *bytes = *free;
    return code_of(free);
  };
}

void CHost::give_vehicle() {
  layby_vehicle& vehicle = options.vehicle;
  vehicle.context = &world;
  vehicle.tells_changes = 1;
  vehicle.read_signals =
      [](void* context, void (*give)(void*, const char*, const char*, std::int64_t), void* sink) {
        const agent::Facts& facts = static_cast<World*>(context)->vehicle.facts();
        for (const auto& [name, signal] : facts.signals())
          give(sink, name.c_str(), signal.value.c_str(), signal.at_ms);
        for (const std::string& name : facts.lost()) give(sink, name.c_str(), nullptr, 0);
        give(sink, nullptr, "true", 0);
      };
  vehicle.command = [](void* context, const layby_command* command) {
    return do_command(*static_cast<World*>(context), *command);
  };
}

void CHost::give_the_rest() {
  options.clock = {
      .context = &world,
      .unix_seconds = [](void* context) { return static_cast<World*>(context)->clock.now(); },
      .monotonic_ms =
          [](void* context) { return static_cast<World*>(context)->clock.monotonic_ms(); }};
  options.transport = {
      .context = this,
      .exchange = [](void* context, const layby_request* request, layby_answer* answer) {
        CHost& host = *static_cast<CHost*>(context);
        return host.exchange ? host.exchange(*request, answer)
                             : exchange_with(host.world, *request, answer);
      }};
  options.allocator = {.context = this,
                       .allocate = [](void* context, std::size_t bytes) -> void* {
                         CHost& host = *static_cast<CHost*>(context);
                         if (++host.requests == host.fail_request) return nullptr;
                         ++host.blocks;
                         host.bytes_taken += bytes;
                         return std::malloc(bytes);
                       },
                       .release =
                           [](void* context, void* block) {
                             --static_cast<CHost*>(context)->blocks;
                             std::free(block);
                           }};
  if (!LAYBY_HOST_MEMORY) options.allocator = {};
  options.log = {
      .context = this, .write = [](void* context, layby_log_level level, const char* line) {
        static_cast<CHost*>(context)->log.push_back((level == LAYBY_LOG_ERROR ? "!" : "") +
                                                    std::string(line));
      }};
}

int CHost::open() {
  char text[300];
  const int result = layby_agent_open(&options, &agent, text, sizeof text);
  error = text;
  return result;
}

void CHost::close() {
  layby_agent_close(agent);
  agent = nullptr;
}

int CHost::run(std::int64_t seconds, const std::function<bool()>& done) {
  const std::int64_t end_ms = world.clock.monotonic_ms() + seconds * 1000;
  for (int steps = 0; steps < 100'000; ++steps) {
    const int result = layby_agent_step(agent, &wait_ms_last);
    if (result != LAYBY_OK || (done && done())) return result;
    if (wait_ms_last > 0 && world.clock.monotonic_ms() >= end_ms) return result;
    world.clock.advance_ms(wait_ms_last);
  }
  LAYBY_ASSERT(false);
  return LAYBY_INTERNAL;
}

int CHost::exit_and_lock() {
  world.vehicle.stand_open();
  const int result = run(0);
  world.vehicle.park_locked();
  return result;
}

}  // namespace layby::tests
