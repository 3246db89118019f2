/* SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of one head that are compared, beside tile edges, unless there are few. */
#define ROWS_COMPARED 48

cl_command_queue problem_queue(const harness *h, const problem *p)
{
    return p->c.ooo ? h->out_of_order : h->in_order;
}

static clattn_buffer buffer_of(const problem *p, memory_id id)
{
    const view *v = &p->view[id];
    return (clattn_buffer){ .handle = p->memory[v->memory].buffer, .offset = v->offset, .size = v->size };
}

clattn_attention_args problem_args(const problem *p)
{
    return CLATTN_ATTENTION_ARGS(.q = buffer_of(p, MEM_Q), .k = buffer_of(p, MEM_K), .v = buffer_of(p, MEM_V),
                                 .o = buffer_of(p, MEM_O), .lse = buffer_of(p, MEM_LSE),
                                 .cu_seqlens_q = buffer_of(p, MEM_CU_Q), .cu_seqlens_kv = buffer_of(p, MEM_CU_KV),
                                 .kv_lens = buffer_of(p, MEM_KV_LENS), .block_table = buffer_of(p, MEM_TABLE),
                                 .page_indices = buffer_of(p, MEM_TABLE), .page_indptr = buffer_of(p, MEM_INDPTR),
                                 .last_page_len = buffer_of(p, MEM_LAST_LEN), .k_scales = buffer_of(p, MEM_K_SCALES),
                                 .v_scales = buffer_of(p, MEM_V_SCALES), .error_record = buffer_of(p, MEM_RECORD),
                                 .q_offsets = buffer_of(p, MEM_Q_OFFSETS), .mask = buffer_of(p, MEM_MASK),
                                 .mask_offsets = buffer_of(p, MEM_MASK_OFFSETS),
                                 .mask_row_strides = buffer_of(p, MEM_MASK_ROWS),
                                 .alibi_slopes = buffer_of(p, MEM_SLOPES), .sinks = buffer_of(p, MEM_SINKS),
                                 .workspace = buffer_of(p, MEM_WORKSPACE));
}

static bool create_buffer(const harness *h, memory *m, outcome *out)
{
    cl_int code = CL_SUCCESS;
    m->buffer = clCreateBuffer(h->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, m->size, m->host, &code);
    if (!m->buffer)
        outcome_fail(out, "clCreateBuffer of %zu bytes failed with %d", m->size, code);
    return m->buffer != NULL;
}

bool step_upload(const harness *h, problem *p, outcome *out)
{
    for (int id = 0; id < MEM_COUNT; id++)
        if (p->memory[id].host && !create_buffer(h, &p->memory[id], out))
            return false;
    return true;
}

/* The workspace: NaN inside, so that nothing may count on it, and a guard behind it. */
static bool add_workspace(const harness *h, problem *p, outcome *out)
{
    int64_t floats = (int64_t)((p->workspace_size + 3) / 4);
    if (floats == 0)
        return true;
    if (!problem_add_memory(p, MEM_WORKSPACE, floats, sizeof(float))) {
        outcome_fail(out, "no memory");
        return false;
    }
    p->view[MEM_WORKSPACE].size = p->workspace_size;
    memory *m = &p->memory[MEM_WORKSPACE];
    size_t end = p->view[MEM_WORKSPACE].offset + p->workspace_size;
    memset(m->host, GUARD_BYTE, p->view[MEM_WORKSPACE].offset);
    memset(m->host + end, GUARD_BYTE, m->size - end);
    return create_buffer(h, m, out);
}

bool step_plan(const harness *h, problem *p, clattn_plan **plan, outcome *out)
{
    static const char *const fragments[] = { NULL, "frag_lanes", "frag_scalar", "frag_nv_wgmma", "frag_nv_mma" };
    const test_case *c = &p->c;
    clattn_plan_params params =
        CLATTN_PLAN_PARAMS(.fragment = fragments[c->frag], .prefill_tile = c->ptile[0] ? c->ptile : NULL,
                           .decode_tile = c->dtile[0] ? c->dtile : NULL, .split_size = c->split,
                           .max_workspace_size = (size_t)c->cap);
    clattn_status status = clattn_plan_create(h->device, &p->desc, &params, plan);
    if (status == CLATTN_UNSUPPORTED && (c->frag || c->ptile[0] || c->dtile[0])) {
        outcome_skip(out, "%s", clattn_last_error());
        return false;
    }
    if (!outcome_ok(out, status, "clattn_plan_create"))
        return false;
    (*plan)->compute_units = 1; /* groups take all that so few tiles let them, however many units there are */
    p->workspace_size = clattn_plan_workspace_size(*plan);
    return add_workspace(h, p, out);
}

static bool is_output(int id)
{
    return id == MEM_O || id == MEM_LSE || id == MEM_WORKSPACE || id == MEM_RECORD;
}

/* The writes end with clFinish: after a blocking write alone, Intel's CPU runtime lets a kernel on another queue run
 * first (found with out-of-order queues: an output kept what it was reset to). */
static bool reset_outputs(const harness *h, problem *p, outcome *out)
{
    for (int id = 0; id < MEM_COUNT; id++) {
        memory *m = &p->memory[id];
        if (!is_output(id) || !m->buffer)
            continue;
        cl_int code = clEnqueueWriteBuffer(h->in_order, m->buffer, CL_FALSE, 0, m->size, m->host, 0, NULL, NULL);
        if (code != CL_SUCCESS) {
            outcome_fail(out, "clEnqueueWriteBuffer failed with %d", code);
            return false;
        }
    }
    const cl_int code = clFinish(h->in_order);
    if (code != CL_SUCCESS)
        outcome_fail(out, "clFinish failed with %d", code);
    return code == CL_SUCCESS;
}

bool step_read(const harness *h, problem *p, outcome *out)
{
    for (int id = 0; id < MEM_COUNT; id++) {
        memory *m = &p->memory[id];
        if (!is_output(id) || !m->buffer)
            continue;
        if (!m->got)
            m->got = malloc(m->size);
        cl_int code = m->got ? clEnqueueReadBuffer(h->in_order, m->buffer, CL_TRUE, 0, m->size, m->got, 0, NULL, NULL)
                             : CL_OUT_OF_HOST_MEMORY;
        if (code != CL_SUCCESS) {
            outcome_fail(out, "clEnqueueReadBuffer failed with %d", code);
            return false;
        }
    }
    return true;
}

bool step_run(const harness *h, problem *p, const clattn_plan *plan, outcome *out)
{
    clattn_schedule schedule;
    clattn_attention_args args = problem_args(p);
    cl_event event = NULL;
    if (!reset_outputs(h, p, out))
        return false;
    if (p->c.sched && !outcome_ok(out, clattn_schedule_make(plan, &p->lengths, &schedule), "clattn_schedule_make"))
        return false;
    clattn_status status =
        clattn_attention_run(plan, p->c.sched ? &schedule : NULL, &args, problem_queue(h, p), 0, NULL, &event);
    if (!outcome_ok(out, status, "clattn_attention_run"))
        return false;
    cl_int code = event ? clWaitForEvents(1, &event) : CL_INVALID_EVENT;
    if (code != CL_SUCCESS)
        outcome_fail(out, "waiting for the run's event failed with %d", code);
    if (event)
        clReleaseEvent(event);
    return code == CL_SUCCESS && step_read(h, p, out);
}

static void verify_guards(const problem *p, outcome *out)
{
    size_t where;
    if (!problem_guards_hold(p, MEM_O, &where))
        outcome_fail(out, "byte %zu of O's buffer was written; no element that a row may write is there", where);
    if (p->c.lse && !problem_guards_hold(p, MEM_LSE, &where))
        outcome_fail(out, "byte %zu of LSE's buffer was written; no element that a row may write is there", where);
    const memory *m = &p->memory[MEM_WORKSPACE];
    size_t first = p->view[MEM_WORKSPACE].offset, end = first + p->workspace_size;
    for (size_t n = 0; m->got && n < m->size; n++)
        if ((n < first || n >= end) && m->got[n] != GUARD_BYTE)
            outcome_fail(out, "byte %zu beside the workspace, which has bytes %zu to %zu, was written", n, first, end);
}

/* Nothing beside the error record is written either. */
static void verify_record_guard(const problem *p, outcome *out)
{
    const memory *m = &p->memory[MEM_RECORD];
    const size_t first = p->view[MEM_RECORD].offset, end = first + sizeof(clattn_error_record);
    for (size_t n = 0; m->got && n < m->size; n++)
        if ((n < first || n >= end) && m->got[n] != 0xff)
            outcome_fail(out, "byte %zu beside the error record, which has bytes %zu to %zu, was written", n, first,
                         end);
}

/* Bad ids are reported where a query could have met them, and nothing else is. */
static void verify_record(const problem *p, outcome *out)
{
    clattn_error_record record;
    uint32_t certain, possible;
    if (!p->memory[MEM_RECORD].got)
        return;
    memcpy(&record, p->memory[MEM_RECORD].got + p->view[MEM_RECORD].offset, sizeof(record));
    problem_bad_sequences(p, &certain, &possible);
    const uint32_t kinds = record.sequence == UINT32_MAX ? 0 : CLATTN_ERROR_PAGE_ID;
    if (record.kinds != kinds || record.sequence > certain || record.sequence < possible || record.reserved[0] ||
        record.reserved[1])
        outcome_fail(out, "the error record has kinds %u, sequence %u, reserved %u %u; the sequence has to be %u to %u",
                     record.kinds, record.sequence, record.reserved[0], record.reserved[1], possible, certain);
}

static void report(const ref_comparison *r, const char *what, outcome *out)
{
    out->compared += r->compared;
    if (r->max_ratio > out->max_ratio)
        out->max_ratio = r->max_ratio;
    if (r->compared == 0)
        outcome_fail(out, "%s: nothing was compared", what);
    else if (!ref_passed(r))
        outcome_fail(out,
                     "%s: %" PRId64 " of %" PRId64 " elements over tolerance, the worst %.3g times at b=%" PRId32
                     " i=%" PRId32 " q_head=%" PRId32 " d=%" PRId32 ": got %.9g, want %.9g",
                     what, r->failed, r->compared, r->max_ratio, r->b, r->i, r->q_head, r->d, r->got, r->want);
}

void step_verify_outputs(const problem *p, outcome *out)
{
    ref_comparison o, lse;
    ref_sampling sampling = { .max_rows_per_head = ROWS_COMPARED, .row_tile = 32, .seed = (uint64_t)p->c.seed };
    const float *got_lse = p->c.lse ? (const float *)(void *)(p->memory[MEM_LSE].got + p->view[MEM_LSE].offset) : NULL;
    verify_guards(p, out);
    verify_record_guard(p, out);
    if (problem_rows(p) == 0)
        return;
    if (!ref_compare(&p->desc, &p->in, p->memory[MEM_O].got + p->view[MEM_O].offset, got_lse, &sampling, &o, &lse)) {
        outcome_fail(out, "no memory");
        return;
    }
    report(&o, "O", out);
    if (got_lse)
        report(&lse, "LSE", out);
}

void step_verify(const problem *p, outcome *out)
{
    verify_record(p, out);
    step_verify_outputs(p, out);
}
