#pragma once

// What Swift's Glibc module leaves out: epoll, eventfd, signalfd, inotify, accept4.
#include <malloc.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pty_shim.h"

// accept4 is declared only under _GNU_SOURCE. Returns the descriptor or -errno; the peer's address as 16 bytes
// (IPv4 mapped) and port.
int zlh_accept(int listener, uint64_t *high, uint64_t *low, uint16_t *port);

// A TCP listener on an address given as 16 bytes (IPv4 mapped): non-blocking, SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY.
// Returns the descriptor or -errno.
int zlh_listen(uint64_t high, uint64_t low, uint16_t port, int backlog);

// Whether an address could be bound without sharing it: 0 or -errno. Nothing stays bound.
int zlh_try_bind(uint64_t high, uint64_t low, uint16_t port);

// Starts a non-blocking TCP connect. Returns the descriptor or -errno; a connect under way is success.
int zlh_connect(uint64_t high, uint64_t low, uint16_t port);

// Whether `fd` is a listening TCP socket: 1 or 0. Sets its address as 16 bytes (IPv4 mapped), its port, and whether an
// IPv6 one takes IPv4 connections too.
int zlh_is_tcp_listener(int fd, uint64_t *high, uint64_t *low, uint16_t *port, int *takes_ipv4);

// The local port of a socket, or -errno.
int zlh_local_port(int fd);

// The local address of a TCP socket as 16 bytes (IPv4 mapped) and port: 0 or -errno.
int zlh_local_address(int fd, uint64_t *high, uint64_t *low, uint16_t *port);

// A pipe, non-blocking, of about `size` bytes if that is allowed; 0 or -errno.
int zlh_pipe(int ends[2], int size);

// splice(2) between a socket and a pipe without waiting: bytes moved, 0 at the end, or -errno.
long zlh_splice(int from, int to, long count);

// TCP_NODELAY, keep-alive after 60 s, TCP_USER_TIMEOUT 2 min (finds the dead). Failures are of no consequence.
void zlh_tune_tcp(int fd);
void zlh_limit_unsent(int fd, int bytes);

// Bytes in the send queue of a TCP socket that were not sent, or not acknowledged; -1 when it is none.
int zlh_unsent(int fd);
int zlh_unacknowledged(int fd);

// About how many bytes the kernel would take now: half of what its send buffer has room for (SO_MEMINFO), since what it
// keeps beside small segments counts there too; and no more than `unsent_limit`, unless 0, less what it has not sent.
// 0 when it cannot be told.
long zlh_send_room(int fd, int unsent_limit);

// Blocks `signals` in this thread and gives a non-blocking signalfd for them, or -errno.
int zlh_signalfd(const int *signals, int count);

// Names the calling thread, cut to 15 bytes.
void zlh_name_thread(const char *name);
