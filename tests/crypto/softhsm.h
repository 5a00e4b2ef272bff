// A token in software (SoftHSM2), in a directory of its own, for tests of keys behind PKCS#11.
#pragma once

#include <string>

#include "tests/temp_dir.h"

namespace layby::tests {

class SoftHsm {
 public:
  // Sets SOFTHSM2_CONF for this process and those that it starts.
  SoftHsm();

  // By pkcs11-tool: "EC:edwards25519", "EC:prime256v1", "rsa:2048".
  void make_key(const std::string& label, const std::string& type) const;
  std::string uri(const std::string& label) const;
  static constexpr const char* kPin = "271828";

 private:
  TempDir dir_;
};

}  // namespace layby::tests
