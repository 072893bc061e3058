# The markers of `hetsync serve` without the server, for tests of scripts that name them:
#
#   gcc -nostdlib -static -Wl,--build-id=none,-z,noseparate-code -s hetsync.s -o hetsync
    .macro marker name
990:    nop
    .pushsection .note.stapsdt, "?", "note"
    .balign 4
    .4byte 992f-991f, 994f-993f, 3
991: .asciz "stapsdt"
992: .balign 4
993: .8byte 990b, _.stapsdt.base, 0
    .asciz "hetsync"
    .asciz "\name"
    .asciz "8@%rdi 8@%rsi 8@%rdx"
994: .balign 4
    .popsection
    .endm

    .section .stapsdt.base, "aG", "progbits", .stapsdt.base, comdat
    .hidden _.stapsdt.base
    .weak _.stapsdt.base
_.stapsdt.base: .space 1

    .text
    .globl _start
_start:
    marker round_open
    marker round_close
    marker gradient
    marker reply
    ret
