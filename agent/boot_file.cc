#include "agent/boot_file.h"

namespace layby::agent {
namespace {

constexpr std::size_t kBlockBytes = 1024;
constexpr std::string_view kSignature = "# GRUB Environment Block\n";

}  // namespace

Result<BootVariables> BootFile::load() {
  const auto bytes = read_file(disk_, path_, kBlockBytes);
  if (!bytes && bytes.error().code() == ErrorCode::kNotFound) return BootVariables{};
  if (!bytes) return fail(bytes.error());
  std::string_view rest = as_text(*bytes);
  if (rest.size() != kBlockBytes || !rest.starts_with(kSignature))
    return fail(ErrorCode::kCorrupt, "{} is no environment block of GRUB", path_);
  BootVariables variables;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos)
      return fail(ErrorCode::kCorrupt, "{}: the line \"{}\" has no =", path_, line);
    variables[std::string(line.substr(0, equals))] = line.substr(equals + 1);
  }
  return variables;
}

Result<BootRecord> BootFile::read() {
  return boot_record_of(TRY(load()));
}

Result<void> BootFile::write(const BootRecord& record) {
  BootVariables variables = TRY(load());
  put_boot_record(record, variables);
  std::string block(kSignature);
  for (const auto& [name, value] : variables) block += name + "=" + value + "\n";
  if (block.size() > kBlockBytes)
    return fail(ErrorCode::kTooLarge, "{} has no room for more variables", path_);
  block.resize(kBlockBytes, '#');
  return replace_file(disk_, path_, as_bytes(block));
}

}  // namespace layby::agent
