// Programs of types that meet no packet and no call: of sock_ops, cgroup/sockopt, sockmaps.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} by_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} by_key SEC(".maps");

SEC("?sockops")
int map_update(struct bpf_sock_ops *ops)
{
	__u32 key = 0;
	return bpf_sock_map_update(ops, &by_index, &key, 0);
}

SEC("?sockops")
int hash_update(struct bpf_sock_ops *ops)
{
	__u32 key = 0;
	return bpf_sock_hash_update(ops, &by_key, &key, 0);
}

SEC("?sk_skb/stream_verdict")
int redirects(struct __sk_buff *skb)
{
	return bpf_sk_redirect_map(skb, &by_index, 0, 0);
}

SEC("?sk_msg")
int message(struct sk_msg_md *message)
{
	return bpf_msg_redirect_map(message, &by_index, 0, 0);
}

SEC("?sockops")
int plain(struct bpf_sock_ops *ops)
{
	return ops->op;
}

SEC("?cgroup/getsockopt")
int gets(struct bpf_sockopt *option)
{
	return option->level;
}

SEC("?cgroup/setsockopt")
int sets(struct bpf_sockopt *option)
{
	return option->level;
}

char _license[] SEC("license") = "GPL";
