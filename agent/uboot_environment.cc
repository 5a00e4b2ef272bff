#include "agent/uboot_environment.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "agent/software_slot.h"
#include "base/limits.h"

namespace layby::agent {
namespace {

constexpr std::uint64_t kConfigBytesMax = 16 * kKiB;
constexpr std::size_t kHeaderBytes = 5;  // CRC-32 and flag
constexpr std::uint64_t kEnvironmentBytesMax = kMiB;
constexpr int kReadsOfCopy = 3;
constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << 62;  // no sum with it overflows

// As zlib's; the environment is a few kilobytes, so no table.
std::uint32_t crc32(ByteSpan bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

// Decimal, or hexadecimal after 0x, as fw_env.config has them.
std::optional<std::uint64_t> number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || at != end) return std::nullopt;
  return value;
}

bool has_good_crc(ByteSpan copy) {
  return load_u32(copy.data()) == crc32(copy.subspan(kHeaderBytes));
}

// Flags count up and begin again at 0 behind 255.
bool is_newer(std::uint8_t a, std::uint8_t b) {
  if (a == 0 && b == 255) return true;
  if (a == 255 && b == 0) return false;
  return a > b;
}

Result<BootVariables> parse(ByteSpan data) {
  BootVariables variables;
  std::string_view rest = as_text(data);
  while (!rest.empty() && rest.front() != '\0') {
    const std::size_t end = rest.find('\0');
    const std::size_t equals = rest.find('=');
    if (end == std::string_view::npos || equals == std::string_view::npos || equals > end)
      return fail(ErrorCode::kCorrupt, "U-Boot's environment: a variable without = or end");
    variables[std::string(rest.substr(0, equals))] = rest.substr(equals + 1, end - equals - 1);
    rest.remove_prefix(end + 1);
  }
  return variables;
}

}  // namespace

Result<UbootEnvironment::Copy> UbootEnvironment::parse_line(const std::string& line) {
  std::istringstream words(line);
  std::string device, offset, size;
  words >> device >> offset >> size;
  const auto at = number(offset), bytes = number(size);
  if (!at || !bytes || *bytes <= kHeaderBytes || *bytes > kEnvironmentBytesMax || *at > kOffsetMax)
    return fail(ErrorCode::kBadFormat, "\"{}\": DEVICE OFFSET SIZE is expected", line);
  if (device.starts_with("/dev/mtd") || device.starts_with("/dev/ubi"))
    return fail(ErrorCode::kUnsupported, "{}: raw flash; files and block devices are written",
                device);
  return Copy{device, *at, *bytes};
}

Result<UbootEnvironment> UbootEnvironment::open(Disk& disk, const std::string& config_path) {
  const Bytes bytes = TRY(read_file(disk, config_path, kConfigBytesMax));
  std::vector<Copy> copies;
  std::istringstream lines{std::string(as_text(bytes))};
  for (std::string line; std::getline(lines, line);) {
    line.erase(0, line.find_first_not_of(" \t"));
    if (line.empty() || line.front() == '#') continue;
    copies.push_back(TRY_CONTEXT(parse_line(line), config_path));
  }
  if (copies.size() != 2 || copies[0].size != copies[1].size)
    return fail(ErrorCode::kUnsupported,
                "{}: two copies of one size are needed, a power cut could destroy a single one",
                config_path);
  if (overlap(disk, copies[0], copies[1]))
    return fail(ErrorCode::kUnsupported,
                "{}: the two copies lie over each other, a write would destroy both", config_path);
  return UbootEnvironment(disk, {copies[0], copies[1]});
}

bool UbootEnvironment::overlap(Disk& disk, const Copy& a, const Copy& b) {
  if (a.offset >= b.offset + b.size || b.offset >= a.offset + a.size) return false;
  return is_same_file(disk, a.path, b.path);
}

Result<Bytes> UbootEnvironment::read_copy(const Copy& copy) {
  const auto file = TRY(disk_.open_read(copy.path));
  Bytes bytes(copy.size);
  TRY_VOID(file->read_at(copy.offset, bytes));
  return bytes;
}

Result<UbootEnvironment::Loaded> UbootEnvironment::load() {
  std::array<std::optional<Bytes>, 2> good;
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    auto bytes = read_copy(copies_[i]);
    // The other copy is older: it stands in for one that is damaged, not for one failed read.
    for (int again = 1; again < kReadsOfCopy && !bytes; ++again) bytes = read_copy(copies_[i]);
    // A device that is not there yet: a write would make a file of its name.
    if (!bytes && bytes.error().code() == ErrorCode::kNotFound) return fail(bytes.error());
    if (bytes && has_good_crc(*bytes)) good[i] = std::move(*bytes);
  }
  if (!good[0] && !good[1])
    return fail(ErrorCode::kCorrupt,
                "neither copy of U-Boot's environment has a good CRC ({}, {}): write one with "
                "fw_setenv",
                copies_[0].path, copies_[1].path);
  constexpr std::size_t kFlagAt = 4;
  const bool takes_second =
      !good[0] || (good[1] && is_newer((*good[1])[kFlagAt], (*good[0])[kFlagAt]));
  const std::size_t copy = takes_second ? 1 : 0;
  Loaded loaded;
  loaded.copy = copy;
  loaded.flag = (*good[copy])[kFlagAt];
  loaded.variables = TRY(parse(ByteSpan(*good[copy]).subspan(kHeaderBytes)));
  return loaded;
}

Result<BootVariables> UbootEnvironment::variables() {
  return TRY(load()).variables;
}

Result<BootRecord> UbootEnvironment::read() {
  return boot_record_of(TRY(variables()));
}

Result<void> UbootEnvironment::write(const BootRecord& record) {
  Loaded loaded = TRY(load());
  put_boot_record(record, loaded.variables);
  const Copy& other = copies_[1 - loaded.copy];
  std::string data;
  for (const auto& [name, value] : loaded.variables) data += name + "=" + value + '\0';
  if (data.size() + 1 > other.size - kHeaderBytes)
    return fail(ErrorCode::kTooLarge, "U-Boot's environment has no room for more variables");
  data.resize(other.size - kHeaderBytes, '\0');
  Bytes copy(kHeaderBytes);
  const std::uint32_t crc = crc32(as_bytes(data));
  for (int i = 0; i < 4; ++i) copy[i] = static_cast<std::uint8_t>(crc >> (8 * i));
  copy[4] = static_cast<std::uint8_t>(loaded.flag + 1);
  const ByteSpan body = as_bytes(data);
  copy.insert(copy.end(), body.begin(), body.end());
  const auto file = TRY(disk_.open_write(other.path));
  TRY_VOID(file->write_at(other.offset, copy));
  return file->sync();
}

}  // namespace layby::agent
