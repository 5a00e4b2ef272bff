#include "manifest/offline_package.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "base/assert.h"
#include "base/limits.h"
#include "manifest/target_search.h"
#include "manifest/url_names.h"

namespace layby::manifest {
namespace {

constexpr std::uint64_t kBlockBytes = 512;
constexpr std::uint64_t kEndBytes = 2 * kBlockBytes;
constexpr std::uint64_t kTimeBytesMax = 4 * kKiB;
constexpr std::size_t kReadBytes = 256 * kKiB;
constexpr std::string_view kPayloadDirectory = "payloads/";

using Block = std::array<std::uint8_t, kBlockBytes>;
using ArchiveReader = std::unique_ptr<archive, decltype(&archive_read_free)>;
using ArchiveWriter = std::unique_ptr<archive, decltype(&archive_write_free)>;
using ArchiveEntry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

std::uint64_t padding_bytes(std::uint64_t length) {
  return (kBlockBytes - length % kBlockBytes) % kBlockBytes;
}

std::string_view directory_of(Repository repository) {
  switch (repository) {
    case Repository::kDirector: return "director/";
    case Repository::kImage: return "image/";
  }
  LAYBY_ASSERT(false);
}

// ---- one header ---------------------------------------------------------------------------------

// Takes the header and refuses what would come behind it: closed in order, libarchive appends zeros
// for the member's bytes, which come from elsewhere. (archive_write_fail would leak its buffer.)
la_ssize_t take_header(archive*, void* out, const void* data, std::size_t count) {
  auto& head = *static_cast<std::string*>(out);
  if (head.size() + count > kBlockBytes) return -1;
  head.append(static_cast<const char*>(data), count);
  return static_cast<la_ssize_t>(count);
}

struct Header {
  std::string name;
  std::uint64_t length = 0;
};

// libarchive is shown the one block and nothing behind it: whatever a header asks for beyond itself
// (extended headers, long names, maps of holes) is not there.
Result<Header> parse_header(const Block& block, std::uint64_t offset) {
  const ArchiveReader reader(archive_read_new(), archive_read_free);
  const ArchiveEntry entry(archive_entry_new(), archive_entry_free);
  if (!reader || !entry) return fail(ErrorCode::kInternal, "libarchive does not start");
  const auto bad = [&](std::string_view what) {
    return fail(ErrorCode::kBadFormat, "byte {} of the package: {}", offset, what);
  };
  if (archive_read_support_format_tar(reader.get()) != ARCHIVE_OK ||
      archive_read_open_memory(reader.get(), block.data(), block.size()) != ARCHIVE_OK ||
      archive_read_next_header2(reader.get(), entry.get()) != ARCHIVE_OK)
    return bad("no plain ustar header");
  if (archive_entry_hardlink(entry.get()) != nullptr ||
      archive_entry_filetype(entry.get()) != AE_IFREG)
    return bad("a link, directory or device; only plain files belong here");
  const char* name = archive_entry_pathname(entry.get());
  if (name == nullptr || archive_entry_size(entry.get()) < 0) return bad("a name or size is bad");
  Header header{.name = name,
                .length = static_cast<std::uint64_t>(archive_entry_size(entry.get()))};
  return header;
}

// ---- names and their order ----------------------------------------------------------------------

// Where a member stands; the order of the enumerators is that of the members.
enum class Place {
  kTime,
  kDirectorRoot,
  kDirectorTimestamp,
  kDirectorSnapshot,
  kDirectorTargets,
  kImageRoot,
  kImageTimestamp,
  kImageSnapshot,
  kImageTargets,
  kImageDelegated,
  kPayload,
};

struct Known {
  Place place;
  Version version = 0;
  std::string role{};  // a delegated one, as in the name
  crypto::Digest256 payload{};
  std::uint64_t bytes_max;
};

// Any number of them, also none.
constexpr bool may_repeat(Place place) {
  return place == Place::kDirectorRoot || place == Place::kImageRoot ||
         place == Place::kImageDelegated || place == Place::kPayload;
}

std::optional<Known> known_metadata(std::string_view name, Repository repository) {
  const std::string_view directory = directory_of(repository);
  if (!name.starts_with(directory)) return std::nullopt;
  const std::string_view file = name.substr(directory.size());
  const bool director = repository == Repository::kDirector;
  Version version = 0;
  const char* end = file.data() + file.size();
  const auto number = std::from_chars(file.data(), end, version);
  if (number.ec != std::errc{}) version = 0;
  const struct {
    Role role;
    Place place;
    std::uint64_t bytes_max;
  } rows[] = {
      {Role::kRoot, director ? Place::kDirectorRoot : Place::kImageRoot, kRootBytesMax},
      {Role::kTimestamp, director ? Place::kDirectorTimestamp : Place::kImageTimestamp,
       kTimestampBytesMax},
      {Role::kSnapshot, director ? Place::kDirectorSnapshot : Place::kImageSnapshot,
       kSnapshotBytesMax},
      {Role::kTargets, director ? Place::kDirectorTargets : Place::kImageTargets, kTargetsBytesMax},
  };
  for (const auto& row : rows)
    if ((row.role == Role::kTimestamp || version > 0) &&
        name == package_metadata_name(repository, row.role, version))
      return Known{.place = row.place, .version = version, .bytes_max = row.bytes_max};
  return std::nullopt;
}

// "image/VERSION.ROLE.json"; the four roles have places of their own.
std::optional<Known> known_delegated(std::string_view name) {
  constexpr std::string_view kEnding = ".json";
  const std::string_view directory = directory_of(Repository::kImage);
  if (!name.starts_with(directory) || !name.ends_with(kEnding)) return std::nullopt;
  const std::string_view file =
      name.substr(directory.size(), name.size() - directory.size() - kEnding.size());
  Version version = 0;
  const auto number = std::from_chars(file.data(), file.data() + file.size(), version);
  const std::size_t dot = file.find('.');
  if (number.ec != std::errc{} || version == 0 || dot == std::string_view::npos)
    return std::nullopt;
  const std::string_view encoded = file.substr(dot + 1);
  const auto role = percent_decoded(encoded);
  if (!role || role->empty() || package_delegated_name(*role, version) != name) return std::nullopt;
  for (const Role top : kRoles)
    if (*role == to_string(top)) return std::nullopt;
  return Known{.place = Place::kImageDelegated,
               .version = version,
               .role = std::string(encoded),
               .bytes_max = kTargetsBytesMax};
}

std::optional<Known> known_member(std::string_view name) {
  if (name == kPackageTimeName) return Known{.place = Place::kTime, .bytes_max = kTimeBytesMax};
  if (name.starts_with(kPayloadDirectory)) {
    const auto digest = array_from_hex<32>(std::string(name.substr(kPayloadDirectory.size())));
    if (!digest) return std::nullopt;
    return Known{.place = Place::kPayload, .payload = *digest, .bytes_max = kPackageMemberBytesMax};
  }
  if (auto of_director = known_metadata(name, Repository::kDirector)) return of_director;
  if (auto of_image = known_metadata(name, Repository::kImage)) return of_image;
  return known_delegated(name);
}

// Whether `next` may stand behind `last`; nullopt is the beginning, and the end.
bool may_follow(const std::optional<Known>& last, const std::optional<Known>& next) {
  constexpr int kEnd = static_cast<int>(Place::kPayload) + 1;
  const int from = last ? static_cast<int>(last->place) : -1;
  const int to = next ? static_cast<int>(next->place) : kEnd;
  for (int between = from + 1; between < to; ++between)
    if (!may_repeat(static_cast<Place>(between))) return false;
  if (to > from) {
    const bool is_root =
        next && (next->place == Place::kDirectorRoot || next->place == Place::kImageRoot);
    return !is_root || next->version == 2;  // the first one is in every car from the beginning
  }
  if (to < from || !may_repeat(next->place)) return false;
  if (next->place == Place::kPayload) return last->payload < next->payload;
  if (next->place == Place::kImageDelegated) return last->role < next->role;
  return next->version == last->version + 1;
}

// ---- blocks -------------------------------------------------------------------------------------

Result<Block> read_block(const ReadAt& archive, std::uint64_t offset) {
  if (archive.size() < offset || archive.size() - offset < kBlockBytes)
    return fail(ErrorCode::kBadFormat, "the package is cut off at byte {}", archive.size());
  Block block;
  TRY_VOID(archive.read_at(offset, block));
  return block;
}

bool is_zero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

Result<void> check_padding(const ReadAt& archive, std::uint64_t offset, std::uint64_t count) {
  Block block{};
  const MutableByteSpan padding(block.data(), static_cast<std::size_t>(count));
  TRY_VOID(archive.read_at(offset, padding));
  if (!is_zero(padding))
    return fail(ErrorCode::kBadFormat, "byte {} of the package: padding that is not empty", offset);
  return {};
}

Result<void> check_end(const ReadAt& archive, std::uint64_t offset) {
  const Block last = TRY(read_block(archive, offset + kBlockBytes));
  if (!is_zero(last) || archive.size() != offset + kEndBytes)
    return fail(ErrorCode::kBadFormat, "byte {} of the package: something stands behind its end",
                offset + kBlockBytes);
  return {};
}

}  // namespace

// ---- writing ------------------------------------------------------------------------------------

std::string package_metadata_name(Repository repository, Role role, Version version) {
  const std::string directory(directory_of(repository));
  if (role == Role::kTimestamp) return directory + "timestamp.json";
  return fmt::format("{}{}.{}.json", directory, version, to_string(role));
}

std::string package_delegated_name(std::string_view role, Version version) {
  return fmt::format("{}{}.{}.json", directory_of(Repository::kImage), version,
                     percent_encoded(role));
}

std::string package_payload_name(const crypto::Digest256& payload) {
  return std::string(kPayloadDirectory) + to_hex(payload);
}

Result<std::string> package_member_head(const std::string& name, std::uint64_t length) {
  if (length > kPackageMemberBytesMax)
    return fail(ErrorCode::kTooLarge, "{} has {} bytes, a member of a package at most {}", name,
                length, kPackageMemberBytesMax);
  std::string head;
  const ArchiveWriter writer(archive_write_new(), archive_write_free);
  const ArchiveEntry entry(archive_entry_new(), archive_entry_free);
  if (!writer || !entry) return fail(ErrorCode::kInternal, "libarchive does not start");
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(length));
  const bool is_written =
      archive_write_set_format_ustar(writer.get()) == ARCHIVE_OK &&
      archive_write_set_bytes_per_block(writer.get(), 0) == ARCHIVE_OK &&
      archive_write_open(writer.get(), &head, nullptr, take_header, nullptr) == ARCHIVE_OK &&
      archive_write_header(writer.get(), entry.get()) == ARCHIVE_OK;
  const char* why = archive_error_string(writer.get());
  const std::string reason = why != nullptr ? why : "libarchive wrote another header";
  if (!is_written || head.size() != kBlockBytes)
    return fail(ErrorCode::kInvalidArgument, "{}: {}", name, reason);
  return head;
}

std::string package_padding(std::uint64_t length) {
  return std::string(static_cast<std::size_t>(padding_bytes(length)), '\0');
}

std::string package_end() {
  return std::string(static_cast<std::size_t>(kEndBytes), '\0');
}

// ---- reading ------------------------------------------------------------------------------------

Result<OfflinePackage> OfflinePackage::open(const ReadAt& archive) {
  OfflinePackage package(archive);
  std::optional<Known> last;
  std::uint64_t offset = 0;
  std::size_t delegated = 0;
  for (;;) {
    const Block block = TRY(read_block(archive, offset));
    if (is_zero(block)) break;
    Header header = TRY(parse_header(block, offset));
    const auto known = known_member(header.name);
    const auto bad = [&](ErrorCode code, std::string_view what) {
      return fail(code, "byte {} of the package, {}: {}", offset, header.name, what);
    };
    if (!known) return bad(ErrorCode::kBadFormat, "not the name of a member");
    if (header.length == 0) return bad(ErrorCode::kBadFormat, "empty");
    if (header.length > known->bytes_max)
      return bad(ErrorCode::kTooLarge, fmt::format("more than {} bytes", known->bytes_max));
    const std::string written = TRY(package_member_head(header.name, header.length));
    if (!std::ranges::equal(as_bytes(written), block))
      return bad(ErrorCode::kBadFormat, "its header is not as it has to be");
    if (!may_follow(last, known))
      return bad(ErrorCode::kBadFormat, "twice, in a wrong place, or something is missing before");
    const bool is_root = known->place == Place::kDirectorRoot || known->place == Place::kImageRoot;
    if (is_root && known->version > 1 + static_cast<Version>(kRootRotationsMax))
      return bad(ErrorCode::kTooLarge, "too many roots");
    if (known->place == Place::kImageDelegated && ++delegated > kDelegatedRolesMax)
      return bad(ErrorCode::kTooLarge, "too many delegated roles");
    const std::uint64_t begin = offset + kBlockBytes;
    const std::uint64_t padding = padding_bytes(header.length);
    if (archive.size() < begin || archive.size() - begin < header.length + padding)
      return bad(ErrorCode::kBadFormat, "cut off");
    TRY_VOID(check_padding(archive, begin + header.length, padding));
    if (known->place == Place::kPayload) {
      if (package.payloads_.size() == kPackagePayloadsMax)
        return bad(ErrorCode::kTooLarge, "too many payloads");
      package.payloads_.push_back(known->payload);
    }
    offset = begin + header.length + padding;
    package.members_.push_back(
        {.name = std::move(header.name), .offset = begin, .length = header.length});
    last = known;
  }
  if (!may_follow(last, std::nullopt))
    return fail(ErrorCode::kBadFormat, "byte {} of the package: it ends too early", offset);
  TRY_VOID(check_end(archive, offset));
  return package;
}

const PackageMember* OfflinePackage::find(std::string_view name) const {
  const auto found = std::ranges::find(members_, name, &PackageMember::name);
  return found == members_.end() ? nullptr : &*found;
}

bool OfflinePackage::has_payload(const crypto::Digest256& payload) const {
  return std::ranges::binary_search(payloads_, payload);
}

Result<void> OfflinePackage::read_at(const PackageMember& member, std::uint64_t offset,
                                     MutableByteSpan out) const {
  if (offset > member.length || out.size() > member.length - offset)
    return fail(ErrorCode::kInvalidArgument, "{}: has no {} bytes from {} on", member.name,
                out.size(), offset);
  return archive_->read_at(member.offset + offset, out);
}

Result<Bytes> OfflinePackage::read(std::string_view name) const {
  const PackageMember* member = find(name);
  if (member == nullptr) return fail(ErrorCode::kNotFound, "the package has no {}", name);
  LAYBY_ASSERT(member->length <= kTargetsBytesMax);  // not for payloads
  Bytes bytes(static_cast<std::size_t>(member->length));
  TRY_VOID(read_at(*member, 0, bytes));
  return bytes;
}

Result<void> OfflinePackage::check_payloads() const {
  Bytes buffer(kReadBytes);
  for (const crypto::Digest256& payload : payloads_) {
    const PackageMember& member = *find(package_payload_name(payload));
    crypto::Hasher hasher(crypto::Hasher::With::kSha256);
    for (std::uint64_t done = 0; done < member.length;) {
      const std::uint64_t count = std::min<std::uint64_t>(member.length - done, buffer.size());
      const MutableByteSpan piece(buffer.data(), static_cast<std::size_t>(count));
      TRY_VOID(read_at(member, done, piece));
      hasher.update(piece);
      done += count;
    }
    if (hasher.finish().sha256 != payload)
      return fail(ErrorCode::kWrongImage, "{} does not have its digest", member.name);
  }
  return {};
}

}  // namespace layby::manifest
