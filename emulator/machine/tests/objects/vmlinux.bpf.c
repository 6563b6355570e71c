// CO-RE against the running kernel: structures with bit fields, anonymous members, arrays and flavours.
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define __relocatable __attribute__((preserve_access_index))

struct sk_buff {
	void *data;
	unsigned int len;
	__u16 protocol;
	__u8 pkt_type : 3;
	__u8 ip_summed : 2;
	__u32 mark;
	struct sock *sk;
	char cb[48];
} __relocatable;

struct sk_buff___of_another_time {
	int wifi_acked_valid_and_more;
	__u32 hash;
} __relocatable;

struct net_device {
	char name[16];
	int ifindex;
	unsigned int mtu;
} __relocatable;

struct sock_common {
	unsigned short skc_family;
	__u16 skc_num;
	int skc_bound_dev_if;
} __relocatable;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u8 sk_userlocks : 4;
} __relocatable;

struct list_head {
	struct list_head *next, *prev;
};

enum bpf_func_id {
	BPF_FUNC_map_lookup_elem = 7777,
	BPF_FUNC_loop = 7778,
	BPF_FUNC_that_never_was = 7779,
};

typedef int initcall_t;

SEC("raw_tp/consume_skb")
long fields(struct sk_buff *skb)
{
	struct sk_buff___of_another_time *other = (void *)skb;
	struct sock *sk = 0;
	struct net_device *device = 0;
	long sum = bpf_core_field_offset(skb->data) + bpf_core_field_offset(skb->cb[5]);

	sum += bpf_core_field_exists(other->wifi_acked_valid_and_more);
	sum += bpf_core_field_exists(other->hash) + bpf_core_field_size(device->name);
	sum += bpf_core_field_offset(sk->__sk_common.skc_num) + bpf_core_field_size(sk->sk_protocol);
	sum += bpf_core_field_offset(device->name[3]) + bpf_core_field_offset(device->mtu);
	sum += BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type);
	sum += BPF_CORE_READ_BITFIELD_PROBED(skb, ip_summed);
	sum += BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);
	return sum;
}

SEC("raw_tp/kfree_skb")
long types(void *context)
{
	return bpf_core_type_exists(struct sk_buff) + bpf_core_type_size(struct sk_buff) +
	       bpf_core_type_id_kernel(struct sk_buff) + bpf_core_type_size(struct list_head) +
	       bpf_core_type_matches(struct list_head) + bpf_core_type_matches(struct sock) +
	       bpf_core_type_exists(initcall_t) +
	       bpf_core_enum_value(enum bpf_func_id, BPF_FUNC_loop) +
	       bpf_core_enum_value(enum bpf_func_id, BPF_FUNC_map_lookup_elem) +
	       bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_that_never_was);
}

char _license[] SEC("license") = "GPL";
