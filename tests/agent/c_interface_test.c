/* The C interface as a C11 host sees it: it compiles, refuses what makes no sense, and says why. */
#include "agent/layby_agent.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The layout that hosts were compiled with: what changes here needs another major version. */
#if UINTPTR_MAX == UINT64_MAX
#define AT(member, offset) \
  _Static_assert(offsetof(layby_options, member) == (offset), #member " has moved")
AT(size, 0);
AT(state_directory, 8);
AT(vehicle, 16);
AT(language, 48);
AT(data_budget_bytes, 64);
AT(home_region, 88);
AT(clock, 104);
AT(disk, 128);
AT(transport, 280);
AT(allocator, 296);
AT(log, 320);
AT(interrupted, 336);
_Static_assert(sizeof(layby_options) == 352, "layby_options has grown: add what is new above");
_Static_assert(sizeof(layby_command) == 32, "layby_command has changed");
_Static_assert(sizeof(layby_request) == 96, "layby_request has changed");
#endif

static int failures = 0;

static void check(int condition, const char* what) {
  if (condition) return;
  ++failures;
  fprintf(stderr, "failed: %s\n", what);
}

static void read_signals(void* context,
                         void (*give)(void* sink, const char* name, const char* value,
                                      int64_t unix_ms),
                         void* sink) {
  (void)context;
  give(sink, "Vehicle.Speed", "0", 0);
}

static int command(void* context, const layby_command* asked) {
  (void)context;
  return asked->kind == LAYBY_SHOW ? LAYBY_OK : LAYBY_UNAVAILABLE;
}

int main(void) {
  char error[200];
  int64_t wait_ms = 0;
  layby_agent* agent = NULL;
  layby_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.state_directory = "/nonexistent/layby";
  options.language = "de";

  check(layby_agent_open(&options, &agent, error, sizeof error) == 1, "callbacks are demanded");
  options.vehicle.read_signals = read_signals;
  options.vehicle.command = command;
  check(layby_agent_open(&options, &agent, error, sizeof error) == 2,
        "a directory that is not provisioned is not found");
  check(agent == NULL, "no agent after a failure");
  check(strstr(error, "/nonexistent/layby") != NULL, "the text names the directory");
  options.language = "xx";
  check(layby_agent_open(&options, &agent, error, 8) == 1, "an unknown language is refused");
  check(strlen(error) < 8, "the text is cut to its room");
  check(layby_agent_open(&options, &agent, NULL, 0) == 1, "no room for a text is fine");
  check(layby_agent_open(NULL, &agent, error, sizeof error) == LAYBY_INVALID_ARGUMENT,
        "no options are refused");
  check(layby_agent_open(&options, NULL, error, sizeof error) == LAYBY_INVALID_ARGUMENT,
        "nowhere to put the agent is refused");
  check(layby_agent_step(NULL, &wait_ms) == LAYBY_INVALID_ARGUMENT, "no agent, no step");
  check(layby_agent_step(NULL, NULL) == LAYBY_INVALID_ARGUMENT, "no agent, no step, no wait");
  check(layby_agent_status(NULL, error, sizeof error) == 0 && error[0] == '\0',
        "no agent, no status");
  check(strcmp(layby_agent_error(NULL), "") == 0, "no agent, no text");
  layby_agent_close(NULL);
  check(strchr(layby_version(), '.') != NULL, "the library says its version");
  return failures == 0 ? 0 : 1;
}
