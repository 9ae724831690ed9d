// The floor: what it costs the kernel to send, with next to nothing around it. One thread, no memory of events, no
// replay, no slow readers: a stream that does not take everything at once is shut down.
//
//   floor send|coalesced|uring
//
// With -DWEBSOCKET the streams are WebSockets, on any path: events are text messages of size bytes, behind their header. What
// comes on /echo goes back.
//
// It speaks the benchmark's control protocol on its standard input and output, as serve.go does. send makes one system
// call for each event and stream, coalesced one for each burst and stream, uring puts these into batches.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#ifndef NO_URING
#include <linux/io_uring.h>
#endif
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256
#define MAX_TOPICS 4096
#ifdef WEBSOCKET
// The answer to the key of RFC 6455 1.3, the only one that the benchmark's client has.
#define HEAD "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define PATH "GET /ws/%ld"
#else
#define PATH "GET /events/%ld"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n"
#endif

struct topic {
	int *fds;
	int n, room;
	long number;
};

static struct topic topics[MAX_TOPICS];
static int streams;
static long dropped;
static char *wire;
static size_t wire_room;

static void die(const char *what) {
	perror(what);
	exit(1);
}

static int64_t now(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void room(size_t need) {
	if (need > wire_room && !(wire = realloc(wire, wire_room = 2 * need)))
		die("realloc");
}

#ifdef WEBSOCKET
// head writes the header of a text message and returns its end.
static size_t head(size_t at, size_t size) {
	wire[at++] = (char)0x81;
	if (size < 126) {
		wire[at++] = (char)size;
		return at;
	}
	int n = size < 1 << 16 ? 2 : 8;
	wire[at++] = n == 2 ? 126 : 127;
	while (n-- > 0)
		wire[at++] = (char)((uint64_t)size >> 8 * n);
	return at;
}

// compose appends a message of size bytes and returns its end.
static size_t compose(size_t at, struct topic *t, size_t size) {
	room(at + size + 64);
	at = head(at, size);
	int n = sprintf(wire + at, "%ld ", ++t->number);
	memset(wire + at + n, 'x', size - n);
	return at + size;
}
#else
// compose appends an event of size bytes and returns its end.
static size_t compose(size_t at, struct topic *t, size_t size) {
	room(at + size + 64);
	int n = sprintf(wire + at, "data: %ld ", ++t->number);
	memset(wire + at + n, 'x', size - 2 - n);
	memcpy(wire + at + size - 2, "\n\n", 2);
	return at + size;
}
#endif

static void check(int fd, long sent, size_t want) {
	if (sent != (long)want) {
		dropped++;
		shutdown(fd, SHUT_RDWR);
	}
}

static void send_loop(struct topic *t, size_t from, size_t len) {
	for (int i = 0; i < t->n; i++)
		check(t->fds[i], send(t->fds[i], wire + from, len, MSG_DONTWAIT | MSG_NOSIGNAL), len);
}

#ifdef NO_URING
static void ring_open(void) {
	fprintf(stderr, "the headers here are older than what the ring needs\n");
	exit(1);
}

static void ring_loop(struct topic *t, size_t from, size_t len) {
	(void)t, (void)from, (void)len;
}
#else
// The ring, without liburing. Completions come for what fails only; MSG_WAITALL makes a short send a failure.
static struct {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring;

static void ring_open(void) {
	struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	ring.fd = syscall(SYS_io_uring_setup, BATCH, &p);
	if (ring.fd < 0)
		die("io_uring_setup");
	if (!(p.features & IORING_FEAT_SINGLE_MMAP) || !(p.features & IORING_FEAT_CQE_SKIP)) {
		fprintf(stderr, "io_uring_setup: this kernel's io_uring is too old\n");
		exit(1);
	}
	size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	char *m = mmap(0, sq > cq ? sq : cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
	ring.sqes = mmap(0, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			 ring.fd, IORING_OFF_SQES);
	if (m == MAP_FAILED || ring.sqes == MAP_FAILED)
		die("mmap of the ring");
	ring.sq_tail = (unsigned *)(m + p.sq_off.tail);
	ring.sq_mask = (unsigned *)(m + p.sq_off.ring_mask);
	ring.sq_array = (unsigned *)(m + p.sq_off.array);
	ring.cq_head = (unsigned *)(m + p.cq_off.head);
	ring.cq_tail = (unsigned *)(m + p.cq_off.tail);
	ring.cq_mask = (unsigned *)(m + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(m + p.cq_off.cqes);
}

static void ring_enter(unsigned n, size_t len) {
	while (n > 0) {
		int r = syscall(SYS_io_uring_enter, ring.fd, n, 0, IORING_ENTER_GETEVENTS, NULL, 0);
		if (r < 0 && errno != EINTR)
			die("io_uring_enter");
		if (r > 0)
			n -= r;
	}
	unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
	for (; head != tail; head++) {
		struct io_uring_cqe *c = &ring.cqes[head & *ring.cq_mask];
		check(c->user_data, c->res, len);
	}
	__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
}

static void ring_loop(struct topic *t, size_t from, size_t len) {
	unsigned pending = 0, tail = *ring.sq_tail;
	for (int i = 0; i < t->n; i++) {
		unsigned at = tail++ & *ring.sq_mask;
		struct io_uring_sqe *s = &ring.sqes[at];
		memset(s, 0, sizeof *s);
		s->opcode = IORING_OP_SEND;
		s->flags = IOSQE_CQE_SKIP_SUCCESS;
		s->fd = t->fds[i];
		s->addr = (uintptr_t)(wire + from);
		s->len = len;
		s->msg_flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
		s->user_data = t->fds[i];
		ring.sq_array[at] = at;
		if (++pending == BATCH || i == t->n - 1) {
			__atomic_store_n(ring.sq_tail, tail, __ATOMIC_RELEASE);
			ring_enter(pending, len);
			pending = 0;
		}
	}
}

#endif

static enum { SEND, COALESCED, URING } mode;

// publish sends count events to a topic.
static void publish(struct topic *t, long count, size_t size) {
	size_t end = 0;
	for (long i = 0; i < count; i++) {
		if (mode == SEND) {
			end = compose(0, t, size);
			send_loop(t, 0, end);
		} else
			end = compose(end, t, size);
	}
	if (mode == COALESCED)
		send_loop(t, 0, end);
	if (mode == URING)
		ring_loop(t, 0, end);
}

// pace publishes count events to topic 0, one each interval; those that are late go out together where the mode allows.
static void pace(long count, int64_t interval, size_t size) {
	int64_t begin = now(CLOCK_REALTIME) + interval, last = 0;
	for (long done = 0; done < count;) {
		int64_t wait = begin + done * interval - now(CLOCK_REALTIME);
		if (wait > 0) {
			struct timespec t = {wait / 1000000000, wait % 1000000000};
			nanosleep(&t, NULL);
		}
		long due = mode == SEND ? 1 : (now(CLOCK_REALTIME) - begin) / interval + 1 - done;
		if (due < 1)
			continue;
		due = due > count - done ? count - done : due;
		publish(&topics[0], due, size);
		last = now(CLOCK_REALTIME);
		done += due;
	}
	printf("paced %lld %lld\n", (long long)begin, (long long)(last - begin));
}

static void stats(void) {
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	long pages = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
		die("statm");
	fclose(f);
	printf("{\"cpu_ns\":%lld,\"rss\":%ld,\"goroutines\":0,\"dropped\":%ld}\n",
	       (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000000ll + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000ll,
	       resident * sysconf(_SC_PAGESIZE), dropped);
}

static void obey(const char *line) {
	long count, n;
	long long interval;
	size_t size;
	if (sscanf(line, "publish %ld %ld %zu", &count, &n, &size) == 3 && n <= MAX_TOPICS && size >= 32) {
		int64_t before = now(CLOCK_MONOTONIC);
		for (long i = 0; i < n; i++)
			publish(&topics[i], count, size);
		printf("published %lld\n", (long long)(now(CLOCK_MONOTONIC) - before));
	} else if (sscanf(line, "pace %ld %lld %zu", &count, &interval, &size) == 3 && size >= 32)
		pace(count, interval, size);
	else if (!strncmp(line, "stats", 5))
		stats();
	else if (!strncmp(line, "gc", 2))
		printf("gc\n");
	else
		printf("can't make sense of %s\n", line);
	fflush(stdout);
}

#ifdef WEBSOCKET
// echo is a connection that gets back what it sends: whole messages of one frame each.
struct echo {
	unsigned char *buf;
	size_t have, size;
};

static struct echo *echoes[1 << 20]; // by descriptor

// answer reads what has come and sends back the messages that are whole.
static void answer(int fd, struct echo *e) {
	if (e->have + 4096 > e->size && !(e->buf = realloc(e->buf, e->size = 2 * e->size + 4096)))
		die("realloc");
	long r = recv(fd, e->buf + e->have, e->size - e->have, 0);
	if (r <= 0) {
		free(e->buf);
		free(e);
		echoes[fd] = NULL;
		close(fd);
		return;
	}
	e->have += r;
	size_t at = 0, end = 0;
	while (e->have - at >= 6) {
		unsigned char *f = e->buf + at;
		int n = (f[1] & 127) == 126 ? 2 : (f[1] & 127) == 127 ? 8 : 0;
		if (e->have - at < 6 + (size_t)n)
			break;
		uint64_t len = n ? 0 : f[1] & 127;
		for (int i = 0; i < n; i++)
			len = len << 8 | f[2 + i];
		if (e->have - at < 6 + n + len)
			break;
		unsigned char *key = f + 2 + n, *in = key + 4;
		room(end + len + 16);
		end = head(end, len);
		for (uint64_t i = 0; i < len; i++)
			wire[end + i] = in[i] ^ key[i & 3];
		end += len;
		at += 6 + n + len;
	}
	memmove(e->buf, e->buf + at, e->have -= at);
	if (end)
		check(fd, send(fd, wire, end, MSG_DONTWAIT | MSG_NOSIGNAL), end);
}
#endif

// begin answers a request and makes its connection a stream of the topic it asks for.
static void begin(int epoll, int fd) {
	char request[2048];
	long n = recv(fd, request, sizeof request - 1, 0), i = 0;
	if (n <= 0) {
		close(fd);
		return;
	}
	request[n] = 0;
#ifdef WEBSOCKET
	if (!strncmp(request, "GET /echo ", 10)) {
		struct echo *e = echoes[fd] = calloc(1, sizeof *e);
		if (!e)
			die("calloc");
		check(fd, send(fd, HEAD, strlen(HEAD), MSG_NOSIGNAL), strlen(HEAD));
		return;
	}
#endif
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	if (sscanf(request, PATH, &i) != 1 || i < 0 || i >= MAX_TOPICS)
		i = 0;
	struct topic *t = &topics[i];
	if (t->n == t->room && !(t->fds = realloc(t->fds, sizeof(int) * (t->room = 2 * t->room + 8))))
		die("realloc");
	t->fds[t->n++] = fd;
	streams++;
	check(fd, send(fd, HEAD, strlen(HEAD), MSG_NOSIGNAL), strlen(HEAD));
}

static void watch(int epoll, int fd) {
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

int main(int argc, char **argv) {
	const char *name = argc > 1 ? argv[1] : "send";
	mode = !strcmp(name, "uring") ? URING : !strcmp(name, "coalesced") ? COALESCED : SEND;
	if (mode == URING)
		ring_open();
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);

	int one = 1, l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // accepted connections inherit it
	if (bind(l, (void *)&a, sizeof a) < 0 || listen(l, 4096) < 0 || getsockname(l, (void *)&a, &len) < 0)
		die("listen");
	int epoll = epoll_create1(0);
	watch(epoll, l);
	watch(epoll, 0);
	printf("listening 127.0.0.1:%d\n", ntohs(a.sin_port));
	fflush(stdout);

	static char line[4096];
	size_t have = 0;
	struct epoll_event events[256];
	for (;;) {
		int n = epoll_wait(epoll, events, 256, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == l) {
				int c;
				while ((c = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
					watch(epoll, c);
#ifdef WEBSOCKET
			} else if (fd != 0 && echoes[fd]) {
				answer(fd, echoes[fd]);
#endif
			} else if (fd != 0)
				begin(epoll, fd);
			else {
				long r = read(0, line + have, sizeof line - 1 - have);
				if (r <= 0)
					_exit(0);
				have += r;
				line[have] = 0;
				for (char *end; (end = strchr(line, '\n'));) {
					*end = 0;
					obey(line);
					have -= end + 1 - line;
					memmove(line, end + 1, have + 1);
				}
			}
		}
	}
}
