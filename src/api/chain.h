/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_API_CHAIN_H
#define CLATTN_API_CHAIN_H

/* Commands of one call that follow each other. The first waits for what the caller gave; the last one's event is the
 * call's. An out-of-order queue is told the order by events; an in-order one needs none.
 *
 *     clattn_chain chain;
 *     clattn_chain_begin(&chain, &use, commands, event != NULL);
 *     for each command, until one fails:
 *         enqueue(..., chain.num_wait, chain.wait_list, clattn_chain_next(&chain));
 *         clattn_chain_advance(&chain);
 *     return clattn_chain_end(&chain, status, event); */

#include "api/queue.h"

typedef struct clattn_chain {
    cl_uint num_wait; /* of the next command */
    const cl_event *wait_list;
    bool out_of_order, wants_event;
    int64_t left; /* commands */
    cl_event previous, current, last;
} clattn_chain;

void clattn_chain_begin(clattn_chain *chain, const clattn_queue_use *use, int64_t commands, bool wants_event);

/* Where the next command puts its event; NULL where none is needed. */
cl_event *clattn_chain_next(clattn_chain *chain);

/* After a command, enqueued or not. */
void clattn_chain_advance(clattn_chain *chain);

/* Returns `status`; CLATTN_OK sets *event, where it is not NULL. */
clattn_status clattn_chain_end(clattn_chain *chain, clattn_status status, cl_event *event);

#endif
