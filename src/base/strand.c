/* SPDX-License-Identifier: MIT */
#include "base/strand.h"

#include "base/bits.h"

#include <stdatomic.h>
#include <stddef.h>

_Thread_local struct pier__strand *pier__strand_of_task;

static _Thread_local struct pier__strand of_thread;

struct pier__strand *pier__strand(void)
{
    return pier__strand_of_task ? pier__strand_of_task : &of_thread;
}

static uint32_t number_of(struct pier__strand *strand)
{
    static _Atomic uint32_t last;
    if (PIER_UNLIKELY(strand->number == 0)) strand->number = atomic_fetch_add(&last, 1) + 1;
    return strand->number;
}

uint32_t pier__strand_number(void) { return number_of(pier__strand()); }

uint32_t pier__thread_number(void) { return number_of(&of_thread); }
