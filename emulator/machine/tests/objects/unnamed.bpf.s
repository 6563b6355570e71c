# A function in .text alone, with a second one behind it that has no symbol, as plain assemblers leave them.
	.text
	.globl main
	.type main, @function
main:
	r6 = r2
	r1 = 5
	call .Linner
	r0 += r6
	exit
.Linner:
	r0 = r1
	r0 += 1
	exit
.Lend:
	.size main, .Lend-main
