// The repository of fuzz_refresh: what its people would say next, and what a client is served,
// which somebody may have spoilt. Signatures are real, of a few keys that are made once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manifest/metadata_json.h"
#include "manifest/repository.h"

namespace layby::tests {

// A program's bytes, one after the other; zeros behind its end.
class ProgramBytes {
 public:
  explicit ProgramBytes(ByteSpan bytes) : bytes_(bytes) {}
  bool at_end() const { return at_ >= bytes_.size(); }
  unsigned take() { return at_end() ? 0 : bytes_[at_++]; }
  unsigned take(std::size_t below) { return take() % static_cast<unsigned>(below); }
  int take_signed() { return static_cast<std::int8_t>(take()); }

 private:
  ByteSpan bytes_;
  std::size_t at_ = 0;
};

class FuzzedRepository {
 public:
  explicit FuzzedRepository(UnixSeconds now);

  // What its people change; a client sees it once it is published.
  void change_keys(ProgramBytes& program);        // of a role of the root: which, and how many
  void change_delegation(ProgramBytes& program);  // added, changed or revoked, in circles too
  void change_succinct(ProgramBytes& program);
  void change_target(ProgramBytes& program);
  void change_expiry(ProgramBytes& program, UnixSeconds now);
  void change_version(ProgramBytes& program);
  void change_consistency() { root_.consistent_snapshot = !root_.consistent_snapshot; }

  // Signs all of it, with the next versions. What was spoilt is whole again.
  void publish();

  // What somebody does to the files that are served.
  void put_older(ProgramBytes& program);
  void put_another_role(ProgramBytes& program);
  void sign_anew(ProgramBytes& program);  // by any of the keys, none included
  void double_signature(ProgramBytes& program);
  void remove_file(ProgramBytes& program);
  void change_field(ProgramBytes& program);  // and signs by those who may
  void flip(ProgramBytes& program);
  // By whoever has the online keys: entries of snapshot and timestamp changed, or set right to what
  // is served now.
  void change_entry(ProgramBytes& program);
  void relink(ProgramBytes& program);

  // nullptr: there is no such file.
  const Bytes* serve(const manifest::MetadataRequest& request) const;
  const Bytes& first_root() const { return first_root_; }

 private:
  using Files = std::map<std::string, Bytes>;
  manifest::Targets& targets_of(unsigned choice);
  const std::string& pick(ProgramBytes& program) const;
  unsigned mask_of(const std::string& file) const;
  void put(const std::string& file, const manifest::Json& part, unsigned mask);
  void put_root();
  void put_link(const std::string& file, const manifest::Json& part);

  manifest::Root root_;
  manifest::Timestamp timestamp_;
  manifest::Snapshot snapshot_;
  manifest::Targets targets_;
  std::map<std::string, manifest::Targets> delegated_;
  std::map<std::string, unsigned> signers_;  // by name of the role: bits, one a key
  unsigned root_signers_before_ = 0;
  manifest::Version roots_ = 0;  // published
  std::string last_root_;        // to see whether there is something to publish
  Bytes first_root_;
  Files roots_clean_;
  Files files_;  // by name of the role, roots by "N.root"
  std::map<std::string, std::vector<Bytes>> older_;
};

// Names that are looked for, and hardware that they are looked for with.
extern const std::vector<std::string> kFuzzedNames;
extern const std::vector<manifest::HardwareId> kFuzzedHardware;

}  // namespace layby::tests
