/* SPDX-License-Identifier: BSD-2-Clause */
#include "operation.h"

#include <stdio.h>

void desc_fault_apply(const desc_fault *fault, void *desc)
{
    char *at = (char *)desc + fault->at;
    if (fault->wide)
        *(int64_t *)(void *)at = fault->value;
    else
        *(int32_t *)(void *)at = (int32_t)fault->value;
}

clattn_buffer *buffer_row_of(const buffer_row *row, void *args)
{
    return (clattn_buffer *)(void *)((char *)args + row->at);
}

void check_run_buffer(harness *h, const buffer_row *row, void *args, run_with run, const void *user)
{
    clattn_buffer *buffer = buffer_row_of(row, args);
    const clattn_buffer right = *buffer;
    char what[64];
    snprintf(what, sizeof(what), "%s of just the right size", row->name);
    buffer->size = row->bytes;
    expect(h, what, run(user, args), CLATTN_OK, "");
    snprintf(what, sizeof(what), "%s too small", row->name);
    buffer->size = row->bytes - 1;
    expect_invalid(h, what, run(user, args), row->name);
    snprintf(what, sizeof(what), "%s past its end", row->name);
    *buffer = (clattn_buffer){ .handle = right.handle, .offset = (size_t)1 << 40 };
    expect_invalid(h, what, run(user, args), row->name);
    snprintf(what, sizeof(what), "%s misaligned", row->name);
    *buffer = (clattn_buffer){ .handle = right.handle, .offset = row->alignment / 2 };
    if (row->alignment > 1)
        expect_invalid(h, what, run(user, args), row->name);
    snprintf(what, sizeof(what), "no %s", row->name);
    *buffer = (clattn_buffer){ .handle = NULL };
    expect(h, what, run(user, args), row->optional ? CLATTN_OK : CLATTN_INVALID_ARGUMENT, row->name);
    *buffer = right;
}

bool gate_open(cl_event gate, cl_event run, outcome *out)
{
    cl_int state = CL_QUEUED;
    bool done = false;
    if (run)
        clGetEventInfo(run, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(state), &state, NULL);
    if (state == CL_COMPLETE)
        outcome_fail(out, "the run ended before the event that it waits for");
    clSetUserEventStatus(gate, CL_COMPLETE);
    if (run) {
        done = clWaitForEvents(1, &run) == CL_SUCCESS;
        if (!done)
            outcome_fail(out, "waiting for the run's event failed");
        clReleaseEvent(run);
    }
    clReleaseEvent(gate);
    return done;
}
