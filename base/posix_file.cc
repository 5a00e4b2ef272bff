#include "base/posix_file.h"

#include <cerrno>
#include <system_error>

namespace layby {

tl::unexpected<Error> fail_errno(const char* doing, const std::string& path, int error) {
  const ErrorCode code = error == ENOENT                      ? ErrorCode::kNotFound
                         : error == EEXIST                    ? ErrorCode::kAlreadyExists
                         : error == ENOSPC || error == EDQUOT ? ErrorCode::kDiskFull
                                                              : ErrorCode::kIo;
  return fail(code, "{} {}: {}", doing, path, std::generic_category().message(error));
}

}  // namespace layby
