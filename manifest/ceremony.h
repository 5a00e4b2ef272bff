// What people do offline with roots and targets: make the first one, make the next one from the
// present one, sign it in turn, see what is still missing. Pure: bytes in, bytes out.
//
// A document without signatures is a draft, whose version stays as it is while it is edited. To
// edit one that bears signatures begins the next version. What the draft does not change, also
// fields that are not known here, is taken over as it stands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/keys.h"
#include "manifest/metadata.h"

namespace layby::manifest {

struct FirstRoot {
  std::map<Role, std::vector<PublicKey>> keys;  // of all four roles
  std::map<Role, std::uint64_t> thresholds;     // 1 where a role is absent
  UnixSeconds expires = 0;
};
// The draft of version 1. kInvalidArgument for a role without keys, a key twice in one role, or a
// threshold that its keys do not reach.
Result<Bytes> draft_root(const FirstRoot& first);

// One change of a root.
struct RootEdit {
  Role role = Role::kRoot;
  std::optional<PublicKey> remove{};
  std::optional<PublicKey> add{};
  std::optional<std::uint64_t> threshold{};
};
// The draft with the change, and this expiry. kNotFound for a key to be removed that the role does
// not have, kAlreadyExists for one to be added that it has, kConflict where fewer keys than the
// threshold would be left: such a role could never sign again. kBadFormat for what is no root.
Result<Bytes> edit_root(ByteSpan document, const RootEdit& edit, UnixSeconds expires);

// The key of the root whose id begins so; kNotFound for none or several.
Result<PublicKey> find_root_key(ByteSpan document, std::string_view id_begin);

// The draft of the first targets, which name nothing.
Result<Bytes> draft_targets(UnixSeconds expires);
// The next targets with the same contents: what is left to do when only time or keys have passed.
// But for the images `without`, which are withdrawn with it: kNotFound where one is not named.
Result<Bytes> renew_targets(ByteSpan document, UnixSeconds expires,
                            const std::vector<std::string>& without = {});

// What targets delegate to one role (TUF 1.0.34, section 4.5).
struct NewDelegation {
  std::string role;  // a plain name (names.h)
  std::vector<PublicKey> keys;
  std::uint64_t threshold = 1;
  std::vector<std::string> paths;        // patterns
  std::vector<HardwareId> hardware_ids;  // empty: any
  bool is_terminating = false;
};
// The draft of targets that delegate so, and this expiry. What they delegated to the role before
// makes way and its place in the order is kept; a further role comes last. kInvalidArgument for a
// name that is none, without keys or paths, for a key twice, a threshold that the keys do not
// reach; kUnsupported for targets with succinct_roles; kBadFormat for what is no targets.
Result<Bytes> delegate_targets(ByteSpan document, const NewDelegation& delegation,
                               UnixSeconds expires);
// The draft of targets that delegate nothing to the role; kNotFound where they do not now.
Result<Bytes> undelegate_targets(ByteSpan document, std::string_view role, UnixSeconds expires);

// With one more signature. `previous` is the root before a root, or the root that is to judge
// targets. kForbidden for a key that counts for nothing in this document; kBadFormat for another
// kind of document, kMixAndMatch for a previous root that is not the version before.
Result<Bytes> sign_root(ByteSpan document, const std::optional<Bytes>& previous,
                        const crypto::Signer& by);
Result<Bytes> sign_targets(ByteSpan document, ByteSpan root, const crypto::Signer& by);
// Of a delegated role, as these targets delegate to it; kNotFound where they do not.
Result<Bytes> sign_delegated(ByteSpan document, ByteSpan delegator, std::string_view role,
                             const crypto::Signer& by);

// Good signatures and how many are needed, by whose word.
struct SignatureCount {
  std::string by;  // "the root before", "itself", "the root", "the delegation"
  std::size_t good = 0;
  std::uint64_t needed = 1;
};
struct DocumentState {
  Version version = 1;
  UnixSeconds expires = 0;
  std::vector<SignatureCount> counts;
  bool is_complete() const;
};
Result<DocumentState> root_state(ByteSpan document, const std::optional<Bytes>& previous);
Result<DocumentState> targets_state(ByteSpan document, ByteSpan root);
Result<DocumentState> delegated_state(ByteSpan document, ByteSpan delegator, std::string_view role);

}  // namespace layby::manifest
