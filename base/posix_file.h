// What the files of base/ have in common with the system that they stand on.
#pragma once

#include <unistd.h>

#include <string>
#include <utility>

#include "base/result.h"

namespace layby {

// `error` is an errno: kNotFound, kAlreadyExists, kDiskFull, and kIo for all others.
tl::unexpected<Error> fail_errno(const char* doing, const std::string& path, int error);

// Owns a file descriptor; negative: none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace layby
