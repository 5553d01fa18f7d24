/* SPDX-License-Identifier: MIT */
/*
 * A stack that is left looks like this, from sp upwards: x19 to x28, x29 (the frame pointer), x30
 * (where to go on), d8 to d15, FPCR. That last is written only where it differs, which is dear.
 */
        .text
        .globl  pier__switch_jump
        .hidden pier__switch_jump
        .type   pier__switch_jump, %function
        .balign 16
pier__switch_jump: /* (void **save, void *sp) */
        .cfi_startproc
        bti     c
        sub     sp, sp, #176
        .cfi_def_cfa_offset 176
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        .set    at, -176
        .irp    register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30, \
                d8, d9, d10, d11, d12, d13, d14, d15
        .cfi_offset \register, at
        .set    at, at + 8
        .endr
        mrs     x9, fpcr
        str     x9, [sp, #160]
        mov     x10, sp
        str     x10, [x0]
        mov     sp, x1 /* the other stack, which looks the same */
        ldr     x10, [sp, #160]
        cmp     x9, x10
        b.eq    1f
        msr     fpcr, x10
1:      ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #176
        .cfi_def_cfa_offset 0
        .irp    register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30, \
                d8, d9, d10, d11, d12, d13, d14, d15
        .cfi_restore \register
        .endr
        ret
        .cfi_endproc
        .size   pier__switch_jump, . - pier__switch_jump

/* The first thing on a new stack. Nobody called it, so unwinders end here. */
        .type   begin, %function
        .balign 16
begin:
        .cfi_startproc
        .cfi_undefined x30
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   begin, . - begin

        .globl  pier__switch_make
        .hidden pier__switch_make
        .type   pier__switch_make, %function
        .balign 16
pier__switch_make: /* (void *top, void (*entry)(void *arg), void *arg), gives the sp */
        .cfi_startproc
        bti     c
        sub     x0, x0, #176
        adr     x9, begin
        mrs     x10, fpcr
        stp     x1, x2, [x0]
        stp     xzr, x9, [x0, #80] /* x29: the last frame, for who follows frame pointers */
        str     x10, [x0, #160]
        ret
        .cfi_endproc
        .size   pier__switch_make, . - pier__switch_make

        .section .note.GNU-stack, "", %progbits

        .section .note.gnu.property, "a", %note /* what holds here: BTI */
        .balign 8
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0
