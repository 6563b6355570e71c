// Every kind of CO-RE relocation. The context is a `struct node` with the target's layout.
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include "core_types.h"
#define field_exists(f) __builtin_preserve_field_info(f, 2)
#define byte_offset(f) __builtin_preserve_field_info(f, 0)
#define byte_size(f) __builtin_preserve_field_info(f, 1)
#define is_signed(f) __builtin_preserve_field_info(f, 3)
#define left_shift(f) __builtin_preserve_field_info(f, 4)
#define right_shift(f) __builtin_preserve_field_info(f, 5)
#define type_exists(t) __builtin_preserve_type_info(*(typeof(t) *)0, 0)
#define type_size(t) __builtin_preserve_type_info(*(typeof(t) *)0, 1)
#define type_matches(t) __builtin_preserve_type_info(*(typeof(t) *)0, 2)
#define local_id(t) __builtin_btf_type_id(*(typeof(t) *)0, 0)
#define target_id(t) __builtin_btf_type_id(*(typeof(t) *)0, 1)
#define value_exists(e, v) __builtin_preserve_enum_value(*(e *)v, 0)
#define value_of(e, v) __builtin_preserve_enum_value(*(e *)v, 1)

// Loads of fields that have moved, grown, or are hidden in anonymous members.
SEC("socket")
u64 loads(struct node *node)
{
	return node->plain + ((u64)node->hidden << 16) + ((u64)node->grown << 32);
}

// Elements of arrays, also of one without a length.
SEC("socket")
u64 elements(struct node *node)
{
	return node->parts[1].y * 1000 + node->parts[0].x * 100 + node->tail[3];
}

SEC("socket")
u64 stores(struct node *node)
{
	node->plain = 77;
	node->grown = 88;
	return 0;
}

SEC("socket")
u64 bit_field(struct node *node)
{
	u64 value = 0;
	const void *at = (const void *)node + byte_offset(node->bits);

	switch (byte_size(node->bits)) {
	case 1: value = *(const u8 *)at; break;
	case 2: value = *(const u16 *)at; break;
	case 4: value = *(const u32 *)at; break;
	case 8: value = *(const u64 *)at; break;
	}
	value <<= left_shift(node->bits);
	if (is_signed(node->bits))
		return (long long)value >> right_shift(node->bits);
	return value >> right_shift(node->bits);
}

SEC("socket")
u64 fields(struct node *node)
{
	struct node___renamed *other = (void *)node;

	return field_exists(node->plain) | field_exists(node->missing) << 1 |
	       field_exists(other->added) << 2 | field_exists(other->never_there) << 3 |
	       field_exists(node->parts[1]) << 4 | byte_size(node->grown) << 8 |
	       byte_size(node->parts) << 16 | is_signed(node->signed_grown) << 24 |
	       is_signed(node->plain) << 25 | (u64)left_shift(node->plain) << 32;
}

SEC("socket")
u64 types(void *context)
{
	return type_exists(struct node) | type_exists(struct only_here) << 1 |
	       type_size(struct inner) << 8 | type_size(struct only_here) << 16 |
	       type_matches(struct same) << 24 | type_matches(struct differs) << 25 |
	       type_exists(handle) << 26 | type_matches(handle) << 27 |
	       (u64)!!local_id(struct node) << 32 | (u64)!!target_id(struct node) << 33 |
	       (u64)!!target_id(struct only_here) << 34;
}

SEC("socket")
u64 target_type(void *context)
{
	return target_id(struct inner);
}

SEC("socket")
u64 enumerators(void *context)
{
	return value_exists(enum colour, RED) | value_exists(enum colour, BLUE) << 1 |
	       value_of(enum colour, RED) << 8;
}

SEC("socket")
u64 negative(void *context)
{
	return value_of(enum colour, GREEN);
}

SEC("socket")
u64 wide(void *context)
{
	return value_of(enum wide, WIDE_A);
}

// What does not exist is not reached.
SEC("socket")
u64 guarded(struct node *node)
{
	if (field_exists(node->missing))
		return node->missing;
	return 5;
}

// What does not exist is reached.
SEC("?socket")
u64 unguarded(struct node *node)
{
	return node->missing;
}

// A signed field of another size cannot be loaded as if nothing had happened.
SEC("?socket")
u64 resized(struct node *node)
{
	return node->signed_grown;
}
