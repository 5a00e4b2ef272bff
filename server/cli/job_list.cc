#include "server/cli/job_list.h"

#include <algorithm>

#include "server/cli/http_client.h"

namespace layby::cli {

using manifest::Json;

namespace {

constexpr std::size_t kPageJobs = 1000;  // the most that the server gives at once

bool is_over(const Json& job) {
  const std::string state = manifest::text_field(job, "state").value_or("");
  return state == "done" || state == "failed";
}

}  // namespace

Result<void> JobList::refresh(const GetJson& get) {
  jobs_.erase(std::find_if_not(jobs_.begin(), jobs_.end(), is_over), jobs_.end());
  while (true) {
    std::string path = fmt::format("/v1/payload-jobs?limit={}", kPageJobs);
    if (!jobs_.empty())
      path += "&after=" + encode_segment(TRY(manifest::text_field(jobs_.back(), "id")));
    const Json answer = TRY(get(path));
    const Json& page = *TRY(manifest::array_field(answer, "jobs"));
    jobs_.insert(jobs_.end(), page.begin(), page.end());
    if (page.size() < kPageJobs) return {};
  }
}

Json JobList::json() const {
  Json jobs = Json::array();
  for (const Json& job : jobs_) jobs.push_back(job);
  return {{"jobs", std::move(jobs)}};
}

std::map<std::string, int> JobList::count_states() const {
  std::map<std::string, int> counts;
  for (const Json& job : jobs_) ++counts[manifest::text_field(job, "state").value_or("unknown")];
  return counts;
}

}  // namespace layby::cli
