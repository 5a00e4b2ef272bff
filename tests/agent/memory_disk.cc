#include "tests/agent/memory_disk.h"

#include <algorithm>

namespace layby::tests {

namespace {

using Kind = FileStatus::Kind;

constexpr std::uint64_t kNameBytes = 4096;  // what a name takes
constexpr std::uint64_t kPlenty = 1ull << 40;

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

// ---- files --------------------------------------------------------------------------------------

class MemoryFile final : public File {
 public:
  MemoryFile(MemoryDisk& disk, MemoryDisk::NodePtr node, std::string path)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)) {}

  std::uint64_t size() const override { return node_->data.size(); }

  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > size() || out.size() > size() - offset)
      return fail(ErrorCode::kIo, "reading {}: past its end", path_);
    TRY_VOID(disk_.begin_read(*node_, path_));
    std::copy_n(node_->data.begin() + static_cast<long>(offset), out.size(), out.begin());
    disk_.spoil(*node_, path_, offset, out);
    return {};
  }

  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t had = std::max<std::uint64_t>(size(), node_->reserved);
    const auto begun = disk_.begin_change(path_, end > had ? end - had : 0);
    // A write that fails may have got half of the way.
    if (!begun) bytes = bytes.first(begun.error().code() == ErrorCode::kIo ? bytes.size() / 2 : 0);
    if (!bytes.empty()) {
      node_->unsynced.push_back({offset, Bytes(bytes.begin(), bytes.end())});
      MemoryDisk::apply(node_->unsynced.back(), node_->data);
      disk_.last_written_ = node_;
    }
    return begun;
  }

  Result<void> truncate(std::uint64_t size) override {
    TRY_VOID(disk_.begin_change(path_, size > node_->taken() ? size - node_->taken() : 0));
    node_->reserved = 0;
    if (size == node_->data.size()) return {};
    node_->unsynced.push_back({size, std::nullopt});
    MemoryDisk::apply(node_->unsynced.back(), node_->data);
    return {};
  }

  Result<void> reserve(std::uint64_t bytes) override {
    const std::uint64_t had = node_->taken();
    TRY_VOID(disk_.begin_change(path_, bytes > had ? bytes - had : 0));
    node_->reserved = std::max(node_->reserved, bytes);
    return {};
  }

  Result<void> sync() override {
    const auto begun = disk_.begin_change(path_);
    if (begun)
      for (const auto& change : node_->unsynced) MemoryDisk::apply(change, node_->durable);
    node_->unsynced.clear();  // what a failed sync did not bring to the medium, none will
    return begun;
  }

 private:
  MemoryDisk& disk_;
  MemoryDisk::NodePtr node_;
  std::string path_;
};

std::uint64_t MemoryDisk::Node::taken() const {
  return std::max<std::uint64_t>(data.size(), reserved);
}

// ---- copies -------------------------------------------------------------------------------------

MemoryDisk::MemoryDisk() : root_(std::make_shared<Node>()) {
  root_->kind = Kind::kDirectory;
}

MemoryDisk::MemoryDisk(const MemoryDisk& other)
    : operations_(other.operations_), reads_(other.reads_), capacity_(other.capacity_) {
  std::map<const Node*, NodePtr> copies;
  const std::function<NodePtr(const NodePtr&)> copy = [&](const NodePtr& node) -> NodePtr {
    if (node == nullptr) return nullptr;
    NodePtr& made = copies[node.get()];
    if (made != nullptr) return made;
    made = std::make_shared<Node>(*node);
    const NodePtr result = made;  // `made` may move while the map grows
    for (auto& [name, entry] : result->entries) entry = copy(entry);
    for (auto& [name, entry] : result->durable_entries) entry = copy(entry);
    return result;
  };
  root_ = copy(other.root_);
  last_written_ = copy(other.last_written_);
  unsynced_names_ = other.unsynced_names_;
  for (NameChange& change : unsynced_names_) {
    change.directory = copy(change.directory);
    change.node = copy(change.node);
    change.from_directory = copy(change.from_directory);
  }
}

// ---- faults -------------------------------------------------------------------------------------

void MemoryDisk::inject(const Fault& fault) {
  const bool reads = fault.kind == Fault::Kind::kReadError || fault.kind == Fault::Kind::kBitFlip;
  faults_.push_back({fault, (reads ? reads_ : operations_) + fault.at});
}

void MemoryDisk::heal() {
  faults_.clear();
  is_dead_ = false;
  capacity_ = kPlenty;
  const std::function<void(Node&)> mend = [&](Node& node) {
    node.is_unreadable = false;
    for (auto& [name, entry] : node.entries) mend(*entry);
  };
  mend(*root_);
}

Result<void> MemoryDisk::begin_change(const std::string& path, std::uint64_t bytes_taken) {
  if (quiet_ > 0) return {};
  ++operations_;
  if (cut_at_ != 0 && operations_ >= cut_at_) throw PowerCut{};
  if (observer) observer(path);
  last_written_ = nullptr;
  for (const Armed& armed : faults_) {
    if (operations_ < armed.operation) continue;
    const bool is_for_ever = armed.fault.lasts == Fault::Lasts::kForEver;
    if (operations_ > armed.operation && !is_for_ever) continue;
    if (armed.fault.kind == Fault::Kind::kWriteError) {
      has_struck_ = true;
      is_dead_ = is_for_ever;
      return fail(ErrorCode::kIo, "{}: the medium does not take it", path);
    }
    if (armed.fault.kind == Fault::Kind::kDiskFull && operations_ == armed.operation) {
      if (is_for_ever) {
        capacity_ = taken();
      } else if (bytes_taken > 0) {
        has_struck_ = true;
        return fail(ErrorCode::kDiskFull, "{}: the disk is full", path);
      }
    }
  }
  if (is_dead_) return fail(ErrorCode::kIo, "{}: the medium takes nothing any more", path);
  if (bytes_taken > 0 && taken() + bytes_taken > capacity_) {
    has_struck_ = true;
    return fail(ErrorCode::kDiskFull, "{}: the disk is full", path);
  }
  return {};
}

Result<void> MemoryDisk::begin_read(Node& node, const std::string& path) {
  if (quiet_ > 0) return {};
  ++reads_;
  for (const Armed& armed : faults_) {
    if (reads_ != armed.operation) continue;
    const bool is_for_ever = armed.fault.lasts == Fault::Lasts::kForEver;
    if (armed.fault.kind == Fault::Kind::kReadError) {
      has_struck_ = true;
      struck_path_ = path;
      node.is_unreadable = is_for_ever;
      return fail(ErrorCode::kIo, "{}: cannot be read", path);
    }
    if (armed.fault.kind == Fault::Kind::kBitFlip)
      (is_for_ever ? rots_next_read_ : flips_next_read_) = true;
  }
  if (node.is_unreadable) return fail(ErrorCode::kIo, "{}: cannot be read any more", path);
  return {};
}

// The bit is somewhere in what is being read; where depends on how much has been read so far.
void MemoryDisk::spoil(Node& node, const std::string& path, std::uint64_t offset,
                       MutableByteSpan out) {
  if (quiet_ > 0 || out.empty() || !(flips_next_read_ || rots_next_read_)) return;
  const std::uint64_t place = (reads_ * 2654435761u) % (out.size() * 8);
  const auto mask = static_cast<std::uint8_t>(1u << (place % 8));
  out[place / 8] ^= mask;
  if (rots_next_read_) {
    node.data[offset + place / 8] ^= mask;
    if (offset + place / 8 < node.durable.size()) node.durable[offset + place / 8] ^= mask;
  }
  flips_next_read_ = rots_next_read_ = false;
  has_struck_ = true;
  struck_path_ = path;
}

std::uint64_t MemoryDisk::taken() const {
  const std::function<std::uint64_t(const Node&)> sum = [&](const Node& node) {
    std::uint64_t bytes = node.taken() + kNameBytes;
    for (const auto& [name, entry] : node.entries) bytes += sum(*entry);
    return bytes;
  };
  return sum(*root_);
}

void MemoryDisk::set_free_bytes(std::uint64_t bytes) {
  capacity_ = taken() + bytes;
}

Result<std::uint64_t> MemoryDisk::free_bytes(const std::string&) {
  const std::uint64_t bytes = taken();
  return capacity_ > bytes ? capacity_ - bytes : 0;
}

// ---- what a power cut leaves --------------------------------------------------------------------

void MemoryDisk::apply(const NameChange& change) {
  if (change.from_directory != nullptr) {
    auto& from = change.from_directory->durable_entries;
    const auto found = from.find(change.from_name);
    if (found != from.end() && found->second == change.node) from.erase(found);
  }
  if (change.node != nullptr) {
    change.directory->durable_entries[change.name] = change.node;
  } else {
    change.directory->durable_entries.erase(change.name);
  }
}

void MemoryDisk::apply(const DataChange& change, Bytes& data) {
  if (!change.bytes) {
    data.resize(change.offset);
    return;
  }
  if (data.size() < change.offset + change.bytes->size())
    data.resize(change.offset + change.bytes->size());
  std::copy(change.bytes->begin(), change.bytes->end(),
            data.begin() + static_cast<long>(change.offset));
}

void MemoryDisk::settle(Node& node, Survives survives, std::mt19937& random) {
  for (std::size_t i = 0; i < node.unsynced.size(); ++i) {
    DataChange& change = node.unsynced[i];
    const bool is_last = &node == last_written_.get() && i + 1 == node.unsynced.size();
    if (survives == Survives::kOnlySynced) continue;
    if (survives == Survives::kPerhaps && random() % 2 == 0) continue;
    const bool is_torn = change.bytes && !change.bytes->empty() &&
                         (is_last || (survives == Survives::kPerhaps && random() % 2 == 0));
    if (is_torn) {
      const std::size_t at = random() % (change.bytes->size() + 1);
      if (survives == Survives::kPerhaps && random() % 4 == 0) {  // its end is there
        change.offset += at;
        change.bytes->erase(change.bytes->begin(), change.bytes->begin() + static_cast<long>(at));
      } else {
        change.bytes->resize(at);
      }
    }
    apply(change, node.durable);
  }
  node.unsynced.clear();
  node.data = node.durable;
  node.entries = node.durable_entries;
  for (auto& [name, entry] : node.entries) settle(*entry, survives, random);
}

void MemoryDisk::restart(Survives survives, std::uint32_t seed) {
  std::mt19937 random(seed);
  for (const NameChange& change : unsynced_names_)
    if (survives == Survives::kEverything || (survives == Survives::kPerhaps && random() % 2 == 0))
      apply(change);
  unsynced_names_.clear();
  settle(*root_, survives, random);
  last_written_ = nullptr;
  cut_at_ = 0;
  faults_.clear();
  observer = {};
}

// ---- paths --------------------------------------------------------------------------------------

// The nodes from the root to where the path leads, without links: `..` needs them.
Result<std::vector<MemoryDisk::NodePtr>> MemoryDisk::walk(const std::string& path, Last last,
                                                          int links_left,
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

Result<MemoryDisk::NodePtr> MemoryDisk::find(const std::string& path, Last last) const {
  return TRY(walk(path, last, 8, {root_})).back();
}

Result<std::pair<MemoryDisk::NodePtr, std::string>> MemoryDisk::parent_of(
    const std::string& path) const {
  const auto parts = split(path);
  if (parts.empty()) return fail(ErrorCode::kIo, "{} has no parent", path);
  NodePtr parent = TRY(find(parent_dir(path), Last::kFollow));
  return std::pair(std::move(parent), parts.back());
}

Result<MemoryDisk::NodePtr> MemoryDisk::add_name(const NodePtr& directory, const std::string& name,
                                                 const NodePtr& node, const std::string& path) {
  TRY_VOID(begin_change(path, kNameBytes));
  directory->entries[name] = node;
  unsynced_names_.push_back({directory, name, node, nullptr, {}});
  return node;
}

// ---- the seam -----------------------------------------------------------------------------------

Result<std::unique_ptr<ReadAt>> MemoryDisk::open_read(const std::string& path) {
  NodePtr node = TRY(find(path, Last::kFollow));
  if (node->kind != Kind::kFile) return fail(ErrorCode::kIo, "{} is no file", path);
  TRY_VOID(begin_read(*node, path));
  return std::make_unique<MemoryFile>(*this, std::move(node), path);
}

Result<std::unique_ptr<File>> MemoryDisk::open_write(const std::string& path) {
  if (auto node = find(path, Last::kFollow)) {
    if ((*node)->kind == Kind::kDirectory) return fail(ErrorCode::kIo, "{}: a directory", path);
    return std::make_unique<MemoryFile>(*this, std::move(*node), path);
  }
  const auto [parent, name] = TRY(parent_of(path));
  NodePtr node = TRY(add_name(parent, name, std::make_shared<Node>(), path));
  return std::make_unique<MemoryFile>(*this, std::move(node), path);
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
      if (found->second->kind == Kind::kFile) return fail(ErrorCode::kIo, "{}: a file", path);
      here = found->second;
      continue;
    }
    auto made = std::make_shared<Node>();
    made->kind = Kind::kDirectory;
    made = TRY(add_name(here, part, made, path));
    TRY_VOID(begin_change(path));  // RealDisk syncs each
    make_durable(here);
    here = made;
  }
  return {};
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& path) {
  const NodePtr node = TRY(find(path, Last::kFollow));
  TRY_VOID(begin_read(*node, path));
  std::vector<std::string> names;
  for (const auto& [name, entry] : node->entries) names.push_back(name);
  return names;
}

Result<void> MemoryDisk::rename(const std::string& from, const std::string& to) {
  const auto [from_parent, from_name] = TRY(parent_of(from));
  const auto [to_parent, to_name] = TRY(parent_of(to));
  const auto found = from_parent->entries.find(from_name);
  if (found == from_parent->entries.end()) return fail(ErrorCode::kNotFound, "no {}", from);
  const auto there = to_parent->entries.find(to_name);
  if (there != to_parent->entries.end() && there->second->kind == Kind::kDirectory)
    return fail(ErrorCode::kIo, "{}: a directory", to);
  TRY_VOID(begin_change(to));
  const NodePtr node = found->second;
  from_parent->entries.erase(found);
  to_parent->entries[to_name] = node;
  unsynced_names_.push_back({to_parent, to_name, node, from_parent, from_name});
  return {};
}

Result<void> MemoryDisk::symlink(const std::string& target, const std::string& path) {
  const auto [parent, name] = TRY(parent_of(path));
  if (parent->entries.contains(name)) return fail(ErrorCode::kAlreadyExists, "{} exists", path);
  auto node = std::make_shared<Node>();
  node->kind = Kind::kSymlink;
  node->target = target;
  return add_name(parent, name, node, path).map([](const NodePtr&) {});
}

Result<std::string> MemoryDisk::read_symlink(const std::string& path) {
  const NodePtr node = TRY(find(path, Last::kStay));
  if (node->kind != Kind::kSymlink) return fail(ErrorCode::kIo, "{} is no link", path);
  TRY_VOID(begin_read(*node, path));
  return node->target;
}

Result<void> MemoryDisk::remove(const std::string& path) {
  const auto place = parent_of(path);
  if (!place || !place->first->entries.contains(place->second)) return {};
  const auto& [parent, name] = *place;
  const NodePtr node = parent->entries.at(name);
  if (node->kind == Kind::kDirectory && !node->entries.empty())
    return fail(ErrorCode::kIo, "{} is not empty", path);
  TRY_VOID(begin_change(path));
  parent->entries.erase(name);
  unsynced_names_.push_back({parent, name, nullptr, nullptr, {}});
  return {};
}

Result<void> MemoryDisk::remove_tree(const std::string& path) {
  const auto node = find(path, Last::kStay);
  if (!node) return {};
  if (path == undeletable) return fail(ErrorCode::kIo, "{}: a bad block", path);
  if ((*node)->kind == Kind::kDirectory)
    for (const std::string& name : TRY(list(path))) TRY_VOID(remove_tree(path + "/" + name));
  return remove(path);
}

Result<void> MemoryDisk::sync_dir(const std::string& path) {
  const NodePtr node = TRY(find(path, Last::kFollow));
  TRY_VOID(begin_change(path));
  make_durable(node);
  return {};
}

void MemoryDisk::make_durable(const NodePtr& directory) {
  const auto synced = std::stable_partition(
      unsynced_names_.begin(), unsynced_names_.end(),
      [&](const NameChange& change) { return change.directory != directory; });
  std::for_each(synced, unsynced_names_.end(), [](const NameChange& change) { apply(change); });
  unsynced_names_.erase(synced, unsynced_names_.end());
}

}  // namespace layby::tests
