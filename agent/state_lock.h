// One agent a state directory: a lock that goes with the process, however it ends.
#pragma once

#include <string>

#include "base/result.h"

namespace layby::agent {

class StateLock {
 public:
  // Held until it is destroyed. kConflict if another agent holds it.
  static Result<StateLock> take(const std::string& path);
  ~StateLock();
  StateLock(StateLock&& other) noexcept;
  StateLock& operator=(StateLock&& other) noexcept;

  // Whether an agent holds it, this one included. Only looks: it never stands in a starting
  // agent's way.
  enum class Holder { kNobody, kAnAgent };
  static Result<Holder> look(const std::string& path);

 private:
  explicit StateLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace layby::agent
