#include "agent/host_memory.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

// Set for the length of a call, per thread: nothing of it outlives the call.
thread_local layby::agent::HostMemory* current = nullptr;

}  // namespace

namespace layby::agent {

HostMemory::HostMemory(const layby_allocator& host) : host_(host), before_(current) {
  current = this;
}

HostMemory::~HostMemory() {
  current = before_;
}

bool HostMemory::is_supported() {
  return LAYBY_HOST_MEMORY != 0;
}

}  // namespace layby::agent

#if LAYBY_HOST_MEMORY

namespace {

// In front of every block: who takes it back. Null: free().
struct alignas(std::max_align_t) Owner {
  void (*release)(void* context, void* block);
  void* context;
};

void* take(std::size_t bytes) noexcept {
  if (bytes > SIZE_MAX - sizeof(Owner)) return nullptr;
  const std::size_t whole = sizeof(Owner) + bytes;
  if (current != nullptr && current->host().allocate != nullptr) {
    const layby_allocator& host = current->host();
    void* block = host.allocate(host.context, whole);
    if (block != nullptr) return new (block) Owner{host.release, host.context} + 1;
    current->note_short();
    if (bytes > layby::agent::kMadeUpBytesMax) return nullptr;
  }
  void* block = std::malloc(whole);
  return block == nullptr ? nullptr : new (block) Owner{nullptr, nullptr} + 1;
}

void give_back(void* bytes) noexcept {
  if (bytes == nullptr) return;
  Owner* owner = static_cast<Owner*>(bytes) - 1;
  const Owner to = *owner;
  if (to.release != nullptr)
    to.release(to.context, owner);
  else
    std::free(owner);
}

}  // namespace

// The forms that the runtime does not lead back to these two itself. Types that ask for more than
// max_align_t keep the runtime's: there are none here.
void* operator new(std::size_t bytes) {
  void* taken = take(bytes);
  if (taken == nullptr) throw std::bad_alloc();
  return taken;
}

void operator delete(void* bytes) noexcept {
  give_back(bytes);
}

void operator delete(void* bytes, std::size_t) noexcept {
  give_back(bytes);
}

#endif
