/* SPDX-License-Identifier: MIT */
/*
 * uint64_t registers_lost(void (*call)(void *arg), void *arg, const uint64_t values[]): call(arg) with the values in all
 * registers that it must keep; 0 if it kept them.
 */
        .text
        .globl  registers_lost
        .type   registers_lost, %function
registers_lost:
        bti     c
        stp     x30, x2, [sp, #-176]!
        .set    at, 16
        .irp    register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, \
                d8, d9, d10, d11, d12, d13, d14, d15
        str     \register, [sp, #at]
        .set    at, at + 8
        .endr
        mov     x9, x0
        mov     x0, x1
        .set    at, 0
        .irp    register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, \
                d8, d9, d10, d11, d12, d13, d14, d15
        ldr     \register, [x2, #at]
        .set    at, at + 8
        .endr
        blr     x9
        ldp     x30, x2, [sp]
        mov     x0, #0
        .set    at, 0
        .irp    register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29
        ldr     x9, [x2, #at]
        eor     x9, x9, \register
        orr     x0, x0, x9
        .set    at, at + 8
        .endr
        .irp    register, d8, d9, d10, d11, d12, d13, d14, d15
        ldr     x9, [x2, #at]
        fmov    x10, \register
        eor     x9, x9, x10
        orr     x0, x0, x9
        .set    at, at + 8
        .endr
        .set    at, 16
        .irp    register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, \
                d8, d9, d10, d11, d12, d13, d14, d15
        ldr     \register, [sp, #at]
        .set    at, at + 8
        .endr
        add     sp, sp, #176
        ret
        .size   registers_lost, . - registers_lost

        .section .note.GNU-stack, "", %progbits
