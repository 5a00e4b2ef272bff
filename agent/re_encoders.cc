#include "agent/re_encoders.h"

#include "delta/payload.h"

namespace layby::agent {

manifest::ReEncoders available_re_encoders() {
  manifest::ReEncoders available;
  for (const delta::ReEncoder& one : delta::available_re_encoders())
    available.emplace(one.name, one.version);
  return available;
}

}  // namespace layby::agent
