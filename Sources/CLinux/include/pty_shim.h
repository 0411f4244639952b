#pragma once

// A program behind a pseudo-terminal. In C because nothing but async-signal-safe calls may run between fork and exec
// in a process with threads.
#include <stdint.h>
#include <sys/types.h>

// Starts `path` as the leader of a new session on a new pseudo-terminal. `arguments` and `environment` end with NULL;
// the program inherits no descriptor but its terminal, no blocked signal and no ignored one. Returns the terminal's
// master side (close-on-exec, non-blocking) and sets `process`, or returns -errno.
int zlh_pty_spawn(
    const char *path, char *const arguments[], char *const environment[], const char *directory, uint16_t columns,
    uint16_t rows, pid_t *process);

// Tells the terminal its size; its foreground processes get SIGWINCH. 0 or -errno.
int zlh_pty_resize(int master, uint16_t columns, uint16_t rows);

// Signals the program's process group and, where it is another one, the terminal's foreground group.
void zlh_pty_signal(int master, pid_t process, int signal);

// Reaps the program if it has ended: 1 when it has (or is not ours), 0 when it still runs.
int zlh_pty_reap(pid_t process);
