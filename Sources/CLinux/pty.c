#define _GNU_SOURCE
#include "pty_shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

// Runs in the child, where only async-signal-safe calls are allowed.
static void become(
    const char *path, char *const arguments[], char *const environment[], const char *directory) {
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    // A descriptor that another thread opened without close-on-exec goes too.
    if (close_range(3, ~0u, 0) != 0) {
        for (int fd = 3; fd < 65536; fd++) close(fd);
    }
    if (directory != NULL && chdir(directory) != 0 && chdir("/") != 0) _exit(126);
    execve(path, arguments, environment);
    _exit(127);
}

int zlh_pty_spawn(
    const char *path, char *const arguments[], char *const environment[], const char *directory, uint16_t columns,
    uint16_t rows, pid_t *process) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    int master = -1;
    // Every signal waits over the fork, so that no handler of ours runs in the child.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = forkpty(&master, NULL, NULL, &size);
    if (child == 0) become(path, arguments, environment, directory);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0) return -error;
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
    *process = child;
    return master;
}

int zlh_pty_resize(int master, uint16_t columns, uint16_t rows) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(master, TIOCSWINSZ, &size) == 0 ? 0 : -errno;
}

void zlh_pty_signal(int master, pid_t process, int signal) {
    pid_t foreground = tcgetpgrp(master);
    if (foreground > 1 && foreground != process) kill(-foreground, signal);
    if (process > 1) kill(-process, signal);
}

int zlh_pty_reap(pid_t process) {
    int status = 0;
    pid_t reaped;
    do {
        reaped = waitpid(process, &status, WNOHANG);
    } while (reaped < 0 && errno == EINTR);
    return reaped != 0;
}
