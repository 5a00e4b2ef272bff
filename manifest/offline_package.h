// Offline packages: metadata and payloads for one car in one plain archive, which a partner carries
// into the workshop (docs/formats.md, "Offline package"; P3.1, P5.3).
//
// The archive itself is believed in nothing: what it holds is verified exactly as if the server had
// answered with it. Reading costs one small header a member, and no memory for the contents.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "manifest/metadata.h"

namespace layby::manifest {

// The two repositories in a package, by the directories of their metadata.
enum class Repository { kDirector, kImage };

// Names of members.
inline constexpr std::string_view kPackageTimeName = "time.json";
// `version` is ignored for the timestamp, which has none.
std::string package_metadata_name(Repository repository, Role role, Version version);
// Of a delegated role of the Image repository.
std::string package_delegated_name(std::string_view role, Version version);
std::string package_payload_name(const crypto::Digest256& payload);

// ustar has eleven octal digits for a size.
constexpr std::uint64_t kPackageMemberBytesMax = (std::uint64_t{1} << 33) - 1;
constexpr std::size_t kPackagePayloadsMax = 4096;

// For whoever writes one, member by member in the order of docs/formats.md: the header block; the
// zeros behind `length` bytes; the end behind the last member. kTooLarge above
// kPackageMemberBytesMax.
Result<std::string> package_member_head(const std::string& name, std::uint64_t length);
std::string package_padding(std::uint64_t length);
std::string package_end();

struct PackageMember {
  std::string name;
  std::uint64_t offset = 0;  // of its bytes in the archive
  std::uint64_t length = 0;
};

// The members of an archive. Does not own the archive; one thread at a time.
class OfflinePackage {
 public:
  // Reads the headers. `archive` must outlive it. kBadFormat, naming the place, for everything that
  // the writer would not have written, down to each byte of a header: links, devices, other paths,
  // extended headers, members twice, in another order or missing, what is cut off or added;
  // kTooLarge for a member above its bound.
  static Result<OfflinePackage> open(const ReadAt& archive);

  const std::vector<PackageMember>& members() const { return members_; }
  // nullptr if it has none of this name.
  const PackageMember* find(std::string_view name) const;
  // The payloads, by ascending digest.
  const std::vector<crypto::Digest256>& payloads() const { return payloads_; }
  bool has_payload(const crypto::Digest256& payload) const;

  // A range of a member; kInvalidArgument where it reaches past the end.
  Result<void> read_at(const PackageMember& member, std::uint64_t offset,
                       MutableByteSpan out) const;
  // Of a small member, which the bounds of `open` hold for; kNotFound.
  Result<Bytes> read(std::string_view name) const;

  // Reads all payloads once: kWrongImage where the bytes do not have the digest that names them.
  Result<void> check_payloads() const;

 private:
  explicit OfflinePackage(const ReadAt& archive) : archive_(&archive) {}

  const ReadAt* archive_;
  std::vector<PackageMember> members_;  // in the archive's order
  std::vector<crypto::Digest256> payloads_;
};

}  // namespace layby::manifest
