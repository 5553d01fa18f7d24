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

uint32_t pier__strand_number(void)
{
    static _Atomic uint32_t last;
    struct pier__strand *strand = pier__strand();
    if (PIER_UNLIKELY(strand->number == 0)) strand->number = atomic_fetch_add(&last, 1) + 1;
    return strand->number;
}
