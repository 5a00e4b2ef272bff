/* The agent for hosts written in C: the one header of the shared library `liblayby`.
 *
 * Contract
 *   Threads     The library starts none. One agent, one thread at a time: no call of an agent
 *               beside another of the same agent, and none out of its own callbacks, where
 *               it is LAYBY_CONFLICT or what a function returns on failure (layby_answer_* from
 *               `exchange` and layby_agent_error excepted). Agents of different directories may
 *               run in different threads.
 *   Process     It installs no signal handler, reads no environment, keeps no state outside of an
 *               agent, and never ends the process, but for a broken assertion (a bug of ours: text
 *               to stderr, abort). Libraries below have state of their own (libsodium, OpenSSL,
 *               libcurl), and libcurl, as Debian builds it, asks for names in a short-lived thread:
 *               it is not called where the host gives a transport.
 *   Callbacks   The host's clock, disk, transport, vehicle, allocator and log. They run inside of
 *               layby_agent_* calls only, in the caller's thread. They may block; they must not
 *               throw or longjmp. All callbacks of a struct are needed unless it says "may be
 *               NULL".
 *   Ownership   Strings are UTF-8 and end with a zero. What a call or callback is given lives until
 *               it returns; the options are copied, their contexts stay the host's and must outlive
 *               the agent. What layby_agent_open makes is freed by layby_agent_close alone.
 *   Errors      0 is success; others are the codes of docs/error-codes.md, of which those that a
 *               host returns or tells apart are named below. layby_agent_error has the text. A NULL
 *               where a function needs something is LAYBY_INVALID_ARGUMENT, or what it returns on
 *               failure, and no crash.
 *   ABI         layby_options grows at its end, and `size` says how much of it the host knows; the
 *               other structs stay as they are within a major version. Zero is the default.
 *
 * docs/embedding.md walks through it; samples/embed-c is the smallest host.
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

#define LAYBY_OK 0
#define LAYBY_INVALID_ARGUMENT 1
#define LAYBY_NOT_FOUND 2
#define LAYBY_IO 4
#define LAYBY_DISK_FULL 5
#define LAYBY_CONFLICT 8
#define LAYBY_UNAVAILABLE 9
#define LAYBY_TIMEOUT 10
#define LAYBY_UNAUTHENTICATED 11
#define LAYBY_UNSUPPORTED 13
#define LAYBY_CANCELLED 14
#define LAYBY_INTERNAL 15 /* also: the allocator had nothing left */
#define LAYBY_ENDLESS_DATA 204
#define LAYBY_SLOW_RETRIEVAL 205

/* ---- vehicle --------------------------------------------------------------------------------- */

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

typedef struct layby_vehicle {
  void* context; /* given back to each callback, here and below */

  /* Called at the start of each step, and at its end: calls `give` for every signal that is known,
   * under its VSS name, with its value as text and its time in milliseconds since 1970. A signal
   * that the car has and does not say just now is given with a NULL value: nothing is installed on
   * what it may have said (a fifth door, a speed, the owner's time). One that the car has not is
   * not given; a NULL name gives nothing. */
  void (*read_signals)(void* context,
                       void (*give)(void* sink, const char* name, const char* value,
                                    int64_t unix_ms),
                       void* sink);

  /* Does it, blocking; may be asked again for what is done already, and must then do no harm. What
   * could not be asked of the car is LAYBY_UNAVAILABLE and is asked again; others mean "could not
   * do it". */
  int (*command)(void* context, const layby_command* command);

  /* Not 0: the host calls layby_agent_step as soon as a signal changes. Then a step's wait is up to
   * ten minutes; else at most half a second. */
  int tells_changes;
} layby_vehicle;

/* ---- clock: the machine's where both are NULL ------------------------------------------------ */

typedef struct layby_clock {
  void* context;
  int64_t (*unix_seconds)(void* context); /* may jump when somebody sets it */
  int64_t (*monotonic_ms)(void* context); /* never goes back; counts while the car sleeps */
} layby_clock;

/* ---- disk: POSIX files where all are NULL ---------------------------------------------------- */

typedef enum layby_open_mode {
  LAYBY_OPEN_READ = 1, /* LAYBY_NOT_FOUND if there is nothing; a directory is LAYBY_IO */
  LAYBY_OPEN_WRITE = 2 /* for reading and writing; made if absent */
} layby_open_mode;

typedef enum layby_file_kind {
  LAYBY_FILE = 1,
  LAYBY_DIRECTORY = 2,
  LAYBY_SYMLINK = 3,
  LAYBY_OTHER = 4
} layby_file_kind;

/* Paths are absolute or under the state directory, parted by '/'. LAYBY_DISK_FULL where there is no
 * room, LAYBY_NOT_FOUND where there is nothing, LAYBY_IO for the rest. What was not synced may be
 * lost, or half there, after a power cut; what was synced may not. A host with a disk of its own
 * gives a transport too, and itself sees to it that no second agent has the directory open. */
typedef struct layby_disk {
  void* context;
  int (*open)(void* context, const char* path, layby_open_mode mode, void** file);
  int (*size)(void* context, void* file, uint64_t* bytes);
  /* All of `count` bytes: past the end is LAYBY_IO. */
  int (*read)(void* context, void* file, uint64_t offset, void* bytes, size_t count);
  /* All of them; past the end makes the file longer, zeros between. */
  int (*write)(void* context, void* file, uint64_t offset, const void* bytes, size_t count);
  int (*truncate)(void* context, void* file, uint64_t bytes);
  /* Takes the room for the first `bytes` bytes; the size stays. May be NULL: LAYBY_UNSUPPORTED. */
  int (*reserve)(void* context, void* file, uint64_t bytes);
  int (*sync)(void* context, void* file); /* contents and size */
  void (*close)(void* context, void* file);
  /* Does not follow a symlink at the end; `bytes` for files. */
  int (*status)(void* context, const char* path, layby_file_kind* kind, uint64_t* bytes);
  int (*make_directories)(void* context, const char* path); /* with all above; there is fine */
  int (*list)(void* context, const char* path, void (*give)(void* sink, const char* name),
              void* sink);
  int (*rename)(void* context, const char* from, const char* to); /* replaces, atomic */
  int (*make_symlink)(void* context, const char* target, const char* path);
  int (*read_symlink)(void* context, const char* path, void (*give)(void* sink, const char* target),
                      void* sink);
  int (*remove)(void* context, const char* path);         /* absent is fine */
  int (*remove_tree)(void* context, const char* path);    /* absent is fine; follows no symlink */
  int (*sync_directory)(void* context, const char* path); /* the names in it */
  int (*free_bytes)(void* context, const char* path, uint64_t* bytes);
} layby_disk;

/* ---- transport: libcurl, TLS 1.3 with the car's certificate, where it is NULL -----------------
 */

typedef struct layby_header {
  const char* name;
  const char* value;
} layby_header;

typedef struct layby_request {
  const char* method; /* "GET" or "POST" */
  const char* path;   /* on the car's server: "/v1/vehicle/time?nonce=..." */
  const layby_header* headers;
  size_t header_count;
  const void* body;
  size_t body_bytes;
  uint64_t range_offset;
  uint64_t range_bytes;          /* 0: no range is asked for */
  uint64_t bytes_max;            /* of the answer's body: layby_answer_body refuses more */
  int64_t deadline_ms;           /* of the whole exchange: LAYBY_SLOW_RETRIEVAL after it */
  uint64_t bytes_per_second_min; /* over the window; LAYBY_SLOW_RETRIEVAL below */
  int rate_window_seconds;
} layby_request;

/* What takes the answer, while `exchange` runs. */
typedef struct layby_answer layby_answer;

typedef struct layby_transport {
  void* context;
  /* One HTTP exchange with the car's server, over TLS: the server is proved by `keys/ca.pem` of the
   * state directory, the car by `keys/certificate.pem` (certificate and key, replaced now and
   * then). Tells the answer its status, then its headers, then its body. LAYBY_OK for any status;
   * LAYBY_UNAVAILABLE without a connection, LAYBY_TIMEOUT without an answer, LAYBY_UNAUTHENTICATED
   * where TLS fails. */
  int (*exchange)(void* context, const layby_request* request, layby_answer* answer);
} layby_transport;

/* A status begins the answer anew (after a 100, say). */
void layby_answer_status(layby_answer* answer, int status);
void layby_answer_header(layby_answer* answer, const char* name, const char* value);
/* Takes a piece of the body. Anything but LAYBY_OK: end the exchange and return it. */
int layby_answer_body(layby_answer* answer, const void* bytes, size_t count);

/* ---- allocator: malloc where both are NULL --------------------------------------------------- */

/* For what the agent itself needs: nearly all there is. What libcurl, OpenSSL, libsodium,
 * libarchive, zlib and zstd need for a moment comes from malloc. A library that was built to
 * use malloc alone (with sanitizers) refuses it with LAYBY_UNSUPPORTED. All blocks are released
 * by the end of layby_agent_close. A call to which NULL was given returns LAYBY_INTERNAL: at once
 * where the block was to be larger than 256 KiB, else after malloc has made up for it. */
typedef struct layby_allocator {
  void* context;
  void* (*allocate)(void* context, size_t bytes); /* aligned as malloc's; NULL: nothing left */
  void (*release)(void* context, void* block);
} layby_allocator;

/* ---- log: nowhere where it is NULL ----------------------------------------------------------- */

typedef enum layby_log_level { LAYBY_LOG_NEWS = 1, LAYBY_LOG_ERROR = 2 } layby_log_level;

typedef struct layby_log {
  void* context;
  /* A line of what has changed: an order's state and what it waits for, what the server's trouble
   * is. In English, without a line feed and without a time. */
  void (*write)(void* context, layby_log_level level, const char* line);
} layby_log;

/* ---- the agent ------------------------------------------------------------------------------- */

typedef struct layby_options {
  size_t size;                 /* sizeof(layby_options) */
  const char* state_directory; /* absolute path of a provisioned and paired directory */
  layby_vehicle vehicle;
  /* What follows may be left zero. */
  const char* language;       /* "de", "en" (default), "fr", "it", "nl": where the car says none */
  const char* roaming;        /* "nothing", "news" (default), "payloads" */
  uint64_t data_budget_bytes; /* a month over metered bearers; 0: no limit */
  int64_t map_wifi_wait_seconds; /* 0: a day; negative: maps do not wait for Wi-Fi */
  const char* map_regions;       /* "owner" (default), "announce", "auto" */
  const char* home_region;       /* "DE"; NULL: none */
  const char* proxy; /* "http://host:port" on the way to the server, for libcurl; NULL: none */
  layby_clock clock;
  layby_disk disk;
  layby_transport transport;
  layby_allocator allocator;
  layby_log log;
  /* Asked between two chunks of a download: not 0 makes the step return soon. May be NULL. */
  int (*interrupted)(void* context);
  void* interrupted_context;
} layby_options;

/* Opens the agent. On success *agent is to be freed with layby_agent_close. On failure *agent is
 * NULL and the text, cut to `error_size`, says why; `error` may be NULL. LAYBY_NOT_FOUND: the
 * directory is not provisioned; LAYBY_UNAUTHENTICATED: not paired; LAYBY_CONFLICT: another process
 * has it open. */
int layby_agent_open(const layby_options* options, layby_agent** agent, char* error,
                     size_t error_size);

/* A bounded piece of work. *wait_ms (may be NULL): when to call again at the latest; call earlier
 * when the car's signals changed. After a result other than LAYBY_OK close the agent and open it
 * again: what is on the disk is sound. */
int layby_agent_step(layby_agent* agent, int64_t* wait_ms);

/* The JSON of `layby-agent status --json`. Returns the length of the whole text without its ending
 * zero and writes at most `size` bytes, always with an ending zero if `size` > 0; 0 on failure. */
size_t layby_agent_status(const layby_agent* agent, char* text, size_t size);

/* The text of the last failed call on this agent; "" if there was none. Lives until the next call.
 */
const char* layby_agent_error(const layby_agent* agent);

/* NULL is fine. Out of one of the agent's callbacks it does nothing: the agent stays open. */
void layby_agent_close(layby_agent* agent);

/* "0.1.0": the library's. Lives for ever. */
const char* layby_version(void);

#ifdef __cplusplus
}
#endif

#endif
