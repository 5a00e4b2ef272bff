#include "agent/kept_file.h"

#include <algorithm>

#include "crypto/digest.h"

namespace layby::agent {
namespace {

constexpr int kReads = 3;  // a medium that fails once may do so no second time

std::string copy_of(const std::string& path) {
  return path + ".copy";
}

Result<Bytes> whole_copy(Disk& disk, const std::string& path, std::uint64_t bytes_max) {
  const Bytes bytes = TRY(read_file(disk, path, sizeof(crypto::Digest256) + bytes_max));
  if (bytes.size() < sizeof(crypto::Digest256))
    return fail(ErrorCode::kCorrupt, "{} is too short", path);
  const ByteSpan body = ByteSpan(bytes).subspan(sizeof(crypto::Digest256));
  const crypto::Digest256 digest = crypto::blake2b_256(body);
  if (!std::equal(digest.begin(), digest.end(), bytes.begin()))
    return fail(ErrorCode::kCorrupt, "{} does not have its digest any more", path);
  return Bytes(body.begin(), body.end());
}

}  // namespace

Result<Bytes> read_kept(Disk& disk, const std::string& path, std::uint64_t bytes_max) {
  for (int i = 0; i < kReads; ++i) {
    auto copy = whole_copy(disk, copy_of(path), bytes_max);
    if (copy) return copy;
    if (copy.error().code() == ErrorCode::kNotFound) break;
  }
  auto bytes = read_file(disk, path, bytes_max);
  for (int i = 1; i < kReads && !bytes && bytes.error().code() == ErrorCode::kIo; ++i)
    bytes = read_file(disk, path, bytes_max);
  return bytes;
}

Result<void> write_kept(Disk& disk, const std::string& path, ByteSpan bytes) {
  const crypto::Digest256 digest = crypto::blake2b_256(bytes);
  Bytes copy(digest.begin(), digest.end());
  copy.insert(copy.end(), bytes.begin(), bytes.end());
  TRY_VOID(replace_file(disk, copy_of(path), copy));
  return replace_file(disk, path, bytes);
}

Result<void> remove_kept(Disk& disk, const std::string& path) {
  TRY_VOID(disk.remove(copy_of(path)));
  TRY_VOID(disk.remove(path));
  return disk.sync_dir(path.substr(0, path.rfind('/')));
}

}  // namespace layby::agent
