/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/chain.h"

void clattn_chain_begin(clattn_chain *chain, const clattn_queue_use *use, int64_t commands, bool wants_event)
{
    *chain = (clattn_chain){ .num_wait = use->num_wait,
                             .wait_list = use->wait_list,
                             .out_of_order = use->out_of_order,
                             .wants_event = wants_event,
                             .left = commands };
}

cl_event *clattn_chain_next(clattn_chain *chain)
{
    chain->left--;
    if (chain->left == 0)
        return chain->wants_event ? &chain->last : NULL;
    return chain->out_of_order ? &chain->current : NULL;
}

void clattn_chain_advance(clattn_chain *chain)
{
    if (chain->previous)
        clReleaseEvent(chain->previous);
    chain->previous = chain->current;
    chain->current = NULL;
    chain->num_wait = chain->previous ? 1 : 0;
    chain->wait_list = chain->previous ? &chain->previous : NULL;
}

clattn_status clattn_chain_end(clattn_chain *chain, clattn_status status, cl_event *event)
{
    if (chain->previous)
        clReleaseEvent(chain->previous);
    if (status == CLATTN_OK && event)
        *event = chain->last;
    return status;
}
