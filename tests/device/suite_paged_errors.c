/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors that pages, types of caches and their scales bring: the status, and a message that names the argument. */
#include <stdio.h>
#include <string.h>

#include "spoil.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Tables of 3 pages of 8 tokens a sequence, 9 pages [9, 8, 2, 16]. */
static clattn_attention_desc table_desc(void)
{
    return CLATTN_ATTENTION_DESC(.q_heads = 4, .kv_heads = 2, .head_dim = 16, .max_batch = 2, .max_q_len = 8,
                                 .max_kv_len = 24, .kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE,
                                 .kv_mode = CLATTN_KV_BLOCK_TABLE, .page_size = 8, .pages = 9,
                                 .k_cache = { 256, 32, 16 }, .v_cache = { 256, 32, 16 }, .q = { 512, 64, 16 },
                                 .o = { 512, 64, 16 }, .has_lse = 1, .lse = { 32, 4, 1 });
}

static clattn_attention_desc list_desc(void)
{
    clattn_attention_desc desc = table_desc();
    desc.kv_mode = CLATTN_KV_PAGE_LIST;
    desc.max_page_indices = 6;
    return desc;
}

SPOIL(unknown_kv_mode, d->kv_mode = (clattn_kv_mode)3)
SPOIL(negative_kv_mode, d->kv_mode = (clattn_kv_mode)-1)
SPOIL(no_page_size, d->page_size = 0)
SPOIL(negative_page_size, d->page_size = -1)
SPOIL(large_page_size, d->page_size = 257)
SPOIL(negative_pages, d->pages = -1)
SPOIL(many_pages, d->pages = (1 << 30) + 1)
SPOIL(few_max_pages, d->max_pages = 2)
SPOIL(negative_max_pages, d->max_pages = -3)
SPOIL(many_max_pages, d->max_pages = (1 << 30) + 1)
SPOIL(negative_table_stride, d->block_table_stride = -3)
SPOIL(negative_table_head_stride, d->block_table_head_stride = -1)
SPOIL(overflowing_table_stride, d->block_table_stride = INT64_MAX)
SPOIL(overflowing_table_head_stride, d->block_table_head_stride = INT64_MAX - 2)
SPOIL(negative_k_page, d->k_cache.page = -256)
SPOIL(negative_k_token, d->k_cache.token = -32)
SPOIL(negative_k_head, d->k_cache.head = -1)
SPOIL(negative_v_page, d->v_cache.page = -1)
SPOIL(negative_v_token, d->v_cache.token = -1)
SPOIL(negative_v_head, d->v_cache.head = INT64_MIN)
SPOIL(overflowing_k_page, d->k_cache.page = INT64_MAX / 8)
SPOIL(overflowing_k_sum, d->k_cache.page = d->k_cache.token = INT64_MAX / 8 / 8)
SPOIL(overflowing_v_token, d->v_cache.token = INT64_MAX)
SPOIL(overflowing_v_head, d->v_cache.head = INT64_MAX)
SPOIL(ragged_keys, d->kv_length_mode = CLATTN_LENGTH_RAGGED)
SPOIL(lens_of_uniform, d->kv_length_mode = CLATTN_LENGTH_UNIFORM; d->has_kv_lens = 1)
SPOIL(uneven_q8_k, d->head_dim = 48; d->v_head_dim = 64; d->k_dtype = CLATTN_Q8_0)
SPOIL(uneven_q4_k, d->head_dim = 48; d->v_head_dim = 64; d->k_dtype = CLATTN_Q4_0)
SPOIL(uneven_q8_v, d->head_dim = 64; d->v_head_dim = 48; d->v_dtype = CLATTN_Q8_0)
SPOIL(uneven_q4_v, d->head_dim = 64; d->v_head_dim = 48; d->v_dtype = CLATTN_Q4_0)
SPOIL(uneven_v_by_default, d->head_dim = 48; d->v_dtype = CLATTN_Q8_0)
SPOIL(fp8_q, d->q_dtype = CLATTN_FP8)
SPOIL(q8_q, d->q_dtype = CLATTN_Q8_0)
SPOIL(fp8_o, d->o_dtype = CLATTN_FP8)
SPOIL(q4_o, d->o_dtype = CLATTN_Q4_0)
SPOIL(unknown_k, d->k_dtype = (clattn_dtype)6)
SPOIL(unknown_v, d->v_dtype = (clattn_dtype)6)
SPOIL(unknown_mask, d->mask_kind = (clattn_mask_kind)5)
SPOIL(uniform_list, d->kv_length_mode = CLATTN_LENGTH_UNIFORM)
SPOIL(negative_indices, d->max_page_indices = -1)

static const desc_error table_errors[] = {
    { "kv_mode is 3", unknown_kv_mode },
    { "kv_mode is", negative_kv_mode },
    { "page_size is 0", no_page_size },
    { "page_size is -1", negative_page_size },
    { "page_size is 257; it has to be 1 to 256", large_page_size },
    { "pages is -1", negative_pages },
    { "pages is 1073741825", many_pages },
    { "max_pages is 2; it has to be 3", few_max_pages },
    { "max_pages is -3", negative_max_pages },
    { "max_pages is 1073741825", many_max_pages },
    { "block_table_stride is -3", negative_table_stride },
    { "block_table_head_stride is -1", negative_table_head_stride },
    { "block_table_stride", overflowing_table_stride },
    { "block_table_head_stride", overflowing_table_head_stride },
    { "k_cache.page is -256", negative_k_page },
    { "k_cache.token is -32", negative_k_token },
    { "k_cache.head is -1", negative_k_head },
    { "v_cache.page is -1", negative_v_page },
    { "v_cache.token is -1", negative_v_token },
    { "v_cache.head is -9223372036854775808", negative_v_head },
    { "k_cache.page", overflowing_k_page },
    { "k_cache.page", overflowing_k_sum },
    { "v_cache.page", overflowing_v_token },
    { "v_cache.page", overflowing_v_head },
    { "kv_length_mode is RAGGED", ragged_keys },
    { "has_kv_lens", lens_of_uniform },
    { "head_dim is 48; it has to be a multiple of 32, the block of k_dtype q8_0", uneven_q8_k },
    { "head_dim is 48; it has to be a multiple of 32, the block of k_dtype q4_0", uneven_q4_k },
    { "v_head_dim is 48; it has to be a multiple of 32, the block of v_dtype q8_0", uneven_q8_v },
    { "v_head_dim is 48; it has to be a multiple of 32, the block of v_dtype q4_0", uneven_q4_v },
    { "v_head_dim is 48; it has to be a multiple of 32", uneven_v_by_default },
    { "q_dtype is 3", fp8_q },
    { "q_dtype is 4", q8_q },
    { "o_dtype is 3", fp8_o },
    { "o_dtype is 5", q4_o },
    { "k_dtype is 6", unknown_k },
    { "v_dtype is 6", unknown_v },
    { "mask_kind is 5", unknown_mask },
};

static const desc_error list_errors[] = {
    { "kv_length_mode is 0", uniform_list },
    { "kv_length_mode is RAGGED", ragged_keys },
    { "max_page_indices is -1", negative_indices },
    { "page_size is 257", large_page_size },
    { "pages is -1", negative_pages },
    { "k_cache.page is -256", negative_k_page },
};

static void accept(harness *h, const char *what, const clattn_attention_desc *desc)
{
    expect(h, what, clattn_attention_supported(h->device, desc, NULL, 0), CLATTN_OK, "");
}

/* What does not count in a mode is not looked at, and limits are themselves right. */
static void check_right_descriptions(harness *h)
{
    clattn_attention_desc desc = table_desc();
    desc.k = desc.v = (clattn_strides){ 0, 7, 7 };
    desc.max_page_indices = -1;
    accept(h, "a table's description with a list's fields", &desc);
    desc.page_size = 256;
    desc.pages = 0;
    accept(h, "no pages of 256 tokens", &desc);
    desc = list_desc();
    desc.max_pages = -1;
    desc.block_table_stride = desc.block_table_head_stride = -1;
    accept(h, "a list's description with a table's fields", &desc);
    desc = table_desc();
    desc.kv_mode = CLATTN_KV_CONTIGUOUS;
    desc.page_size = desc.pages = desc.max_pages = -1;
    desc.k_cache = desc.v_cache = (clattn_page_strides){ -1, -1, -1 };
    accept(h, "a dense description with pages' fields", &desc);
}

/* Everything that a run over pages may be given. */
static const char *const table_line = "batch=2,hq=4,hk=2,d=32,dv=32,kt=fp8,vt=fp8,kvform=heads,kvmode=per_sequence,"
                                      "q=8,kv=24,page=8,mask=bits,mform=bhqk,sched=0";
static const char *const list_line =
    "batch=2,hq=4,hk=2,d=32,dv=32,kt=q8_0,vt=q4_0,kvform=list,q=8,kv=24,page=8,sched=0";

/* Rows of the table have two entries more than are read. */
static const args_field table_fields[] = {
    ARGS_FIELD(k, 1),        ARGS_FIELD(v, 1),
    ARGS_FIELD(kv_lens, 4),  ARGS_FIELD(k_scales, 4),
    ARGS_FIELD(v_scales, 4), ARGS_FIELD_OF(block_table, 12, 4),
    ARGS_FIELD(mask, 1),     ARGS_FIELD_OF(error_record, 4, 4),
};

/* A byte short of a block is a block too small. */
static const args_field list_fields[] = {
    ARGS_FIELD_OF(k, 1, 2),      ARGS_FIELD_OF(v, 1, 2),       ARGS_FIELD(page_indptr, 4),
    ARGS_FIELD(page_indices, 4), ARGS_FIELD(last_page_len, 4), ARGS_FIELD_OF(error_record, 1, 4),
};

/* Makes a case with its plan and calls `check`. */
static void with_plan(harness *h, const char *line, void (*check)(harness *h, problem *p, const clattn_plan *plan))
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    const test_case c = case_from(line);
    if (problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out)) {
        const clattn_attention_args args = problem_args(&p);
        expect(h, "a run that is right", run_once(h, plan, &args), CLATTN_OK, "");
        check(h, &p, plan);
        (void)clFinish(h->in_order);
    } else {
        outcome_fail(&out, "no memory");
        harness_count(h, line, NULL, &out);
    }
    clattn_plan_destroy(&plan);
    problem_free(&p);
}

static void check_table_run(harness *h, problem *p, const clattn_plan *plan)
{
    clattn_attention_args args = problem_args(p);
    for (int n = 0; n < LENGTH(table_fields); n++)
        check_buffer(h, p, plan, &table_fields[n]);
    const size_t mask_bytes = 2 * 4 * 8 * 24 / 8;
    args.mask.size = mask_bytes - 1;
    expect_invalid(h, "a mask of bits a byte too small", run_once(h, plan, &args), "mask has 191 bytes");
    args.mask.size = mask_bytes;
    expect(h, "a mask of bits that is just large enough", run_once(h, plan, &args), CLATTN_OK, "");
    args.cu_seqlens_kv = args.page_indptr = args.page_indices = args.last_page_len = (clattn_buffer){ 0 };
    args.error_record = (clattn_buffer){ 0 };
    expect(h, "a table without an error record", run_once(h, plan, &args), CLATTN_OK, "");
}

/* Blocks start wherever a 2-byte number may. */
static void check_offsets(harness *h, const problem *p, const clattn_plan *plan)
{
    for (size_t bytes = 1; bytes <= 6; bytes++) {
        clattn_attention_args args = problem_args(p);
        char what[64];
        snprintf(what, sizeof(what), "k at byte offset %zu", args.k.offset + bytes);
        args.k.offset += bytes;
        args.k.size = 0; /* up to the margin's end */
        expect(h, what, run_once(h, plan, &args), bytes % 2 ? CLATTN_INVALID_ARGUMENT : CLATTN_OK, "k.offset");
        args = problem_args(p);
        snprintf(what, sizeof(what), "v at byte offset %zu", args.v.offset + bytes);
        args.v.offset += bytes;
        args.v.size = 0;
        expect(h, what, run_once(h, plan, &args), bytes % 2 ? CLATTN_INVALID_ARGUMENT : CLATTN_OK, "v.offset");
    }
}

static void check_list_run(harness *h, problem *p, const clattn_plan *plan)
{
    clattn_attention_args args = problem_args(p);
    for (int n = 0; n < LENGTH(list_fields); n++)
        check_buffer(h, p, plan, &list_fields[n]);
    check_offsets(h, p, plan);
    args.kv_lens = args.k_scales = args.v_scales = args.block_table = (clattn_buffer){ 0 };
    args.error_record = (clattn_buffer){ 0 };
    expect(h, "a list without an error record", run_once(h, plan, &args), CLATTN_OK, "");
}

/* A pool of no pages has no keys; neither K, V nor a table is needed. */
static void check_no_pages(harness *h, problem *p, const clattn_plan *made)
{
    clattn_attention_desc desc = p->desc;
    clattn_plan *plan = NULL;
    clattn_attention_args args = problem_args(p);
    (void)made;
    desc.pages = 0;
    expect(h, "a plan over no pages", clattn_plan_create(h->device, &desc, NULL, &plan), CLATTN_OK, "");
    if (!plan)
        return;
    args.k = args.v = args.block_table = args.page_indices = (clattn_buffer){ 0 };
    expect(h, "a run over no pages", run_once(h, plan, &args), CLATTN_OK, "");
    expect_true(h, "it ends", clFinish(h->in_order) == CL_SUCCESS);
    clattn_plan_destroy(&plan);
}

static void check_schedules(harness *h, problem *p, const clattn_plan *plan)
{
    static const int32_t over[] = { 24, 25 }, negative[] = { -1, 0 };
    clattn_lengths l = { .batch = 2, .q_len = 8, .kv_lens = over };
    clattn_schedule s;
    (void)p;
    expect_invalid(h, "a kv_lens over the pages' bound", clattn_schedule_make(plan, &l, &s), "kv_lens[1] is 25");
    l.kv_lens = negative;
    expect_invalid(h, "a negative kv_lens over pages", clattn_schedule_make(plan, &l, &s), "kv_lens[0] is -1");
}

/* A schedule of a plan over tensors, and one of the same plan over pages. */
static void check_foreign_schedule(harness *h, problem *p, const clattn_plan *plan)
{
    const test_case c = case_from("batch=2,hq=4,hk=2,d=32,dv=32,q=8,kv=24");
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *dense = NULL;
    clattn_schedule schedule;
    problem other;
    const clattn_attention_args args = problem_args(p);
    if (problem_make(&other, &c) && step_plan(h, &other, &dense, &out) &&
        outcome_ok(&out, clattn_schedule_make(dense, &other.lengths, &schedule), "clattn_schedule_make"))
        expect_invalid(h, "a schedule of a plan over tensors",
                       clattn_attention_run(plan, &schedule, &args, h->in_order, 0, NULL, NULL), "schedule");
    if (out.verdict != PASSED)
        harness_count(h, "a plan over tensors", NULL, &out);
    clattn_plan_destroy(&dense);
    problem_free(&other);
}

void suite_paged_errors(harness *h)
{
    const clattn_attention_desc table = table_desc(), list = list_desc();
    check_descriptions(h, &table, table_errors, LENGTH(table_errors));
    check_descriptions(h, &list, list_errors, LENGTH(list_errors));
    check_right_descriptions(h);
    with_plan(h, table_line, check_table_run);
    with_plan(h, table_line, check_schedules);
    with_plan(h, table_line, check_foreign_schedule);
    with_plan(h, table_line, check_no_pages);
    with_plan(h, list_line, check_list_run);
    with_plan(h, list_line, check_no_pages);
}
