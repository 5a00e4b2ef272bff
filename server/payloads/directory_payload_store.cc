#include "server/payloads/directory_payload_store.h"

namespace layby::server {

Result<std::unique_ptr<DirectoryPayloadStore>> DirectoryPayloadStore::open(Disk& disk,
                                                                           std::string root) {
  TRY_VOID(disk.make_dirs(root + "/incoming"));
  TRY_VOID(disk.sync_dir(root));
  TRY_VOID(disk.sync_dir(parent_dir(root)));
  return std::unique_ptr<DirectoryPayloadStore>(new DirectoryPayloadStore(disk, std::move(root)));
}

std::string DirectoryPayloadStore::path_of(const crypto::Digest256& name) const {
  const std::string hex = to_hex(name);
  return root_ + "/" + hex.substr(0, 2) + "/" + hex.substr(2, 2) + "/" + hex;
}

Result<std::unique_ptr<ReadAt>> DirectoryPayloadStore::open(const crypto::Digest256& name) const {
  return disk_.open_read(path_of(name));
}

Result<std::string> DirectoryPayloadStore::local_path(const crypto::Digest256& name) const {
  std::string path = path_of(name);
  const FileStatus status = TRY(disk_.status(path));
  if (status.kind != FileStatus::Kind::kFile)
    return fail(ErrorCode::kCorrupt, "{} is not a file", path);
  return path;
}

Result<void> DirectoryPayloadStore::adopt(const std::string& path, const crypto::Digest256& name) {
  const std::string target = path_of(name);
  const std::string inner = parent_dir(target);
  const std::string outer = parent_dir(inner);
  if (disk_.status(target)) {
    // Whoever brought it may not have come to the sync yet.
    for (const std::string& directory : {inner, outer, root_}) TRY_VOID(disk_.sync_dir(directory));
    return disk_.remove(path);
  }
  TRY(disk_.status(path));
  {
    // The sync comes first: what is hashed is then what survives.
    const std::unique_ptr<File> file = TRY(disk_.open_write(path));
    TRY_VOID(file->sync());
    const auto digests = TRY(crypto::hash_all(*file, crypto::Hasher::With::kSha256));
    if (digests.sha256 != name)
      return fail(ErrorCode::kWrongImage, "the bytes have the digest {}, not {}",
                  to_hex(digests.sha256), to_hex(name));
  }
  TRY_VOID(disk_.make_dirs(inner));
  TRY_VOID(disk_.rename(path, target));
  for (const std::string& directory : {inner, outer, root_}) TRY_VOID(disk_.sync_dir(directory));
  return {};
}

}  // namespace layby::server
