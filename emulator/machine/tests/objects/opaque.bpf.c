// Pointers to the kernel's own sockets: used as such, and read through.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct tcp_sock {
	unsigned int snd_cwnd;
} __attribute__((preserve_access_index));

struct udp6_sock {
	struct {
		int pending;
	} udp;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} storage SEC(".maps");

// Tested, and given to helpers.
SEC("tc")
int uses(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 1;
	__u64 *value = bpf_sk_storage_get(&storage, tcp, 0, 1);
	return value ? *value : 2;
}

SEC("?tc")
int reads(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	return tcp ? tcp->snd_cwnd : 0;
}

static __noinline void *convert(struct bpf_sock *sk)
{
	return bpf_skc_to_udp6_sock(sk);
}

static __noinline int pending(struct udp6_sock *udp, int more)
{
	return udp->udp.pending + more;
}

// From one function through the stack to another one.
SEC("?tc")
int carries(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	void *volatile kept = convert(sk);
	bpf_ktime_get_ns();
	void *udp = kept;
	return udp ? pending(udp, skb->len) : 0;
}

// The register held such a pointer once.
SEC("tc")
int forgets(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	void *tcp = bpf_skc_to_tcp_sock(sk);
	int found = tcp ? 1 : 0;
	asm volatile("%[tcp] = %[skb]" : [tcp] "=r"(tcp) : [skb] "r"(skb));
	return found + ((struct __sk_buff *)tcp)->len;
}

char _license[] SEC("license") = "GPL";
