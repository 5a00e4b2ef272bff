/* A host in C against an installed library: its version, and what is wrong with no options. */
#include <layby_agent.h>
#include <stdio.h>

int main(void) {
  char error[200];
  layby_agent* agent = NULL;
  const int result = layby_agent_open(NULL, &agent, error, sizeof error);
  printf("liblayby %s: %s\n", layby_version(), error);
  return result == LAYBY_INVALID_ARGUMENT && agent == NULL ? 0 : 1;
}
