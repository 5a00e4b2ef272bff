// The list of payload jobs, over all its pages.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "manifest/json_value.h"

namespace layby::cli {

using GetJson = std::function<Result<manifest::Json>(const std::string& path)>;

class JobList {
 public:
  // Asks for every page. The second time it asks from the first job on that was not over: with
  // thousands of jobs done, waiting for the last one costs one page.
  Result<void> refresh(const GetJson& get);

  // {"jobs":[…]}, as the API gives it.
  manifest::Json json() const;
  std::map<std::string, int> count_states() const;

 private:
  std::vector<manifest::Json> jobs_;
};

}  // namespace layby::cli
