/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_WHOLE_H
#define PIER_WAIT_WHOLE_H

#include "wait/park.h"

/* A receive with MSG_WAITALL. */
int64_t pier__wait_all(struct pier__wait *w);

#endif
