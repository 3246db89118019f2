/* SPDX-License-Identifier: BSD-2-Clause */
/* Every error that the interface documents and a test can bring about: the status, and a message that names the
 * argument. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spoil.h"
#include "suites.h"

#define PLANS_TRIED   32
#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A small description that is right: BSHD [2, 8, 4, 16] against [2, 24, 2, 16]. */
static clattn_attention_desc right_desc(void)
{
    return CLATTN_ATTENTION_DESC(.q_heads = 4, .kv_heads = 2, .head_dim = 16, .max_batch = 2, .max_q_len = 8,
                                 .max_kv_len = 24, .q = { 512, 64, 16 }, .k = { 768, 32, 16 }, .v = { 768, 32, 16 },
                                 .o = { 512, 64, 16 }, .has_lse = 1, .lse = { 32, 4, 1 });
}

SPOIL(bad_struct_size, d->struct_size = 8)
SPOIL(bad_q_dtype, d->q_dtype = (clattn_dtype)3)
SPOIL(bad_k_dtype, d->k_dtype = (clattn_dtype)-1)
SPOIL(bad_v_dtype, d->v_dtype = (clattn_dtype)99)
SPOIL(bad_o_dtype, d->o_dtype = (clattn_dtype)4)
SPOIL(no_q_heads, d->q_heads = 0)
SPOIL(negative_q_heads, d->q_heads = -4)
SPOIL(no_kv_heads, d->kv_heads = 0)
SPOIL(uneven_heads, d->q_heads = 5)
SPOIL(no_head_dim, d->head_dim = 0)
SPOIL(large_head_dim, d->head_dim = 577)
SPOIL(negative_v_head_dim, d->v_head_dim = -1)
SPOIL(large_v_head_dim, d->v_head_dim = 577)
SPOIL(negative_batch, d->max_batch = -1)
SPOIL(negative_q_len, d->max_q_len = -1)
SPOIL(negative_kv_len, d->max_kv_len = -1)
SPOIL(negative_min_q_len, d->min_q_len = -1)
SPOIL(large_min_q_len, d->min_q_len = 9)
SPOIL(negative_q_tokens, d->max_q_tokens = -1)
SPOIL(negative_kv_tokens, d->max_kv_tokens = -1)
SPOIL(bad_q_length_mode, d->q_length_mode = CLATTN_LENGTH_PER_SEQUENCE)
SPOIL(unknown_q_length_mode, d->q_length_mode = (clattn_length_mode)7)
SPOIL(bad_kv_length_mode, d->kv_length_mode = (clattn_length_mode)3)
SPOIL(ragged_q_with_batch_stride, d->q_length_mode = CLATTN_LENGTH_RAGGED)
SPOIL(ragged_kv_with_batch_stride, d->kv_length_mode = CLATTN_LENGTH_RAGGED)
SPOIL(lens_without_mode, d->has_kv_lens = 1)
SPOIL(negative_q_stride, d->q.token = -64)
SPOIL(negative_k_stride, d->k.head = -1)
SPOIL(negative_v_stride, d->v.batch = -1)
SPOIL(negative_o_stride, d->o.head = -16)
SPOIL(negative_lse_stride, d->lse.token = -4)
SPOIL(overlapping_o_heads, d->o.head = 0)
SPOIL(overlapping_o_tokens, d->o.token = 0)
SPOIL(overlapping_o_batches, d->o.batch = 0)
SPOIL(overlapping_o_rows, d->o.head = 15)
SPOIL(overlapping_lse, d->lse.head = 0)
SPOIL(overflowing_stride, d->k.batch = INT64_MAX)
SPOIL(nan_scale, d->scale = NAN)
SPOIL(infinite_scale, d->scale = INFINITY)
SPOIL(nan_softcap, d->softcap = NAN)
SPOIL(infinite_softcap, d->softcap = INFINITY)
SPOIL(negative_softcap, d->softcap = -1.0f)
SPOIL(bad_window_mode, d->window_mode = (clattn_window_mode)2)
SPOIL(bad_window_left, d->window_mode = CLATTN_WINDOW_LR; d->window_left = -2)
SPOIL(bad_window_right, d->window_mode = CLATTN_WINDOW_LR; d->window_right = -7)
SPOIL(bad_q_offset_mode, d->q_offset_mode = (clattn_q_offset_mode)3)
SPOIL(bad_mask_kind, d->mask_kind = (clattn_mask_kind)5)
SPOIL(negative_mask_batch, d->mask_kind = CLATTN_MASK_BOOL; d->mask_batch_stride = -1)
SPOIL(negative_mask_head, d->mask_kind = CLATTN_MASK_BOOL; d->mask_head_stride = -1)
SPOIL(negative_mask_q, d->mask_kind = CLATTN_MASK_BOOL; d->mask_q_stride = -1)
SPOIL(negative_mask_kv, d->mask_kind = CLATTN_MASK_BOOL; d->mask_kv_stride = -1)

static const desc_error desc_errors[] = {
    { "struct_size", bad_struct_size },
    { "q_dtype", bad_q_dtype },
    { "k_dtype", bad_k_dtype },
    { "v_dtype", bad_v_dtype },
    { "o_dtype", bad_o_dtype },
    { "q_heads", no_q_heads },
    { "q_heads", negative_q_heads },
    { "kv_heads", no_kv_heads },
    { "q_heads", uneven_heads },
    { "head_dim", no_head_dim },
    { "head_dim", large_head_dim },
    { "v_head_dim", negative_v_head_dim },
    { "v_head_dim", large_v_head_dim },
    { "max_batch", negative_batch },
    { "max_q_len", negative_q_len },
    { "max_kv_len", negative_kv_len },
    { "min_q_len", negative_min_q_len },
    { "min_q_len", large_min_q_len },
    { "max_q_tokens", negative_q_tokens },
    { "max_kv_tokens", negative_kv_tokens },
    { "q_length_mode", bad_q_length_mode },
    { "q_length_mode", unknown_q_length_mode },
    { "kv_length_mode", bad_kv_length_mode },
    { "q.batch", ragged_q_with_batch_stride },
    { "k.batch", ragged_kv_with_batch_stride },
    { "has_kv_lens", lens_without_mode },
    { "q.token", negative_q_stride },
    { "k.head", negative_k_stride },
    { "v.batch", negative_v_stride },
    { "o.head", negative_o_stride },
    { "lse.token", negative_lse_stride },
    { "o.", overlapping_o_heads },
    { "o.", overlapping_o_tokens },
    { "o.", overlapping_o_batches },
    { "o.", overlapping_o_rows },
    { "lse.", overlapping_lse },
    { "k", overflowing_stride },
    { "scale", nan_scale },
    { "scale", infinite_scale },
    { "softcap", nan_softcap },
    { "softcap", infinite_softcap },
    { "softcap", negative_softcap },
    { "window_mode", bad_window_mode },
    { "window_left", bad_window_left },
    { "window_right", bad_window_right },
    { "q_offset_mode", bad_q_offset_mode },
    { "mask_kind", bad_mask_kind },
    { "mask_batch_stride", negative_mask_batch },
    { "mask_head_stride", negative_mask_head },
    { "mask_q_stride", negative_mask_q },
    { "mask_kv_stride", negative_mask_kv },
};

static void check_plan_params(harness *h)
{
    clattn_attention_desc desc = right_desc();
    clattn_plan *plan = NULL;
    clattn_plan_params params = CLATTN_PLAN_PARAMS(.fragment = "frag_unknown");
    expect_invalid(h, "plan_create without device", clattn_plan_create(NULL, &desc, NULL, &plan), "device");
    expect_invalid(h, "plan_create without desc", clattn_plan_create(h->device, NULL, NULL, &plan), "desc");
    expect_invalid(h, "plan_create without out", clattn_plan_create(h->device, &desc, NULL, NULL), "out");
    expect_invalid(h, "unknown fragment", clattn_plan_create(h->device, &desc, &params, &plan), "fragment");
    params = CLATTN_PLAN_PARAMS(.prefill_tile = "tx99");
    expect_invalid(h, "unknown prefill tile", clattn_plan_create(h->device, &desc, &params, &plan), "prefill_tile");
    params = CLATTN_PLAN_PARAMS(.decode_tile = "tx99");
    expect_invalid(h, "unknown decode tile", clattn_plan_create(h->device, &desc, &params, &plan), "decode_tile");
    params = CLATTN_PLAN_PARAMS(.split_size = -64);
    expect_invalid(h, "negative split size", clattn_plan_create(h->device, &desc, &params, &plan), "split_size");
    params = CLATTN_PLAN_PARAMS(.split_size = (1 << 30) + 1);
    expect_invalid(h, "split size over its limit", clattn_plan_create(h->device, &desc, &params, &plan), "split_size");
    params = CLATTN_PLAN_PARAMS(.split_size = 0);
    params.struct_size = 3;
    expect_invalid(h, "params of another size", clattn_plan_create(h->device, &desc, &params, &plan), "struct_size");
    expect_true(h, "a plan that failed is not written", plan == NULL);
    expect(h, "supported", clattn_attention_supported(h->device, &desc, NULL, 0), CLATTN_OK, "");
    expect_invalid(h, "supported without device", clattn_attention_supported(NULL, &desc, NULL, 0), "device");
    expect_invalid(h, "supported without desc", clattn_attention_supported(h->device, NULL, NULL, 0), "desc");
    clattn_plan_destroy(&plan);
    clattn_plan_destroy(NULL);
}

static void check_devices(harness *h)
{
    clattn_device *device = NULL;
    clattn_device_info info;
    clattn_device_params params = CLATTN_DEVICE_PARAMS(.kernel_dir = "/no/such/folder");
    expect_invalid(h, "device_create without context", clattn_device_create(NULL, h->id, NULL, &device), "context");
    expect_invalid(h, "device_create without device", clattn_device_create(h->context, NULL, NULL, &device), "device");
    expect_invalid(h, "device_create without out", clattn_device_create(h->context, h->id, NULL, NULL), "out");
    expect_invalid(h, "no such kernel_dir", clattn_device_create(h->context, h->id, &params, &device), "kernel_dir");
    params = CLATTN_DEVICE_PARAMS(.log_level = (clattn_log_level)9);
    expect_invalid(h, "unknown log_level", clattn_device_create(h->context, h->id, &params, &device), "log_level");
    params.struct_size = 1;
    expect_invalid(h, "device params of another size", clattn_device_create(h->context, h->id, &params, &device),
                   "struct_size");
    expect_true(h, "a device that failed is not written", device == NULL);
    expect_invalid(h, "get_info without device", clattn_device_get_info(NULL, &info), "device");
    expect_invalid(h, "get_info without info", clattn_device_get_info(h->device, NULL), "info");
    clattn_device_destroy(NULL);
    clattn_device_destroy(&device);
}

/* CLATTN_KERNEL_DIR at a folder without kernels: plans cannot be made. */
static void check_empty_kernel_dir(harness *h)
{
    char folder[] = "/tmp/clattn_kernels_XXXXXX";
    clattn_attention_desc desc = right_desc();
    clattn_device *device = NULL;
    clattn_plan *plan = NULL;
    clattn_device_params params =
        CLATTN_DEVICE_PARAMS(.kernel_dir = mkdtemp(folder), .no_disk = 1, .ignore_environment = 1);
    expect(h, "an empty kernel_dir exists", clattn_device_create(h->context, h->id, &params, &device), CLATTN_OK, "");
    expect(h, "and has no kernels", clattn_plan_create(device, &desc, NULL, &plan), CLATTN_IO_ERROR, folder);
    clattn_device_destroy(&device);
    remove(folder);
}

static void check_schedules(harness *h)
{
    static const int32_t three[] = { 3, 3 }, bad_q[] = { 3, 9 }, bad_kv[] = { 25, 3 }, negative[] = { 3, -1 };
    clattn_attention_desc desc = right_desc(), ragged = right_desc();
    clattn_plan *plan = NULL, *packed = NULL;
    clattn_schedule s;
    clattn_lengths right = { .batch = 2, .q_len = 8, .kv_len = 24 }, l = right;
    ragged.q_length_mode = ragged.kv_length_mode = CLATTN_LENGTH_RAGGED;
    ragged.q.batch = ragged.k.batch = ragged.v.batch = ragged.o.batch = ragged.lse.batch = 0;
    expect(h, "plan", clattn_plan_create(h->device, &desc, NULL, &plan), CLATTN_OK, "");
    expect(h, "ragged plan", clattn_plan_create(h->device, &ragged, NULL, &packed), CLATTN_OK, "");
    if (!plan || !packed)
        return;
    expect_invalid(h, "schedule without plan", clattn_schedule_make(NULL, &l, &s), "plan");
    expect_invalid(h, "schedule without lengths", clattn_schedule_make(plan, NULL, &s), "lengths");
    expect_invalid(h, "schedule without out", clattn_schedule_make(plan, &l, NULL), "out");
    l.batch = 3;
    expect_invalid(h, "batch over max_batch", clattn_schedule_make(plan, &l, &s), "batch");
    l.batch = -1;
    expect_invalid(h, "negative batch", clattn_schedule_make(plan, &l, &s), "batch");
    l = right;
    l.q_len = 9;
    expect_invalid(h, "q_len over its bound", clattn_schedule_make(plan, &l, &s), "q_len");
    l.q_len = -1;
    expect_invalid(h, "negative q_len", clattn_schedule_make(plan, &l, &s), "q_len");
    l = right;
    l.kv_len = 25;
    expect_invalid(h, "kv_len over its bound", clattn_schedule_make(plan, &l, &s), "kv_len");
    l.kv_len = -3;
    expect_invalid(h, "negative kv_len", clattn_schedule_make(plan, &l, &s), "kv_len");
    l = right;
    l.q_lens = three;
    expect_invalid(h, "q_lens of a uniform plan", clattn_schedule_make(plan, &l, &s), "q_lens");
    expect(h, "q_lens of a ragged plan", clattn_schedule_make(packed, &l, &s), CLATTN_OK, "");
    l.q_lens = bad_q;
    expect_invalid(h, "a q_lens over its bound", clattn_schedule_make(packed, &l, &s), "q_lens[1]");
    l.q_lens = negative;
    expect_invalid(h, "a negative q_lens", clattn_schedule_make(packed, &l, &s), "q_lens[1]");
    l = right;
    l.kv_lens = three;
    expect_invalid(h, "kv_lens of a uniform plan", clattn_schedule_make(plan, &l, &s), "kv_lens");
    l.kv_lens = bad_kv;
    expect_invalid(h, "a kv_lens over its bound", clattn_schedule_make(packed, &l, &s), "kv_lens[0]");
    clattn_plan_info info;
    expect_invalid(h, "describe without plan", clattn_plan_describe(NULL, &info), "plan");
    expect_invalid(h, "describe without info", clattn_plan_describe(plan, NULL), "info");
    clattn_plan_destroy(&plan);
    clattn_plan_destroy(&packed);
    expect_true(h, "destroy sets NULL", plan == NULL && packed == NULL);
}

/* Packed lengths that are each within their bound, but not together within the buffers'. */
static void check_sums(harness *h)
{
    static const int32_t q_right[] = { 5, 5 }, q_over[] = { 5, 6 }, kv_right[] = { 24, 6 }, kv_over[] = { 24, 7 };
    clattn_attention_desc desc = right_desc();
    clattn_plan *plan = NULL;
    clattn_schedule s;
    clattn_lengths l = { .batch = 2, .q_lens = q_right, .kv_lens = kv_right };
    desc.q_length_mode = desc.kv_length_mode = CLATTN_LENGTH_RAGGED;
    desc.q.batch = desc.k.batch = desc.v.batch = desc.o.batch = desc.lse.batch = 0;
    desc.max_q_tokens = 10;
    desc.max_kv_tokens = 30;
    expect(h, "plan with max_q_tokens", clattn_plan_create(h->device, &desc, NULL, &plan), CLATTN_OK, "");
    if (!plan)
        return;
    expect(h, "as many tokens as there are", clattn_schedule_make(plan, &l, &s), CLATTN_OK, "");
    l.q_lens = q_over;
    expect_invalid(h, "a query token too many", clattn_schedule_make(plan, &l, &s), "max_q_tokens");
    l.q_lens = q_right;
    l.kv_lens = kv_over;
    expect_invalid(h, "a key too many", clattn_schedule_make(plan, &l, &s), "max_kv_tokens");
    clattn_plan_destroy(&plan);
}

static void check_promise(harness *h)
{
    clattn_attention_desc desc = right_desc();
    clattn_plan *plan = NULL;
    clattn_schedule s;
    clattn_lengths l = { .batch = 2, .q_len = 3, .kv_len = 24 };
    desc.min_q_len = 8;
    expect(h, "plan with min_q_len", clattn_plan_create(h->device, &desc, NULL, &plan), CLATTN_OK, "");
    if (plan)
        expect_invalid(h, "a promise broken", clattn_schedule_make(plan, &l, &s), "min_q_len");
    clattn_plan_destroy(&plan);
}

/* Everything that a run may be given, so that each can be spoiled. */
static const char *const full_line =
    "batch=2,hq=4,hk=2,d=16,dv=16,qmode=ragged,kvmode=ragged_lens,q=8,kv=24,omode=array,"
    "mask=add_f32,mform=sequences,alibi=1,sinks=1,split=192,sched=0";

static const args_field args_fields[] = {
    ARGS_FIELD(q, 4),
    ARGS_FIELD(k, 4),
    ARGS_FIELD(v, 4),
    ARGS_FIELD(o, 4),
    ARGS_FIELD(lse, 4),
    ARGS_FIELD(cu_seqlens_q, 4),
    ARGS_FIELD(cu_seqlens_kv, 4),
    ARGS_FIELD(kv_lens, 4),
    ARGS_FIELD(q_offsets, 4),
    ARGS_FIELD(mask, 4),
    ARGS_FIELD(mask_offsets, 8),
    ARGS_FIELD(mask_row_strides, 8),
    ARGS_FIELD(alibi_slopes, 4),
    ARGS_FIELD(sinks, 4),
};

static void check_run_arguments(harness *h, const problem *p, const clattn_plan *plan)
{
    clattn_attention_args args = problem_args(p);
    cl_int code;
    expect_invalid(h, "run without plan", clattn_attention_run(NULL, NULL, &args, h->in_order, 0, NULL, NULL), "plan");
    expect_invalid(h, "run without args", clattn_attention_run(plan, NULL, NULL, h->in_order, 0, NULL, NULL), "args");
    expect_invalid(h, "run without queue", clattn_attention_run(plan, NULL, &args, NULL, 0, NULL, NULL), "queue");
    expect_invalid(h, "a wait list of none", clattn_attention_run(plan, NULL, &args, h->in_order, 1, NULL, NULL),
                   "event_wait_list");
    args.struct_size = 9;
    expect_invalid(h, "args of another size", run_once(h, plan, &args), "struct_size");
    args = problem_args(p);
    clattn_schedule made_up;
    memset(&made_up, 0x11, sizeof(made_up));
    expect_invalid(h, "a made-up schedule", clattn_attention_run(plan, &made_up, &args, h->in_order, 0, NULL, NULL),
                   "schedule");
    memset(&made_up, 0, sizeof(made_up));
    expect_invalid(h, "a schedule of zeros", clattn_attention_run(plan, &made_up, &args, h->in_order, 0, NULL, NULL),
                   "schedule");
    cl_context context = clCreateContext(NULL, 1, &h->id, NULL, NULL, &code);
    cl_command_queue queue = clCreateCommandQueue(context, h->id, 0, &code);
    expect_invalid(h, "a queue of another context", clattn_attention_run(plan, NULL, &args, queue, 0, NULL, NULL),
                   "queue");
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
}

/* Makes plans until one lies where the first did, which is destroyed. Returns it, or NULL; the others go. */
static clattn_plan *plan_at(harness *h, const clattn_attention_desc *desc, uintptr_t address)
{
    clattn_plan *plans[PLANS_TRIED] = { NULL }, *found = NULL;
    for (int n = 0; n < PLANS_TRIED && !found; n++) {
        if (clattn_plan_create(h->device, desc, NULL, &plans[n]) != CLATTN_OK)
            break;
        if ((uintptr_t)plans[n] == address) {
            found = plans[n];
            plans[n] = NULL;
        }
    }
    for (int n = 0; n < PLANS_TRIED; n++)
        clattn_plan_destroy(&plans[n]);
    return found;
}

/* A schedule outlives its plan, and another plan comes to lie at the same address. */
static void check_dead_plan(harness *h)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    clattn_schedule schedule;
    problem p;
    const char *what = "a schedule of a destroyed plan";
    const test_case c = case_from("batch=1,hq=4,hk=2,q=8,kv=24");
    const bool ok = problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out) &&
                    outcome_ok(&out, clattn_schedule_make(plan, &p.lengths, &schedule), "clattn_schedule_make");
    const uintptr_t address = (uintptr_t)plan;
    clattn_plan_destroy(&plan);
    if (ok)
        plan = plan_at(h, &p.desc, address);
    if (plan) {
        const clattn_attention_args args = problem_args(&p);
        expect_invalid(h, what, clattn_attention_run(plan, &schedule, &args, h->in_order, 0, NULL, NULL), "schedule");
    } else {
        outcome_skip(&out, "none of %d plans came to lie at its address", PLANS_TRIED);
        harness_count(h, what, NULL, &out);
    }
    clattn_plan_destroy(&plan);
    problem_free(&p);
}

static void check_workspace(harness *h)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    const test_case c = case_from("batch=1,hq=4,hk=1,q=1,kv=700,split=192,sched=0");
    const args_field field = ARGS_FIELD(workspace, 4);
    bool ok = problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out);
    expect_true(h, "a split plan has a workspace", ok && p.workspace_size > 0);
    if (ok && p.workspace_size > 0)
        check_buffer(h, &p, plan, &field);
    clattn_plan_destroy(&plan);
    problem_free(&p);
}

static void check_runs(harness *h)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    const test_case c = case_from(full_line);
    if (problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out)) {
        const clattn_attention_args args = problem_args(&p);
        expect(h, "a run that is right", run_once(h, plan, &args), CLATTN_OK, "");
        for (int n = 0; n < LENGTH(args_fields); n++)
            check_buffer(h, &p, plan, &args_fields[n]);
        check_run_arguments(h, &p, plan);
        (void)clFinish(h->in_order);
    }
    if (out.verdict != PASSED)
        harness_count(h, full_line, NULL, &out);
    clattn_plan_destroy(&plan);
    problem_free(&p);
}

static void check_names(harness *h)
{
    expect_true(h, "names of statuses",
                strcmp(clattn_status_name(CLATTN_IO_ERROR), "CLATTN_IO_ERROR") == 0 &&
                    strcmp(clattn_status_name(CLATTN_CANCELLED), "CLATTN_CANCELLED") == 0 &&
                    strcmp(clattn_status_name((clattn_status)7), "unknown status") == 0);
    expect_true(h, "names of dtypes",
                strcmp(clattn_dtype_name(CLATTN_BF16), "bf16") == 0 &&
                    strcmp(clattn_dtype_name(CLATTN_Q4_0), "q4_0") == 0 &&
                    clattn_dtype_name((clattn_dtype)CLATTN_DTYPE_COUNT) == NULL);
    expect_true(h, "sizes of dtypes",
                clattn_dtype_size(CLATTN_F32) == 4 && clattn_dtype_size(CLATTN_Q8_0) == 34 &&
                    clattn_dtype_size((clattn_dtype)-1) == 0);
    expect_true(h, "blocks of dtypes",
                clattn_dtype_block_len(CLATTN_FP8) == 1 && clattn_dtype_block_len(CLATTN_Q4_0) == 32 &&
                    clattn_dtype_block_len((clattn_dtype)CLATTN_DTYPE_COUNT) == 0);
    expect_true(h, "alignments of dtypes",
                clattn_dtype_alignment(CLATTN_FP8) == 1 && clattn_dtype_alignment(CLATTN_Q8_0) == 2 &&
                    clattn_dtype_alignment((clattn_dtype)-1) == 0);
}

void suite_errors(harness *h)
{
    const clattn_attention_desc desc = right_desc();
    check_names(h);
    check_devices(h);
    check_empty_kernel_dir(h);
    check_descriptions(h, &desc, desc_errors, LENGTH(desc_errors));
    check_plan_params(h);
    check_schedules(h);
    check_sums(h);
    check_promise(h);
    check_runs(h);
    check_dead_plan(h);
    check_workspace(h);
}
