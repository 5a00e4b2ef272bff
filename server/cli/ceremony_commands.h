// The offline ceremony: keys, roots and targets as files, with no server. Results go into files
// that are replaced whole or not at all; a secret is never printed. What may have no second copy is
// never written over: a public part replaces only a public part, a draft only a draft of the same
// kind without signatures, or an empty file; anything else there is kAlreadyExists. Each function
// prints what it did in a few lines, and the caller makes the exit status of its error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "manifest/ceremony.h"
#include "server/cli/session.h"

namespace layby::cli {

// A private key and what opens it.
struct KeyReference {
  std::string key;              // a key file, or a PKCS#11 URI; the passphrase is its PIN then
  std::string passphrase_file;  // empty: asked for at the terminal
};

struct NewKey {
  std::string out;              // must not exist
  std::string passphrase_file;  // empty: asked for twice at the terminal
  std::string public_out;       // empty: the public part is printed
  std::string cost = "sensitive";
};
Result<void> create_key(const NewKey& wanted);
Result<void> show_public_key(const KeyReference& key, const std::string& out);

struct NewRoot {
  std::string out;
  std::map<manifest::Role, std::vector<std::string>> keys;  // files of public parts
  std::map<manifest::Role, std::uint64_t> thresholds;
  std::uint64_t expires_days = 730;
};
Result<void> init_root(const NewRoot& wanted);

struct RootChange {
  std::string in, out;  // may be the same draft; a signed `in` stays as it is
  manifest::Role role = manifest::Role::kRoot;
  std::string old_key;          // a file, or the beginning of a key id; empty: none goes
  std::string new_key;          // a file; empty: none comes
  std::uint64_t threshold = 0;  // 0: as it is
  std::uint64_t expires_days = 730;
};
Result<void> change_root(const RootChange& change);

struct NewTargets {
  std::string in, out;  // `in` empty: the first ones
  std::uint64_t expires_days = 365;
  std::vector<std::string> without{};  // images that are withdrawn
};
Result<void> make_targets_draft(const NewTargets& wanted);

struct DelegationChange {
  std::string in, out;
  std::string role;
  std::vector<std::string> keys;  // files of public parts
  std::uint64_t threshold = 1;
  std::vector<std::string> paths, hardware_ids;
  bool is_terminating = false;
  std::uint64_t expires_days = 365;
};
Result<void> delegate(const DelegationChange& change);
Result<void> undelegate(const DelegationChange& change);  // by `role` alone

struct Signing {
  std::string document;   // gets the signature, in place
  std::string root;       // the root before a root, may be empty; of targets the present one
  std::string delegator;  // of a delegated role's targets, in place of `root`: who delegates to it
  std::string role;       // its name
  KeyReference key;
};
Result<void> sign_root_file(const Signing& signing);
Result<void> sign_targets_file(const Signing& signing);

// Version, expiry, keys and whose signatures are missing.
Result<void> show_root(const std::string& document, const std::string& previous);
Result<void> show_targets(const Signing& shown);

// PUT to the server: `repository` is "image" or "director", `file` a signed root; or targets.
Result<void> publish_document(Session& session, const std::string& path, const std::string& file);

}  // namespace layby::cli
