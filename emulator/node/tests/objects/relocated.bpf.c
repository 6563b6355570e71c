/* A relocation of each kind against the running kernel's types; what they become is told by a map. */
#include "packet.h"
#include <bpf/bpf_core_read.h>

#define RELOCATED __attribute__((preserve_access_index))

struct list_head;

struct sk_buff {
	unsigned int len, data_len;
	__u8 pkt_type : 3;
	__u8 ip_summed : 2;
	__u16 protocol;
	unsigned char *head;
	char cb[48];
	long no_such_member;
} RELOCATED;

struct net_device {
	int ifindex;
	unsigned int mtu;
	char name[16];
} RELOCATED;

struct sock_common {
	union {
		__u64 skc_addrpair;
		struct {
			__be32 skc_daddr, skc_rcv_saddr;
		};
	};
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
} RELOCATED;

struct sock {
	struct sock_common __sk_common;
	unsigned char sk_userlocks : 4;
	int sk_rcvbuf;
} RELOCATED;

struct tcp_sock___some {
	__u8 nonagle : 4;
	__u32 snd_cwnd;
} RELOCATED;

struct task_struct___any {
	int pid;
	unsigned in_execve : 1;
} RELOCATED;

struct no_such_struct {
	int x;
} RELOCATED;

/* Of other shapes than the kernel's. */
struct iphdr___other {
	__u64 saddr;
	char ttl;
} RELOCATED;

typedef __u32 __wsum___mine;
typedef int no_such_typedef;
union no_such_union {
	int x;
};
enum bpf_map_type___kernel {
	BPF_MAP_TYPE_LRU_HASH___kernel = 3,
	BPF_MAP_TYPE_NEVER___kernel = 4,
};
enum bpf_cmd___short { BPF_MAP_CREATE___short, BPF_PROG_LOAD___short };
enum no_such_enum { NO_SUCH_ENUMERATOR };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __s64);
	__uint(max_entries, 128);
} told SEC(".maps");

static __noinline void tell(__u32 at, __s64 what)
{
	__s64 *value = bpf_map_lookup_elem(&told, &at);

	if (value)
		*value = what;
}

#define FIELD(at, of) do { \
	tell(at, __builtin_preserve_field_info(of, BPF_FIELD_BYTE_OFFSET)); \
	tell((at) + 1, __builtin_preserve_field_info(of, BPF_FIELD_BYTE_SIZE)); \
	tell((at) + 2, __builtin_preserve_field_info(of, BPF_FIELD_EXISTS)); \
	tell((at) + 3, __builtin_preserve_field_info(of, BPF_FIELD_SIGNED)); \
	tell((at) + 4, __builtin_preserve_field_info(of, BPF_FIELD_LSHIFT_U64)); \
	tell((at) + 5, __builtin_preserve_field_info(of, BPF_FIELD_RSHIFT_U64)); \
} while (0)

SEC("tc")
int plain_fields(struct __sk_buff *ctx)
{
	struct sk_buff *skb = 0;
	struct net_device *dev = 0;

	FIELD(0, skb->len);
	FIELD(6, skb->protocol);
	tell(12, bpf_core_field_offset(skb->head));
	tell(13, bpf_core_field_size(skb->head));
	tell(14, bpf_core_field_exists(skb->head));
	FIELD(18, dev->ifindex);
	FIELD(24, dev->mtu);
	tell(36, bpf_core_field_exists(skb->no_such_member));
	tell(37, bpf_core_field_exists(dev->name[3]));
	tell(38, bpf_core_field_size(dev->name));
	tell(39, bpf_core_field_offset(struct net_device, name[5]));
	return 0;
}

SEC("tc")
int nested_fields(struct __sk_buff *ctx)
{
	struct sock *sk = 0;
	struct iphdr___other *ip = 0;
	struct no_such_struct *none = 0;

	FIELD(40, sk->__sk_common.skc_daddr);
	FIELD(46, sk->__sk_common.skc_bound_dev_if);
	FIELD(52, sk->sk_rcvbuf);
	tell(58, bpf_core_field_exists(ip->saddr));
	tell(59, bpf_core_field_size(ip->ttl));
	tell(60, bpf_core_field_exists(none->x));
	return 0;
}

SEC("tc")
int bit_fields(struct __sk_buff *ctx)
{
	struct sk_buff *skb = 0;
	struct sock *sk = 0;
	struct tcp_sock___some *tcp = 0;
	struct task_struct___any *task = 0;

	FIELD(64, skb->pkt_type);
	FIELD(70, skb->ip_summed);
	FIELD(76, sk->__sk_common.skc_reuseport);
	FIELD(82, sk->sk_userlocks);
	FIELD(88, tcp->nonagle);
	FIELD(94, task->in_execve);
	return 0;
}

SEC("tc")
int types(struct __sk_buff *ctx)
{
	tell(100, bpf_core_type_exists(struct sk_buff));
	tell(101, bpf_core_type_exists(struct no_such_struct));
	tell(102, bpf_core_type_exists(no_such_typedef));
	tell(103, bpf_core_type_exists(union no_such_union));
	tell(104, bpf_core_type_exists(__wsum___mine));
	tell(105, bpf_core_type_size(struct sk_buff));
	tell(106, bpf_core_type_size(struct no_such_struct));
	tell(107, bpf_core_type_size(enum bpf_map_type___kernel));
	tell(108, bpf_core_type_id_kernel(struct net_device));
	tell(109, bpf_core_type_id_local(struct net_device));
	tell(110, bpf_core_type_id_kernel(struct no_such_struct));
	tell(111, bpf_core_type_exists(enum no_such_enum));
	tell(112, bpf_core_type_exists(struct task_struct___any));
#if __has_builtin(__builtin_preserve_type_info) && __clang_major__ >= 15
	tell(113, bpf_core_type_matches(struct net_device));
	tell(114, bpf_core_type_matches(struct sk_buff));
	tell(115, bpf_core_type_matches(struct iphdr___other));
	tell(116, bpf_core_type_matches(enum bpf_cmd___short));
#endif
	return 0;
}

SEC("tc")
int enumerators(struct __sk_buff *ctx)
{
	tell(117, bpf_core_enum_value_exists(enum bpf_map_type___kernel, BPF_MAP_TYPE_LRU_HASH___kernel));
	tell(118, bpf_core_enum_value(enum bpf_map_type___kernel, BPF_MAP_TYPE_LRU_HASH___kernel));
	tell(119, bpf_core_enum_value_exists(enum bpf_map_type___kernel, BPF_MAP_TYPE_NEVER___kernel));
	tell(120, bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_ENUMERATOR));
	tell(121, bpf_core_enum_value(enum bpf_cmd___short, BPF_PROG_LOAD___short));
	return 0;
}

/* Loads through a pointer that the verifier knows: the kernel's own skb would need another type of program. */
SEC("tc")
int guarded(struct __sk_buff *ctx)
{
	struct sk_buff *skb = 0;

	if (bpf_core_field_exists(skb->no_such_member))
		return (long)bpf_core_field_offset(struct sk_buff, no_such_member);
	if (!bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_ENUMERATOR))
		return 2;
	return bpf_core_enum_value(enum no_such_enum, NO_SUCH_ENUMERATOR);
}

char _license[] SEC("license") = "GPL";
