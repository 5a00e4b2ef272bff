#include "delta/stopping.h"

#include <utility>

namespace layby::delta {
namespace {

thread_local const std::stop_token* innermost = nullptr;

}  // namespace

StopScope::StopScope(std::stop_token stop) : stop_(std::move(stop)), outer_(innermost) {
  innermost = &stop_;
}

StopScope::~StopScope() {
  innermost = outer_;
}

void check_stop() {
  if (innermost != nullptr && innermost->stop_requested()) throw Stopped();
}

std::stop_token current_stop() {
  return innermost != nullptr ? *innermost : std::stop_token();
}

}  // namespace layby::delta
