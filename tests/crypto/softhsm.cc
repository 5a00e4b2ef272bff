#include "tests/crypto/softhsm.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "base/disk.h"

namespace layby::tests {
namespace {

constexpr const char* kModule = "/usr/lib/softhsm/libsofthsm2.so";

void run(const std::string& command) {
  INFO(command);
  REQUIRE(::system((command + " > /dev/null 2>&1").c_str()) == 0);
}

}  // namespace

SoftHsm::SoftHsm() {
  RealDisk disk;
  REQUIRE(disk.make_dirs(dir_ / "tokens"));
  std::ofstream(dir_ / "softhsm2.conf") << "directories.tokendir = " << (dir_ / "tokens") << "\n";
  ::setenv("SOFTHSM2_CONF", (dir_ / "softhsm2.conf").c_str(), 1);
  run(std::string("softhsm2-util --init-token --free --label test --so-pin 1234 --pin ") + kPin);
}

void SoftHsm::make_key(const std::string& label, const std::string& type) const {
  run(
      fmt::format("pkcs11-tool --module {} --token-label test --login --pin {} --keypairgen "
                  "--key-type {} --label {} --id {:02x}",
                  kModule, kPin, type, label, label.size() % 256));
}

std::string SoftHsm::uri(const std::string& label) const {
  return fmt::format("pkcs11:token=test;object={}?module-path={}", label, kModule);
}

}  // namespace layby::tests
