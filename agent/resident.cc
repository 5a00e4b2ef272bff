#include "agent/resident.h"

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

namespace layby::agent {
namespace {

constexpr int kMappedFromBytes = 128 * 1024;
constexpr int kHeapTopBytesMax = 256 * 1024;

// Of files, as the kernel counts it: the third number of statm. 0 where it cannot be read.
std::uint64_t resident_file_bytes(std::uint64_t page_bytes) {
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[128] = {};
  const ssize_t length = ::read(file, text, sizeof text - 1);
  ::close(file);
  unsigned long size = 0, resident = 0, of_files = 0;
  if (length <= 0 || std::sscanf(text, "%lu %lu %lu", &size, &resident, &of_files) != 3) return 0;
  return of_files * page_bytes;
}

// Its code was written to when it was loaded, and protected afterwards: what the file holds is not
// what runs.
bool has_text_relocations(const dl_phdr_info& object) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    if (object.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const auto* entry =
        reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + object.dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry)
      if (entry->d_tag == DT_TEXTREL ||
          (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0))
        return true;
  }
  return false;
}

// Segments that cannot be written hold what the file holds, and nothing else: what is given back
// is read from there again.
int give_back_object(dl_phdr_info* object, std::size_t, void* page_bytes) {
  if (has_text_relocations(*object)) return 0;
  const std::uintptr_t page = *static_cast<const std::uint64_t*>(page_bytes);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t first = object->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t begin = first / page * page;
    const std::uintptr_t end = (first + segment.p_filesz + page - 1) / page * page;
    static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
  }
  return 0;
}

}  // namespace

void return_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, kMappedFromBytes);
  ::mallopt(M_TRIM_THRESHOLD, kHeapTopBytesMax);
}

void give_back_code(std::uint64_t resident_bytes_max) {
  auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (resident_file_bytes(page_bytes) <= resident_bytes_max) return;
  ::dl_iterate_phdr(give_back_object, &page_bytes);
}

}  // namespace layby::agent
