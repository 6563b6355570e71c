// Programs that tell what they see of TCP segments that are joined.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c gso.bpf.c -o gso.bpf.o
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct sight {
	__u32 len;
	__u32 wire_len;
	__u32 gso_size;
	__u32 gso_segs;
	__u32 linear;
	/* bpf_check_mtu against the device's MTU, as a whole and segment by segment. */
	__s32 fits;
	__s32 segments_fit;
	__s32 pulled;
};

/* What was seen at each device, in order of the packets. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} sights SEC(".maps");

SEC("tc")
int look(struct __sk_buff *skb)
{
	struct sight sight = {
		.len = skb->len,
		.wire_len = skb->wire_len,
		.gso_size = skb->gso_size,
		.gso_segs = skb->gso_segs,
		.linear = skb->data_end - skb->data,
	};
	__u32 mtu = 0;

	sight.fits = bpf_check_mtu(skb, 0, &mtu, 0, 0);
	mtu = 0;
	sight.segments_fit = bpf_check_mtu(skb, 0, &mtu, 0, BPF_MTU_CHK_SEGS);
	sight.pulled = bpf_skb_pull_data(skb, 200);
	bpf_perf_event_output(skb, &sights, BPF_F_CURRENT_CPU, &sight, sizeof(sight));
	return TC_ACT_OK;
}

SEC("xdp")
int frames(struct xdp_md *xdp)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
