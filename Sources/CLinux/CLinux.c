#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

static int is_mapped(uint64_t high, uint64_t low) { return high == 0 && low >> 32 == 0xffff; }

static socklen_t fill_address(struct sockaddr_storage *storage, uint64_t high, uint64_t low, uint16_t port) {
    memset(storage, 0, sizeof *storage);
    if (is_mapped(high, low)) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        in->sin_addr.s_addr = htonl((uint32_t)low);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    for (int i = 0; i < 8; i++) {
        in6->sin6_addr.s6_addr[i] = (uint8_t)(high >> (56 - 8 * i));
        in6->sin6_addr.s6_addr[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    return sizeof *in6;
}

static void read_address(const struct sockaddr_storage *storage, uint64_t *high, uint64_t *low, uint16_t *port) {
    *high = *low = 0;
    *port = 0;
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)storage;
        *low = 0xffff00000000ull | ntohl(in->sin_addr.s_addr);
        *port = ntohs(in->sin_port);
    } else if (storage->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)storage;
        for (int i = 0; i < 8; i++) {
            *high = *high << 8 | in6->sin6_addr.s6_addr[i];
            *low = *low << 8 | in6->sin6_addr.s6_addr[8 + i];
        }
        *port = ntohs(in6->sin6_port);
    }
}

int zlh_accept(int listener, uint64_t *high, uint64_t *low, uint16_t *port) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int fd = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return -errno;
    read_address(&storage, high, low, port);
    return fd;
}

int zlh_local_address(int fd, uint64_t *high, uint64_t *low, uint16_t *port) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0) return -errno;
    read_address(&storage, high, low, port);
    return 0;
}

static int socket_option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

int zlh_is_tcp_listener(int fd, uint64_t *high, uint64_t *low, uint16_t *port, int *takes_ipv4) {
    if (socket_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP || socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
        return 0;
    *takes_ipv4 = socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
    return zlh_local_address(fd, high, low, port) == 0;
}

int zlh_listen(uint64_t high, uint64_t low, uint16_t port, int backlog) {
    struct sockaddr_storage storage;
    socklen_t length = fill_address(&storage, high, low, port);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&storage, length) < 0 || listen(fd, backlog) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int zlh_try_bind(uint64_t high, uint64_t low, uint16_t port) {
    struct sockaddr_storage storage;
    socklen_t length = fill_address(&storage, high, low, port);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    int status = bind(fd, (struct sockaddr *)&storage, length) < 0 ? -errno : 0;
    close(fd);
    return status;
}

int zlh_connect(uint64_t high, uint64_t low, uint16_t port) {
    struct sockaddr_storage storage;
    socklen_t length = fill_address(&storage, high, low, port);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&storage, length) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int zlh_local_port(int fd) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0) return -errno;
    if (storage.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&storage)->sin_port);
    if (storage.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    return 0;
}

void zlh_tune_tcp(int fd) {
    int on = 1, idle = 60, interval = 20, count = 3;
    unsigned timeout = 120 * 1000;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

int zlh_unsent(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQNSD, &bytes) < 0 ? -1 : bytes;
}

int zlh_unacknowledged(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? -1 : bytes;
}

void zlh_limit_unsent(int fd, int bytes) {
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

long zlh_send_room(int fd, int unsent_limit) {
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof memory;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) return 0;
    long room = ((long)memory[SK_MEMINFO_SNDBUF] - (long)memory[SK_MEMINFO_WMEM_QUEUED]) / 2;
    int unsent = 0;
    if (unsent_limit > 0) {
        if (ioctl(fd, SIOCOUTQNSD, &unsent) != 0) return 0;
        if (room > unsent_limit - unsent) room = unsent_limit - unsent;
    }
    return room > 0 ? room : 0;
}

int zlh_signalfd(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error != 0) return -error;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void zlh_name_thread(const char *name) {
    char cut[16] = {0};
    strncpy(cut, name, sizeof cut - 1);
    pthread_setname_np(pthread_self(), cut);
}

int zlh_pipe(int ends[2], int size) {
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) return -errno;
    // A user may have only so much; the default serves too.
    fcntl(ends[1], F_SETPIPE_SZ, size);
    return 0;
}

long zlh_splice(int from, int to, long count) {
    ssize_t moved = splice(from, NULL, to, NULL, (size_t)count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return moved < 0 ? -errno : moved;
}
