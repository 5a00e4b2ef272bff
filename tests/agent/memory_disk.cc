#include "tests/agent/memory_disk.h"

#include <algorithm>

namespace layby::tests {
namespace {

using Node = MemoryDisk::Node;
using NodePtr = MemoryDisk::NodePtr;
using Kind = FileStatus::Kind;

class MemoryFile final : public File {
 public:
  MemoryFile(MemoryDisk& disk, NodePtr node, std::string path)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)) {}

  std::uint64_t size() const override { return node_->data.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > size() || out.size() > size() - offset)
      return fail(ErrorCode::kIo, "reading {}: past its end", path_);
    std::copy_n(node_->data.begin() + static_cast<long>(offset), out.size(), out.begin());
    return {};
  }
  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    disk_.count();
    if (node_->data.size() < offset + bytes.size()) node_->data.resize(offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), node_->data.begin() + static_cast<long>(offset));
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    disk_.count();
    node_->data.resize(size);
    return {};
  }
  Result<void> sync() override {
    disk_.count();
    node_->synced_data = node_->data;
    return {};
  }

 private:
  MemoryDisk& disk_;
  NodePtr node_;
  std::string path_;
};

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : path + "/") {
    if (c != '/') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::move(part));
      part.clear();
    }
  }
  return parts;
}

}  // namespace

MemoryDisk::MemoryDisk() : root_(std::make_shared<Node>()) {
  root_->kind = Kind::kDirectory;
}

void MemoryDisk::count() {
  ++operations_;
  if (cut_at_ != 0 && operations_ >= cut_at_) throw PowerCut{};
}

// ---- what a power cut leaves --------------------------------------------------------------------

void MemoryDisk::settle(Node& node, Survives survives, std::mt19937& random) {
  const auto survived = [&] {
    return survives == Survives::kEverything ||
           (survives == Survives::kPerhaps && random() % 2 == 0);
  };
  if (node.kind == Kind::kDirectory) {
    std::map<std::string, NodePtr> kept = node.synced_entries;
    for (const auto& [name, entry] : node.entries) {  // names that are new or point elsewhere
      const auto old = kept.find(name);
      if ((old == kept.end() || old->second != entry) && survived()) kept[name] = entry;
    }
    for (const auto& [name, entry] : node.synced_entries)  // names that were removed
      if (!node.entries.contains(name) && survived()) kept.erase(name);
    node.entries = node.synced_entries = std::move(kept);
    for (auto& [name, entry] : node.entries) settle(*entry, survives, random);
    return;
  }
  if (node.data == node.synced_data) return;
  if (survived()) {
    node.synced_data = node.data;
    return;
  }
  if (survives == Survives::kPerhaps && random() % 2 == 0) {  // torn: a part of the write is there
    Bytes torn = node.synced_data;
    const std::size_t upto = random() % (node.data.size() + 1);
    if (torn.size() < upto) torn.resize(upto);
    std::copy_n(node.data.begin(), upto, torn.begin());
    node.synced_data = std::move(torn);
  }
  node.data = node.synced_data;
}

void MemoryDisk::restart(Survives survives, std::uint32_t seed) {
  std::mt19937 random(seed);
  settle(*root_, survives, random);
  cut_at_ = 0;
}

// ---- paths --------------------------------------------------------------------------------------

// The nodes from the root to where the path leads, without links: `..` needs them.
Result<std::vector<NodePtr>> MemoryDisk::walk(const std::string& path, Last last, int links_left,
                                              std::vector<NodePtr> trail) const {
  if (path.starts_with('/')) trail.assign(1, root_);
  const auto parts = split(path);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == ".") continue;
    if (parts[i] == "..") {
      if (trail.size() > 1) trail.pop_back();
      continue;
    }
    const NodePtr here = trail.back();
    const auto found = here->entries.find(parts[i]);
    if (here->kind != Kind::kDirectory || found == here->entries.end())
      return fail(ErrorCode::kNotFound, "{}: no {}", path, parts[i]);
    const bool is_last = i + 1 == parts.size();
    const NodePtr next = found->second;
    if (next->kind == Kind::kSymlink && !(is_last && last == Last::kStay)) {
      if (links_left == 0) return fail(ErrorCode::kIo, "{}: too many links", path);
      trail = TRY(walk(next->target, Last::kFollow, links_left - 1, std::move(trail)));
    } else {
      trail.push_back(next);
    }
  }
  return trail;
}

Result<NodePtr> MemoryDisk::find(const std::string& path, Last last) const {
  return TRY(walk(path, last, 8, {root_})).back();
}

Result<std::pair<NodePtr, std::string>> MemoryDisk::parent_of(const std::string& path) const {
  const auto parts = split(path);
  if (parts.empty()) return fail(ErrorCode::kIo, "{} has no parent", path);
  NodePtr parent = TRY(find(parent_dir(path), Last::kFollow));
  return std::pair(std::move(parent), parts.back());
}

// ---- the seam -----------------------------------------------------------------------------------

Result<std::unique_ptr<ReadAt>> MemoryDisk::open_read(const std::string& path) {
  NodePtr node = TRY(find(path, Last::kFollow));
  if (node->kind != Kind::kFile) return fail(ErrorCode::kIo, "{} is no file", path);
  return std::make_unique<MemoryFile>(*this, std::move(node), path);
}

Result<std::unique_ptr<File>> MemoryDisk::open_write(const std::string& path) {
  if (auto node = find(path, Last::kFollow)) {
    if ((*node)->kind == Kind::kDirectory) return fail(ErrorCode::kIo, "{}: a directory", path);
    return std::make_unique<MemoryFile>(*this, std::move(*node), path);
  }
  auto [parent, name] = TRY(parent_of(path));
  count();
  NodePtr& node = parent->entries[name] = std::make_shared<Node>();
  return std::make_unique<MemoryFile>(*this, node, path);
}

Result<FileStatus> MemoryDisk::status(const std::string& path) {
  const NodePtr node = TRY(find(path, Last::kStay));
  return FileStatus{node->kind, node->data.size()};
}

Result<void> MemoryDisk::make_dirs(const std::string& path) {
  NodePtr here = root_;
  for (const std::string& part : split(path)) {
    const auto found = here->entries.find(part);
    if (found != here->entries.end()) {
      here = found->second;
      continue;
    }
    count();
    auto made = std::make_shared<Node>();
    made->kind = Kind::kDirectory;
    here->entries[part] = here->synced_entries[part] = made;  // as RealDisk, which syncs each
    here = made;
  }
  return {};
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& path) {
  const NodePtr node = TRY(find(path, Last::kFollow));
  std::vector<std::string> names;
  for (const auto& [name, entry] : node->entries) names.push_back(name);
  return names;
}

Result<void> MemoryDisk::rename(const std::string& from, const std::string& to) {
  const auto [from_parent, from_name] = TRY(parent_of(from));
  const auto [to_parent, to_name] = TRY(parent_of(to));
  const auto found = from_parent->entries.find(from_name);
  if (found == from_parent->entries.end()) return fail(ErrorCode::kNotFound, "no {}", from);
  count();
  const NodePtr node = found->second;
  from_parent->entries.erase(found);
  to_parent->entries[to_name] = node;
  return {};
}

Result<void> MemoryDisk::symlink(const std::string& target, const std::string& path) {
  const auto [parent, name] = TRY(parent_of(path));
  if (parent->entries.contains(name)) return fail(ErrorCode::kAlreadyExists, "{} exists", path);
  count();
  auto node = std::make_shared<Node>();
  node->kind = Kind::kSymlink;
  node->target = target;
  parent->entries[name] = node;
  return {};
}

Result<std::string> MemoryDisk::read_symlink(const std::string& path) {
  const NodePtr node = TRY(find(path, Last::kStay));
  if (node->kind != Kind::kSymlink) return fail(ErrorCode::kIo, "{} is no link", path);
  return node->target;
}

Result<void> MemoryDisk::remove(const std::string& path) {
  const auto place = parent_of(path);
  if (!place || !place->first->entries.contains(place->second)) return {};
  const NodePtr node = place->first->entries.at(place->second);
  if (node->kind == Kind::kDirectory && !node->entries.empty())
    return fail(ErrorCode::kIo, "{} is not empty", path);
  count();
  place->first->entries.erase(place->second);
  return {};
}

Result<void> MemoryDisk::remove_tree(const std::string& path) {
  const auto node = find(path, Last::kStay);
  if (!node) return {};
  if ((*node)->kind == Kind::kDirectory)
    for (const std::string& name : TRY(list(path))) TRY_VOID(remove_tree(path + "/" + name));
  return remove(path);
}

Result<void> MemoryDisk::sync_dir(const std::string& path) {
  const NodePtr node = TRY(find(path, Last::kFollow));
  count();
  node->synced_entries = node->entries;
  return {};
}

Result<std::uint64_t> MemoryDisk::free_bytes(const std::string&) {
  return free_bytes_;
}

}  // namespace layby::tests
