/* SPDX-License-Identifier: MIT */
/*
 * A stack that is left looks like this, from sp upwards: mxcsr and the x87 control word, r15, r14, r13, r12, rbx, rbp,
 * where to go on.
 *
 * That is jumped to, not returned to: a processor foretells where returns lead from the calls before, and would be wrong each
 * time, for 3 ns of 8. It also would not fit a shadow stack (SHSTK), which jumping past returns does
 * not either: so the note at the end does not claim that, the linker leaves the mark out of the program, and the system does not turn
 * shadow stacks on. Loading control words that are the same costs less than finding out that they are.
 */
        .text
        .globl  pier__switch_jump
        .hidden pier__switch_jump
        .type   pier__switch_jump, @function
        .balign 16
pier__switch_jump: /* (void **save, void *sp) */
        .cfi_startproc
        endbr64
        subq    $56, %rsp
        .cfi_def_cfa_offset 64
        movq    %r15, 8(%rsp)
        movq    %r14, 16(%rsp)
        movq    %r13, 24(%rsp)
        movq    %r12, 32(%rsp)
        movq    %rbx, 40(%rsp)
        movq    %rbp, 48(%rsp)
        .cfi_offset r15, -56
        .cfi_offset r14, -48
        .cfi_offset r13, -40
        .cfi_offset r12, -32
        .cfi_offset rbx, -24
        .cfi_offset rbp, -16
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp /* the other stack, which looks the same */
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        movq    8(%rsp), %r15
        movq    16(%rsp), %r14
        movq    24(%rsp), %r13
        movq    32(%rsp), %r12
        movq    40(%rsp), %rbx
        movq    48(%rsp), %rbp
        movq    56(%rsp), %rcx
        addq    $64, %rsp
        .cfi_def_cfa_offset 0
        .cfi_register rip, rcx
        .irp    register, r15, r14, r13, r12, rbx, rbp
        .cfi_restore \register
        .endr
        notrack jmp *%rcx
        .cfi_endproc
        .size   pier__switch_jump, . - pier__switch_jump

/* The first thing on a new stack. Nobody called it, so unwinders end here. */
        .type   begin, @function
        .balign 16
begin:
        .cfi_startproc
        .cfi_undefined rip
        movq    %r13, %rdi
        call    *%r12
        ud2
        .cfi_endproc
        .size   begin, . - begin

        .globl  pier__switch_make
        .hidden pier__switch_make
        .type   pier__switch_make, @function
        .balign 16
pier__switch_make: /* (void *top, void (*entry)(void *arg), void *arg), gives the sp */
        .cfi_startproc
        endbr64
        leaq    -64(%rdi), %rax
        leaq    begin(%rip), %rcx
        xorl    %edi, %edi
        stmxcsr (%rax)
        fnstcw  4(%rax)
        movq    %rdx, 24(%rax)
        movq    %rsi, 32(%rax)
        movq    %rdi, 48(%rax) /* rbp: the last frame, for who follows frame pointers */
        movq    %rcx, 56(%rax)
        ret
        .cfi_endproc
        .size   pier__switch_make, . - pier__switch_make

        .section .note.GNU-stack, "", @progbits

        .section .note.gnu.property, "a", @note /* what holds here: IBT */
        .balign 8
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0
