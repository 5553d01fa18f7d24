/* SPDX-License-Identifier: MIT */
/*
 * uint64_t registers_lost(void (*call)(void *arg), void *arg, const uint64_t values[]): call(arg) with the values in all
 * registers that it must keep; 0 if it kept them.
 */
        .text
        .globl  registers_lost
        .type   registers_lost, @function
registers_lost:
        endbr64
        .irp    register, rbp, rbx, r12, r13, r14, r15, rdx
        pushq   %\register
        .endr
        movq    %rdi, %rax
        movq    %rsi, %rdi
        .set    at, 0
        .irp    register, rbp, rbx, r12, r13, r14, r15
        movq    at(%rdx), %\register
        .set    at, at + 8
        .endr
        call    *%rax
        popq    %rdx
        xorl    %eax, %eax
        .set    at, 0
        .irp    register, rbp, rbx, r12, r13, r14, r15
        xorq    at(%rdx), %\register
        orq     %\register, %rax
        .set    at, at + 8
        .endr
        .irp    register, r15, r14, r13, r12, rbx, rbp
        popq    %\register
        .endr
        ret
        .size   registers_lost, . - registers_lost

        .section .note.GNU-stack, "", @progbits
