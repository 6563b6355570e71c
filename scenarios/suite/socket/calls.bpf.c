// Programs at the hooks of sockets: a service whose clients are led to a backend when they call, and rules about who may
// bind what. Each tells what it saw.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c calls.bpf.c -o calls.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/in.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10

/* The service and its backend; both have the same address family. */
volatile const __be32 SERVICE4 = 0;
volatile const __be32 BACKEND4 = 0;
volatile const __u8 SERVICE6[16] = {};
volatile const __u8 BACKEND6[16] = {};
/* In host byte order. */
volatile const __u16 SERVICE_PORT = 0;
volatile const __u16 BACKEND_PORT = 0;

/* A port that nobody may bind, one that is bound in place of another, one that is taken back, one that nobody reaches. */
#define FORBIDDEN 22
#define ASKED 8080
#define GIVEN 18080
#define TAKEN_BACK 9999
#define HIDDEN 7777

struct record {
	__u32 hook;
	__u32 family;
	__u32 protocol;
	/* In host byte order. */
	__u32 port;
	__u8 address[16];
	/* Whether the socket's cookie is the one that it had when it was opened. */
	__u32 same;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} told SEC(".maps");

/* What a socket has of its own: its cookie, and the service that its owner wanted. */
struct own {
	__u64 cookie;
	__be32 wanted;
	__be16 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct own);
} owned SEC(".maps");

/* Sockets that were opened and that were closed. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} counted SEC(".maps");

static __always_inline void count(__u32 key)
{
	__u64 *value = bpf_map_lookup_elem(&counted, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline struct own *own(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk)
		return NULL;
	return bpf_sk_storage_get(&owned, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

static __always_inline void tell(struct bpf_sock_addr *ctx, __u32 hook, const __u32 *address, __u32 size)
{
	struct own *mine = own(ctx);
	struct record record = {
		.hook = hook,
		.family = ctx->user_family,
		.protocol = ctx->protocol,
		.port = bpf_ntohs(ctx->user_port),
	};

	__builtin_memcpy(record.address, address, size);
	if (mine) {
		__u64 cookie = bpf_get_socket_cookie(ctx);

		if (!mine->cookie)
			mine->cookie = cookie;
		record.same = cookie && mine->cookie == cookie;
	}
	bpf_ringbuf_output(&told, &record, sizeof(record), 0);
}

/* Programs for one family cannot read addresses of the other one. */
static __always_inline void tell4(struct bpf_sock_addr *ctx, __u32 hook)
{
	__u32 address = ctx->user_ip4;

	tell(ctx, hook, &address, sizeof(address));
}

static __always_inline void tell6(struct bpf_sock_addr *ctx, __u32 hook)
{
	__u32 address[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };

	tell(ctx, hook, address, sizeof(address));
}

static __always_inline void lead4(struct bpf_sock_addr *ctx)
{
	struct own *mine = own(ctx);

	if (ctx->user_ip4 != SERVICE4 || bpf_ntohs(ctx->user_port) != SERVICE_PORT)
		return;
	if (mine) {
		mine->wanted = ctx->user_ip4;
		mine->port = ctx->user_port;
	}
	ctx->user_ip4 = BACKEND4;
	ctx->user_port = bpf_htons(BACKEND_PORT);
}

/* To its client the backend is the service. */
static __always_inline void hide4(struct bpf_sock_addr *ctx)
{
	struct own *mine = own(ctx);

	if (!mine || !mine->wanted || ctx->user_ip4 != BACKEND4)
		return;
	ctx->user_ip4 = mine->wanted;
	ctx->user_port = mine->port;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	tell4(ctx, 1);
	lead4(ctx);
	return 1;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	tell4(ctx, 2);
	lead4(ctx);
	return 1;
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	hide4(ctx);
	return 1;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	hide4(ctx);
	return 1;
}

static __always_inline void lead6(struct bpf_sock_addr *ctx)
{
	const volatile __u32 *service = (const volatile __u32 *)SERVICE6;
	const volatile __u32 *backend = (const volatile __u32 *)BACKEND6;

	if (bpf_ntohs(ctx->user_port) != SERVICE_PORT)
		return;
	if (ctx->user_ip6[0] != service[0] || ctx->user_ip6[1] != service[1] ||
	    ctx->user_ip6[2] != service[2] || ctx->user_ip6[3] != service[3])
		return;
	ctx->user_ip6[0] = backend[0];
	ctx->user_ip6[1] = backend[1];
	ctx->user_ip6[2] = backend[2];
	ctx->user_ip6[3] = backend[3];
	ctx->user_port = bpf_htons(BACKEND_PORT);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	tell6(ctx, 6);
	lead6(ctx);
	return 1;
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	tell6(ctx, 7);
	lead6(ctx);
	return 1;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	tell4(ctx, 3);
	if (bpf_ntohs(ctx->user_port) == ASKED)
		ctx->user_port = bpf_htons(GIVEN);
	return bpf_ntohs(ctx->user_port) != FORBIDDEN;
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *sk)
{
	return sk->src_port != TAKEN_BACK;
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr *ctx)
{
	/* Whoever asked for a port shall believe to have it. */
	if (bpf_ntohs(ctx->user_port) == GIVEN)
		ctx->user_port = bpf_htons(ASKED);
	return 1;
}

SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *sk)
{
	count(0);
	sk->priority = 5;
	return 1;
}

SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *sk)
{
	count(1);
	return 1;
}

/* No UDP socket is opened. */
SEC("cgroup/sock_create")
int no_datagrams(struct bpf_sock *sk)
{
	return sk->protocol != IPPROTO_UDP;
}

SEC("sk_lookup")
int lookup(struct bpf_sk_lookup *ctx)
{
	struct record record = {
		.hook = 9,
		.family = ctx->family,
		.protocol = ctx->protocol,
		.port = ctx->local_port,
	};
	__u32 ip = ctx->local_ip4;

	__builtin_memcpy(record.address, &ip, sizeof(ip));
	bpf_ringbuf_output(&told, &record, sizeof(record), 0);
	return ctx->local_port == HIDDEN ? SK_DROP : SK_PASS;
}

/* Sockets that the node has for whoever asks for a port that nobody is at. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} chosen SEC(".maps");

/* Packets to a range of ports are for the sockets that were put there, TCP for the first and UDP for the second. */
SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	__u32 key = ctx->protocol == IPPROTO_UDP;
	struct bpf_sock *sk;
	long failed;

	if (ctx->local_port < 7000 || ctx->local_port > 7099)
		return SK_PASS;
	sk = bpf_map_lookup_elem(&chosen, &key);
	if (!sk)
		return SK_DROP;
	failed = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	return failed ? SK_DROP : SK_PASS;
}

char _license[] SEC("license") = "GPL";
