/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_WHOLE_H
#define PIER_WAIT_WHOLE_H

#include "wait/park.h"

/* A receive with MSG_WAITALL. */
int64_t pier__wait_all(struct pier__wait *w);

/*
 * The rest of a send of which n bytes have gone, without a limit: how many went in all. It ends
 * early when something ends the wait, or there is an error, which is the next call's.
 */
int64_t pier__wait_send_rest(struct pier__wait *w, int64_t n);

#endif
