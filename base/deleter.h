// std::unique_ptr for what a C library hands out and takes back through a function of its own:
//
//   using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
#pragma once

namespace layby {

template <auto release>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    release(object);
  }
};

}  // namespace layby
