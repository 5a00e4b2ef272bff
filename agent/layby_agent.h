/* The agent for hosts written in C.
 *
 * One agent, one thread: no call of one agent may run beside another of the same agent. Strings are
 * UTF-8 and end with a zero; those given to callbacks live until the callback returns. The seams
 * "clock", "disk" and "transport" are the operating system's, POSIX files and libcurl; the seam
 * "vehicle" is the host's callbacks. docs/embedding.md walks through an example.
 *
 * There are no options for boot control: which software slot is booted is the host's alone, by the
 * commands LAYBY_BOOT_TRIAL, LAYBY_BOOT_KEEP, LAYBY_BOOT_REVERT and LAYBY_CHECK_SOFTWARE. The agent
 * takes for live what its journal says (`layby-agent provision --running-slot`), and writes the
 * other slot: a host that boots by a record of its own compares them before it opens the agent, and
 * does not open it where they differ. Where nobody has named the running slot no software is
 * written. A LAYBY_BOOT_REVERT is asked for until it returns LAYBY_OK, after growing pauses: until
 * then no other software begins, and the driver is sent to a partner.
 */
#ifndef LAYBY_AGENT_H
#define LAYBY_AGENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct layby_agent layby_agent;

/* What the car is asked to do. */
typedef enum layby_command_kind {
  LAYBY_ACTIVATE_FUNCTION = 1,   /* name: function; path: its package; until: end of term or "" */
  LAYBY_DEACTIVATE_FUNCTION = 2, /* name: function */
  LAYBY_BOOT_TRIAL = 3,          /* path: software slot to boot once */
  LAYBY_BOOT_KEEP = 4,           /* path: slot to boot from now on */
  LAYBY_BOOT_REVERT = 5,         /* path: slot to go back to */
  LAYBY_CHECK_SOFTWARE = 6,      /* path: slot that must be running, and well */
  LAYBY_RELOAD_MAPS = 7,         /* path: directory of the live set */
  LAYBY_SHOW = 8                 /* name: the lines for the head unit, parted by line feeds */
} layby_command_kind;

typedef struct layby_command {
  layby_command_kind kind;
  const char* name;  /* "" where the kind has none */
  const char* path;  /* "" where the kind has none */
  const char* until; /* "2027-01-01T00:00:00Z" or "" */
} layby_command;

/* Results of commands and functions: 0 is success; others are the codes of docs/error-codes.md. A
 * command that could not be asked of the car returns LAYBY_UNAVAILABLE and is asked again. */
#define LAYBY_OK 0
#define LAYBY_INVALID_ARGUMENT 1
#define LAYBY_CONFLICT 8
#define LAYBY_UNAVAILABLE 9

typedef struct layby_vehicle {
  void* context; /* given back to each callback */

  /* Called once at the start of each step: calls `give` for every signal that is known, under its
   * VSS name, with its value as text and its time in milliseconds since 1970. */
  void (*read_signals)(void* context,
                       void (*give)(void* sink, const char* name, const char* value,
                                    int64_t unix_ms),
                       void* sink);

  /* Does it, blocking; may be asked again for what is done already, and must then do no harm. */
  int (*command)(void* context, const layby_command* command);
} layby_vehicle;

typedef struct layby_options {
  const char* state_directory; /* absolute path of a provisioned and paired directory */
  const char* language;        /* "de", "en", "fr", "it", "nl": where the car says none */
  layby_vehicle vehicle;
  /* What follows may be left zero: the defaults. */
  const char* roaming;           /* "nothing", "news" (default), "payloads" */
  uint64_t data_budget_bytes;    /* a month over metered bearers; 0: no limit */
  int64_t map_wifi_wait_seconds; /* 0: a day; negative: maps do not wait for Wi-Fi */
  const char* map_regions;       /* "owner" (default), "announce", "auto" */
  const char* home_region;       /* "DE"; NULL: none */
  const char* proxy;             /* "http://host:port" on the way to the server; NULL: none */
} layby_options;

/* A NULL where a function needs an argument is LAYBY_INVALID_ARGUMENT or what it returns on
 * failure, and no crash. A signal with a NULL name or value is not known. One process at a time may
 * have a state directory open: the second gets LAYBY_CONFLICT.
 *
 * Opens the agent. On success *agent is to be freed with layby_agent_close. On failure *agent is
 * NULL and the text, cut to `error_size`, says why; `error` may be NULL. */
int layby_agent_open(const layby_options* options, layby_agent** agent, char* error,
                     size_t error_size);

/* A bounded piece of work. *wait_ms: when to call again at the latest; call earlier when the car's
 * signals changed. After a result other than LAYBY_OK close the agent and open it again. */
int layby_agent_step(layby_agent* agent, int64_t* wait_ms);

/* The JSON of `layby-agent status --json`. Returns the length of the whole text without its ending
 * zero and writes at most `size` bytes, always with an ending zero if `size` > 0; 0 on failure. */
size_t layby_agent_status(const layby_agent* agent, char* text, size_t size);

/* The text of the last failed call on this agent; "" if there was none. Lives until the next call.
 */
const char* layby_agent_error(const layby_agent* agent);

/* NULL is fine. */
void layby_agent_close(layby_agent* agent);

#ifdef __cplusplus
}
#endif

#endif
