/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/run.h"

static clattn_status enqueue(void *subject, int turn, cl_event *first, cl_event *last)
{
    return clattn_trial_enqueue(subject, turn, first, last);
}

clattn_status clattn_contender_open(clattn_tuned *of, const clattn_candidate *candidate, clattn_contender *out)
{
    *out = (clattn_contender){ .candidate = *candidate };
    const clattn_status status = clattn_trial_open(of->subject, candidate, &out->trial);
    out->timed = (clattn_timed){ .enqueue = enqueue, .subject = out->trial };
    return status;
}

void clattn_contender_close(clattn_contender *contender)
{
    if (contender->trial)
        clattn_trial_close(contender->trial);
    *contender = (clattn_contender){ .trial = NULL };
}
