#include "agent/state_owner.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

namespace layby::agent {
namespace {

namespace fs = std::filesystem;

// Files of a state directory that are looked at; a car has some hundreds.
constexpr int kFilesMax = 100'000;

std::string name_of(uid_t user) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(user);
}

Result<void> check_file(const std::string& path, const std::string& directory) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || S_ISLNK(status.st_mode)) return {};
  const int wanted = S_ISDIR(status.st_mode) ? R_OK | X_OK : R_OK;
  if (::faccessat(AT_FDCWD, path.c_str(), wanted, AT_EACCESS) == 0 || errno != EACCES) return {};
  const std::string user = name_of(::geteuid());
  return fail(ErrorCode::kIo,
              "{} belongs to {}, and {} may not read it: run this as the user of the "
              "state directory, or give it to {} with `chown -R {}: {}`",
              path, name_of(status.st_uid), user, user, user, directory);
}

}  // namespace

Result<void> check_state_access(const std::string& directory) {
  TRY_VOID(check_file(directory, directory));
  std::error_code failed;
  fs::recursive_directory_iterator entry(directory, failed);
  for (int i = 0; i < kFilesMax && !failed && entry != fs::end(entry); ++i) {
    // A file system's own, where the directory is one: root's, and nobody else reads it.
    if (entry->path().filename() == "lost+found")
      entry.disable_recursion_pending();
    else
      TRY_VOID(check_file(entry->path(), directory));
    entry.increment(failed);
  }
  return {};
}

Result<void> check_state_owner(const std::string& directory) {
  struct stat status {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &status) != 0 || status.st_uid == 0) return {};
  const std::string owner = name_of(status.st_uid);
  return fail(ErrorCode::kInvalidArgument,
              "{} belongs to {}, who could not read what root makes there: run this as {}, with "
              "`runuser -u {} -- layby-agent ...`",
              directory, owner, owner, owner);
}

}  // namespace layby::agent
