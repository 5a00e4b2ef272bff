#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "crypto/initialize.h"

int main(int argc, char** argv) {
  layby::crypto::initialize();
  return Catch::Session().run(argc, argv);
}
