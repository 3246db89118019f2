/* SPDX-License-Identifier: BSD-2-Clause */
/* Index arrays of pages that hold nonsense: what is read is clamped, nothing outside of the buffers is touched (guards
 * here, Oclgrind for the rest), and bad ids go into the error record. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "expect.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define SEQUENCES     4

/* Every page is full, so that a sequence which reads another's finds numbers. */
#define LENGTHS "lens=1:40+5:16+0:8+9:32,page=8,hq=4,hk=2,"

typedef struct replacement {
    memory_id memory;
    int32_t place, value;
} replacement;

#define MOST_REPLACEMENTS 5

typedef struct nonsense {
    const char *what;
    replacement replacements[MOST_REPLACEMENTS]; /* MEM_Q ends them */
} nonsense;

/* indptr is 0, 5, 7, 8, 12 of 14 entries. */
static const nonsense of_lists[] = {
    { "page_indptr decreases", { { MEM_INDPTR, 1, 8 }, { MEM_INDPTR, 2, 5 } } },
    { "page_indptr decreases to its end", { { MEM_INDPTR, 0, 12 }, { MEM_INDPTR, 4, 0 } } },
    { "page_indptr starts negative", { { MEM_INDPTR, 0, -5 }, { MEM_INDPTR, 1, -2 } } },
    { "page_indptr is the lowest number", { { MEM_INDPTR, 3, INT32_MIN } } },
    { "page_indptr is over the list", { { MEM_INDPTR, 3, 1000 }, { MEM_INDPTR, 4, INT32_MAX } } },
    { "page_indptr starts past the list", { { MEM_INDPTR, 0, 15 }, { MEM_INDPTR, 1, 99 } } },
    { "a sequence has the whole list", { { MEM_INDPTR, 3, 0 } } },
    { "last_page_len is 0", { { MEM_LAST_LEN, 0, 0 }, { MEM_LAST_LEN, 1, 0 }, { MEM_LAST_LEN, 3, 0 } } },
    { "last_page_len is negative", { { MEM_LAST_LEN, 0, -5 }, { MEM_LAST_LEN, 3, INT32_MIN } } },
    { "last_page_len is over a page", { { MEM_LAST_LEN, 0, 9 }, { MEM_LAST_LEN, 1, INT32_MAX } } },
    { "ids at every edge",
      { { MEM_TABLE, 0, INT32_MIN }, { MEM_TABLE, 2, -2 }, { MEM_TABLE, 5, INT32_MAX }, { MEM_TABLE, 9, 1 << 30 } } },
    { "the bounds are all wrong at once",
      { { MEM_INDPTR, 1, INT32_MAX },
        { MEM_INDPTR, 2, INT32_MIN },
        { MEM_LAST_LEN, 0, -1 },
        { MEM_LAST_LEN, 3, 99 } } },
};

/* Rows of 7 entries, of which 5 are within the bounds; 2 rows a sequence with a table for each head. */
static const nonsense of_tables[] = {
    { "kv_lens is negative", { { MEM_KV_LENS, 0, -1 }, { MEM_KV_LENS, 3, -1000 } } },
    { "kv_lens is the lowest number", { { MEM_KV_LENS, 1, INT32_MIN } } },
    { "kv_lens is over the bound", { { MEM_KV_LENS, 1, 41 }, { MEM_KV_LENS, 3, 1000 } } },
    { "kv_lens is the highest number", { { MEM_KV_LENS, 0, INT32_MAX }, { MEM_KV_LENS, 3, INT32_MAX } } },
    { "ids at every edge",
      { { MEM_TABLE, 0, INT32_MIN }, { MEM_TABLE, 2, -2 }, { MEM_TABLE, 4, INT32_MAX }, { MEM_TABLE, 22, 1 << 30 } } },
    { "every length and an id",
      { { MEM_KV_LENS, 0, 99 }, { MEM_KV_LENS, 1, -9 }, { MEM_KV_LENS, 3, 41 }, { MEM_TABLE, 1, INT32_MIN + 1 } } },
};

static void replace(const problem *p, const nonsense *n)
{
    for (int i = 0; i < MOST_REPLACEMENTS && n->replacements[i].memory != MEM_Q; i++) {
        const replacement *r = &n->replacements[i];
        memcpy((char *)problem_host(p, r->memory) + (size_t)r->place * sizeof(int32_t), &r->value, sizeof(r->value));
    }
}

/* The reference clamps as the headers say, from the same arrays. */
static void run_nonsense(harness *h, const char *line, const nonsense *n)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    char name[256];
    const test_case c = case_from(line);
    snprintf(name, sizeof(name), "%s, with %s", n->what, line);
    if (problem_make(&p, &c)) {
        replace(&p, n);
        if (step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out) && step_run(h, &p, plan, &out))
            step_verify_outputs(&p, &out);
    } else {
        outcome_fail(&out, "no memory");
    }
    clattn_plan_destroy(&plan);
    problem_free(&p);
    harness_count(h, name, NULL, &out);
}

/* The head stride of tables, which a list has none of. */
static void run_list_with_head_stride(harness *h, const char *line)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    const test_case c = case_from(line);
    bool ok = problem_make(&p, &c);
    p.desc.block_table_head_stride = (int64_t)1 << 40;
    if (ok && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out) && step_run(h, &p, plan, &out))
        step_verify(&p, &out);
    clattn_plan_destroy(&plan);
    problem_free(&p);
    harness_count(h, "a list beside a table's head stride", NULL, &out);
}

/* Longer on the device than the schedule says: the rows of such a sequence hold nothing certain, and nothing else is
 * written. */
static void run_stale_schedule(harness *h, const char *line)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    int32_t told[SEQUENCES] = { 9, 16, 8, 32 };
    const test_case c = case_from(line);
    if (problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out)) {
        size_t where;
        p.lengths.kv_lens = told;
        if (step_run(h, &p, plan, &out) && !problem_guards_hold(&p, MEM_O, &where))
            outcome_fail(&out, "byte %zu of O's buffer was written", where);
    }
    clattn_plan_destroy(&plan);
    problem_free(&p);
    harness_count(h, "a schedule of shorter lengths", NULL, &out);
}

typedef struct record_run {
    harness *h;
    problem p;
    clattn_plan *plan;
    outcome out;
} record_run;

/* Sets entry 0 of the sequences' rows to these ids, and runs; the record is left as it was. */
static void run_with_ids(record_run *r, const int32_t ids[SEQUENCES], bool with_record)
{
    const view *table = &r->p.view[MEM_TABLE];
    clattn_attention_args args = problem_args(&r->p);
    cl_command_queue queue = r->h->in_order;
    cl_int code = CL_SUCCESS;
    if (!with_record)
        args.error_record = (clattn_buffer){ 0 };
    for (int b = 0; b < SEQUENCES && code == CL_SUCCESS; b++) {
        const size_t at = table->offset + (size_t)b * (size_t)r->p.desc.block_table_stride * sizeof(int32_t);
        code = clEnqueueWriteBuffer(queue, r->p.memory[MEM_TABLE].buffer, CL_TRUE, at, sizeof(int32_t), &ids[b], 0,
                                    NULL, NULL);
    }
    if (code != CL_SUCCESS)
        outcome_fail(&r->out, "clEnqueueWriteBuffer failed with %d", code);
    else if (outcome_ok(&r->out, clattn_attention_run(r->plan, NULL, &args, queue, 0, NULL, NULL), "run"))
        (void)step_read(r->h, &r->p, &r->out);
}

static void expect_record(record_run *r, const char *what, uint32_t kinds, uint32_t sequence)
{
    clattn_error_record got = { 0 };
    if (r->out.verdict == PASSED)
        memcpy(&got, r->p.memory[MEM_RECORD].got + r->p.view[MEM_RECORD].offset, sizeof(got));
    if (got.kinds != kinds || got.sequence != sequence || got.reserved[0] || got.reserved[1])
        outcome_fail(&r->out, "the record has kinds %u, sequence %u, reserved %u %u; it has to have %u, %u, 0 0",
                     got.kinds, got.sequence, got.reserved[0], got.reserved[1], kinds, sequence);
    harness_count(r->h, what, NULL, &r->out);
    r->out = (outcome){ PASSED, "", 0, 0.0 };
}

/* One record over several runs: kinds are or-ed, the lowest sequence stays. */
static void check_record(harness *h, const char *line)
{
    record_run r = { .h = h, .out = { PASSED, "", 0, 0.0 } };
    const test_case c = case_from(line);
    if (problem_make(&r.p, &c) && step_upload(h, &r.p, &r.out) && step_plan(h, &r.p, &r.plan, &r.out)) {
        const int32_t pages = r.p.desc.pages, last = pages - 1;
        run_with_ids(&r, (const int32_t[]){ 0, 1, last, -1 }, true);
        expect_record(&r, "right ids and holes leave the record clear", 0, UINT32_MAX);
        run_with_ids(&r, (const int32_t[]){ pages, -2, 0, INT32_MIN }, false);
        expect_record(&r, "without a record nothing is reported", 0, UINT32_MAX);
        run_with_ids(&r, (const int32_t[]){ 0, 1, pages, 2 }, true);
        expect_record(&r, "a sequence without queries looks at no page", 0, UINT32_MAX);
        run_with_ids(&r, (const int32_t[]){ 0, 1, 2, -2 }, true);
        expect_record(&r, "an id of -2", CLATTN_ERROR_PAGE_ID, 3);
        run_with_ids(&r, (const int32_t[]){ 0, 1, 2, 3 }, true);
        expect_record(&r, "a right run leaves what is recorded", CLATTN_ERROR_PAGE_ID, 3);
        run_with_ids(&r, (const int32_t[]){ 0, pages, 2, INT32_MAX }, true);
        expect_record(&r, "the lowest sequence of two", CLATTN_ERROR_PAGE_ID, 1);
        run_with_ids(&r, (const int32_t[]){ 0, 1, 2, pages }, true);
        expect_record(&r, "a higher one does not replace it", CLATTN_ERROR_PAGE_ID, 1);
        run_with_ids(&r, (const int32_t[]){ INT32_MIN, 1, 2, 3 }, true);
        expect_record(&r, "the first of all does", CLATTN_ERROR_PAGE_ID, 0);
    } else {
        outcome_fail(&r.out, "no memory");
        harness_count(h, line, NULL, &r.out);
    }
    clattn_plan_destroy(&r.plan);
    problem_free(&r.p);
}

/* Oclgrind takes a second for each case of frag_scalar, whose way to the arrays is the same: `step` leaves some out. */
static void run_fragment(harness *h, const char *fragment, int step)
{
    char line[192];
    snprintf(line, sizeof(line), LENGTHS "kvform=list,sched=0,frag=%s", fragment);
    for (int n = 0; n < LENGTH(of_lists); n += step)
        run_nonsense(h, line, &of_lists[n]);
    run_list_with_head_stride(h, line);
    snprintf(line, sizeof(line), LENGTHS "kvform=heads,shift=1,frag=%s", fragment);
    for (int n = 0; n < LENGTH(of_tables); n += step)
        run_nonsense(h, line, &of_tables[n]);
    snprintf(line, sizeof(line), LENGTHS "kvform=table,split=16,frag=%s", fragment);
    run_stale_schedule(h, line);
    snprintf(line, sizeof(line), LENGTHS "kvform=table,sched=0,shift=1,frag=%s", fragment);
    check_record(h, line);
}

void suite_paged_nonsense(harness *h)
{
    run_fragment(h, "frag_lanes", 1);
    run_fragment(h, "frag_scalar", 3);
}
