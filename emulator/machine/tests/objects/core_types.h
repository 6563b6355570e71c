// The same types twice: as the programs of core.bpf.c know them and, with TARGET, as the kernel that
// they are loaded into has them.
#ifndef CORE_TYPES_H
#define CORE_TYPES_H

#define __relocatable __attribute__((preserve_access_index))

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;

enum colour {
#ifdef TARGET
	BLACK,
	RED = 10,
	GREEN = -20,
#else
	RED,
	GREEN,
	BLUE,
#endif
};

enum wide {
#ifdef TARGET
	WIDE_A = 0x7000000080000001ull,
	WIDE_B = 1,
#else
	WIDE_A = 0x1000000000ull,
#endif
};

struct inner {
#ifdef TARGET
	u64 before;
#endif
	u32 x;
	u32 y;
} __relocatable;

struct node {
#ifdef TARGET
	u64 added;
	u64 grown;
	struct {
		union {
			u32 hidden;
			u16 half;
		};
	};
	s32 bits_before : 9;
	s32 bits : 7;
	u64 wide_bits : 33;
	struct inner parts[4];
	u32 plain;
	u64 signed_grown_;
	long long signed_grown;
	u8 tail[];
#else
	u32 plain;
	u32 hidden;
	u32 grown;
	s32 signed_grown;
	s32 bits : 7;
	u32 wide_bits : 30;
	u32 missing;
	struct inner parts[2];
	u8 tail[];
#endif
} __relocatable;

// A flavour: another idea of the same type.
struct node___renamed {
	u32 added;
	u32 never_there;
} __relocatable;

struct only_here {
	int a;
} __relocatable;

#ifdef TARGET
struct same { int a; unsigned long b; struct inner *p; int (*f)(int, void *); };
struct differs { int a; long b; };
typedef u64 handle;
struct twice { u32 pad; u32 x; };
#else
struct same { unsigned long b; int a; struct inner *p; int (*f)(int, void *); };
struct differs { int a; unsigned long b; };
typedef u32 handle;
struct twice { u32 x; } __relocatable;
#endif

#endif
