/* The smallest host: an agent in a program in C.
 *
 *   embed-c STATE_DIRECTORY
 *
 * The directory is provisioned and paired (`layby-agent provision`, `pair`). The car of this host
 * stands parked; its driver gets in and out again every few seconds, so that what has been ordered
 * is downloaded, and activated after the next exit and lock. The host ends with 0 when a function
 * is on and the server knows it. Disk, clock and transport are the library's own. */
#include <layby_agent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct car {
  int driver_is_in;
  int has_activated;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

typedef void give_signal(void* sink, const char* name, const char* value, int64_t unix_ms);

static void read_signals(void* context, give_signal* give, void* sink) {
  static const char* const doors[] = {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide",
                                      "Row2.PassengerSide"};
  const struct car* car = context;
  const int64_t at = now_ms();
  give(sink, "Vehicle.Speed", "0", at);
  give(sink, "Vehicle.Powertrain.Transmission.SelectedGear", "126", at);
  give(sink, "Vehicle.Chassis.ParkingBrake.IsEngaged", "true", at);
  give(sink, "Vehicle.LowVoltageSystemState", car->driver_is_in ? "ON" : "LOCK", at);
  give(sink, "Vehicle.Cabin.Seat.Row1.DriverSide.IsOccupied", car->driver_is_in ? "true" : "false",
       at);
  give(sink, "Vehicle.Powertrain.TractionBattery.Charging.IsChargingCableConnected", "false", at);
  give(sink, "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed", "80", at);
  give(sink, "Vehicle.LowVoltageBattery.CurrentVoltage", "12.7", at);
  for (size_t i = 0; i < sizeof doors / sizeof *doors; ++i) {
    char name[80];
    snprintf(name, sizeof name, "Vehicle.Cabin.Door.%s.IsOpen", doors[i]);
    give(sink, name, "false", at);
    snprintf(name, sizeof name, "Vehicle.Cabin.Door.%s.IsLocked", doors[i]);
    give(sink, name, car->driver_is_in ? "false" : "true", at);
  }
}

static int command(void* context, const layby_command* asked) {
  struct car* car = context;
  printf("the car is asked: %d %s %s\n", (int)asked->kind, asked->name, asked->path);
  if (asked->kind == LAYBY_SHOW) return LAYBY_OK;
  if (asked->kind != LAYBY_ACTIVATE_FUNCTION) return LAYBY_UNSUPPORTED; /* this car has no more */
  car->has_activated = 1;
  return LAYBY_OK;
}

static void write_log(void* context, layby_log_level level, const char* line) {
  (void)context;
  fprintf(level == LAYBY_LOG_ERROR ? stderr : stdout, "%s\n", line);
}

int main(int argc, char** argv) {
  char error[200];
  layby_agent* agent = NULL;
  layby_options options;
  struct car car = {0, 0};
  if (argc != 2) return fprintf(stderr, "usage: %s STATE_DIRECTORY\n", argv[0]), 2;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.state_directory = argv[1];
  options.vehicle.context = &car;
  options.vehicle.read_signals = read_signals;
  options.vehicle.command = command;
  options.log.write = write_log;
  if (layby_agent_open(&options, &agent, error, sizeof error) != LAYBY_OK)
    return fprintf(stderr, "embed-c: %s\n", error), 1;
  for (int64_t wait_ms = 0; !car.has_activated || wait_ms == 0;) {
    if (layby_agent_step(agent, &wait_ms) != LAYBY_OK) {
      fprintf(stderr, "embed-c: %s\n", layby_agent_error(agent));
      return layby_agent_close(agent), 1;
    }
    car.driver_is_in = now_ms() / 1000 % 8 < 2;
    const struct timespec pause = {wait_ms / 1000, wait_ms % 1000 * 1000000};
    nanosleep(&pause, NULL); /* at most half a second: the car here tells nobody of its changes */
  }
  layby_agent_close(agent);
  return 0;
}
