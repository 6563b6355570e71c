// Types as a kernel might have them: CO-RE relocations of core.bpf.o are done against this file's BTF.
#define TARGET
#include "core_types.h"

struct node a_node;
struct inner an_inner;
enum colour a_colour;
enum wide a_wide;
struct same a_same;
struct differs a_differs;
handle a_handle;
struct twice a_twice;
