/* The C interface as a C11 host sees it: it compiles, refuses what makes no sense, and says why. */
#include "agent/layby_agent.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The layout that hosts were compiled with: what changes here needs another major version. */
#if UINTPTR_MAX == UINT64_MAX
#define AT(member, offset) MEMBER_AT(layby_options, member, offset)
#define MEMBER_AT(type, member, offset) \
  _Static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")
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
/* Callbacks of one type that change places would compile, and do harm. */
MEMBER_AT(layby_vehicle, context, 0);
MEMBER_AT(layby_vehicle, read_signals, 8);
MEMBER_AT(layby_vehicle, command, 16);
MEMBER_AT(layby_vehicle, tells_changes, 24);
MEMBER_AT(layby_clock, context, 0);
MEMBER_AT(layby_clock, unix_seconds, 8);
MEMBER_AT(layby_clock, monotonic_ms, 16);
MEMBER_AT(layby_disk, context, 0);
MEMBER_AT(layby_disk, open, 8);
MEMBER_AT(layby_disk, size, 16);
MEMBER_AT(layby_disk, read, 24);
MEMBER_AT(layby_disk, write, 32);
MEMBER_AT(layby_disk, truncate, 40);
MEMBER_AT(layby_disk, reserve, 48);
MEMBER_AT(layby_disk, sync, 56);
MEMBER_AT(layby_disk, close, 64);
MEMBER_AT(layby_disk, status, 72);
MEMBER_AT(layby_disk, make_directories, 80);
MEMBER_AT(layby_disk, list, 88);
MEMBER_AT(layby_disk, rename, 96);
MEMBER_AT(layby_disk, make_symlink, 104);
MEMBER_AT(layby_disk, read_symlink, 112);
MEMBER_AT(layby_disk, remove, 120);
MEMBER_AT(layby_disk, remove_tree, 128);
MEMBER_AT(layby_disk, sync_directory, 136);
MEMBER_AT(layby_disk, free_bytes, 144);
MEMBER_AT(layby_transport, context, 0);
MEMBER_AT(layby_transport, exchange, 8);
MEMBER_AT(layby_allocator, context, 0);
MEMBER_AT(layby_allocator, allocate, 8);
MEMBER_AT(layby_allocator, release, 16);
MEMBER_AT(layby_log, context, 0);
MEMBER_AT(layby_log, write, 8);
_Static_assert(sizeof(layby_disk) == 152, "layby_disk has changed");
MEMBER_AT(layby_command, kind, 0);
MEMBER_AT(layby_command, name, 8);
MEMBER_AT(layby_command, path, 16);
MEMBER_AT(layby_command, until, 24);
MEMBER_AT(layby_request, method, 0);
MEMBER_AT(layby_request, path, 8);
MEMBER_AT(layby_request, headers, 16);
MEMBER_AT(layby_request, header_count, 24);
MEMBER_AT(layby_request, body, 32);
MEMBER_AT(layby_request, body_bytes, 40);
MEMBER_AT(layby_request, range_offset, 48);
MEMBER_AT(layby_request, range_bytes, 56);
MEMBER_AT(layby_request, bytes_max, 64);
MEMBER_AT(layby_request, deadline_ms, 72);
MEMBER_AT(layby_request, bytes_per_second_min, 80);
MEMBER_AT(layby_request, rate_window_seconds, 88);
#endif

_Static_assert(LAYBY_ACTIVATE_FUNCTION == 1 && LAYBY_DEACTIVATE_FUNCTION == 2 &&
                   LAYBY_BOOT_TRIAL == 3 && LAYBY_BOOT_KEEP == 4 && LAYBY_BOOT_REVERT == 5 &&
                   LAYBY_CHECK_SOFTWARE == 6 && LAYBY_RELOAD_MAPS == 7 && LAYBY_SHOW == 8,
               "commands have changed");
_Static_assert(LAYBY_OPEN_READ == 1 && LAYBY_OPEN_WRITE == 2 && LAYBY_FILE == 1 &&
                   LAYBY_DIRECTORY == 2 && LAYBY_SYMLINK == 3 && LAYBY_OTHER == 4 &&
                   LAYBY_LOG_NEWS == 1 && LAYBY_LOG_ERROR == 2,
               "what hosts were compiled with has changed");

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
