/* A long link in user space: relays TCP connections and lets every byte wait, the same for both directions.
 *
 *     delay_relay TARGET-PORT DELAY-MS MEGABYTES
 *
 * listens on a free port of 127.0.0.1, prints it, and connects each client to TARGET-PORT there. A byte is passed on
 * DELAY-MS after it came, so that a round trip takes twice that; MEGABYTES are in flight at most, each way, and when
 * they are, no more is read. One thread; ends with its standard input, which its owner holds open. Unlike `tc netem` it
 * needs no rights, and unlike it it does not delay the kernel's acknowledgements: what is slow here is HTTP/2's flow
 * control, not TCP's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 4096, SOCKET_BUFFER = 4 << 20, EVENTS = 64 };

/* What came in the same millisecond: it may leave at `due`, up to the stream's byte `end`. */
struct chunk { int64_t due; uint64_t end; };

struct way {
    unsigned char *ring;
    uint64_t in, out;          /* bytes ever read and written */
    struct chunk chunks[CHUNKS];
    unsigned first, last;      /* of the chunks, counted up */
    int64_t end_due;           /* when the end of the stream may be passed on; 0 before it came */
    int ended;                 /* it was */
    int blocked;               /* the kernel took no more */
};

struct link;
struct side { struct link *link; int fd, index; uint32_t interest; };
/* ways[i] carries bytes from sides[i] to the other side. */
struct link { struct side sides[2]; struct way ways[2]; struct link *next; int dead; };

static int epoll, target_port, delay;
static size_t capacity;
static struct link *links;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void tune(int fd) {
    int one = 1, size = SOCKET_BUFFER;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* Without the right to this the kernel chooses, which is better than the small size that SO_RCVBUF may ask for. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
}

static int has_room(const struct way *way) {
    return !way->end_due && way->in - way->out < capacity && way->last - way->first < CHUNKS - 1;
}

static void watch(struct side *side) {
    struct link *link = side->link;
    uint32_t interest = (has_room(&link->ways[side->index]) ? EPOLLIN : 0)
        | (link->ways[!side->index].blocked ? EPOLLOUT : 0);
    if (!interest) interest = EPOLLET; /* a hang-up is told of all the same, but once */
    if (interest == side->interest) return;
    struct epoll_event event = {.events = side->interest = interest, .data.ptr = side};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, side->fd, &event)) die("epoll_ctl");
}

/* The one or two pieces of the ring from byte `from` on, `count` bytes long. */
static int pieces(struct way *way, uint64_t from, size_t count, struct iovec out[2]) {
    size_t at = (size_t)(from % capacity), straight = capacity - at;
    out[0] = (struct iovec){way->ring + at, count < straight ? count : straight};
    out[1] = (struct iovec){way->ring, count - out[0].iov_len};
    return out[1].iov_len ? 2 : 1;
}

/* Reads once what there is room for. */
static void take(struct side *side, int64_t now) {
    struct way *way = &side->link->ways[side->index];
    if (!has_room(way)) return;
    struct iovec parts[2];
    int count = pieces(way, way->in, capacity - (size_t)(way->in - way->out), parts);
    ssize_t got = readv(side->fd, parts, count);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) { side->link->dead = 1; return; }
    if (got == 0) { way->end_due = now + delay; return; }
    way->in += (uint64_t)got;
    struct chunk *newest = &way->chunks[(way->last - 1) % CHUNKS];
    if (way->last == way->first || newest->due != now + delay) newest = &way->chunks[way->last++ % CHUNKS];
    *newest = (struct chunk){now + delay, way->in};
}

/* Writes what has waited long enough. */
static void give(struct link *link, int index, int64_t now) {
    struct way *way = &link->ways[index];
    int fd = link->sides[!index].fd;
    uint64_t ripe = way->out;
    for (unsigned at = way->first; at != way->last && way->chunks[at % CHUNKS].due <= now; at++)
        ripe = way->chunks[at % CHUNKS].end;
    way->blocked = 0;
    while (way->out < ripe) {
        struct iovec parts[2];
        int count = pieces(way, way->out, (size_t)(ripe - way->out), parts);
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) { way->blocked = 1; break; }
        if (sent < 0) { link->dead = 1; return; }
        way->out += (uint64_t)sent;
    }
    while (way->first != way->last && way->chunks[way->first % CHUNKS].end <= way->out) way->first++;
    if (way->end_due && way->end_due <= now && way->out == way->in && !way->ended) {
        shutdown(fd, SHUT_WR);
        way->ended = 1;
        if (link->ways[!index].ended) link->dead = 1;
    }
}

static void close_link(struct link *link) {
    for (int index = 0; index < 2; index++) {
        close(link->sides[index].fd);
        munmap(link->ways[index].ring, capacity);
    }
    free(link);
}

static void open_link(int listener) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(target_port);
    tune(client);
    tune(server);
    if (connect(server, (struct sockaddr *)&address, sizeof address)) {
        close(client);
        close(server);
        return;
    }
    struct link *link = calloc(1, sizeof *link);
    if (!link) die("calloc");
    int fds[2] = {client, server};
    for (int index = 0; index < 2; index++) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS;
        link->ways[index].ring = mmap(NULL, capacity, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (link->ways[index].ring == MAP_FAILED) die("mmap");
        link->sides[index] = (struct side){link, fds[index], index, EPOLLIN};
    }
    /* Connected while blocking, as that is at once on loopback; from here on nothing blocks. */
    if (fcntl(server, F_SETFL, O_NONBLOCK)) die("fcntl");
    struct epoll_event event = {.events = EPOLLIN};
    for (int index = 0; index < 2; index++) {
        event.data.ptr = &link->sides[index];
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[index], &event)) die("epoll_ctl");
    }
    link->next = links;
    links = link;
}

/* Milliseconds until the next byte is ripe; -1 when none is on its way. */
static int patience(int64_t now) {
    int64_t soonest = INT64_MAX;
    for (struct link *link = links; link; link = link->next)
        for (int index = 0; index < 2; index++) {
            struct way *way = &link->ways[index];
            if (way->first != way->last && !way->blocked && way->chunks[way->first % CHUNKS].due < soonest)
                soonest = way->chunks[way->first % CHUNKS].due;
            if (way->first == way->last && way->end_due && !way->ended && way->end_due < soonest)
                soonest = way->end_due;
        }
    return soonest == INT64_MAX ? -1 : soonest <= now ? 0 : (int)(soonest - now);
}

static int make_listener(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    tune(listener); /* inherited; a window scale is agreed on with the SYN */
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 64)
        || getsockname(listener, (struct sockaddr *)&address, &size))
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: delay_relay TARGET-PORT DELAY-MS MEGABYTES\n");
        return 64;
    }
    target_port = atoi(arguments[1]);
    delay = atoi(arguments[2]);
    capacity = (size_t)atoi(arguments[3]) << 20;
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = make_listener();
    int owner = STDIN_FILENO;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
    event.data.ptr = &owner;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, owner, &event)) die("epoll_ctl");
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, patience(now_ms()));
        int64_t now = now_ms();
        for (int index = 0; index < ready; index++) {
            if (events[index].data.ptr == &owner) return 0;
            if (events[index].data.ptr == &listener) { open_link(listener); continue; }
            struct side *side = events[index].data.ptr;
            take(side, now);
            if (events[index].events & EPOLLERR) side->link->dead = 1;
        }
        for (struct link **at = &links; *at;) {
            struct link *link = *at;
            for (int index = 0; index < 2 && !link->dead; index++) give(link, index, now);
            for (int index = 0; index < 2 && !link->dead; index++) watch(&link->sides[index]);
            if (link->dead) {
                *at = link->next;
                close_link(link);
            } else {
                at = &link->next;
            }
        }
    }
}
