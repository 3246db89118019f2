/* SPDX-License-Identifier: BSD-2-Clause */
/* Results over pages that have to agree to the last bit, and the workspace, from which the split size may come. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define RUNS          250
#define SPLIT         192

/* One type and one pair of dims, so that all of it has one program a fragment. */
#define SHAPE "hq=4,hk=2,d=64,dv=64"

/* Other orders of the pool, forms of tables, layouts and sizes of pages. */
static void check_placement(harness *h, const char *lengths, const char *rest)
{
    static const char *const others[] = {
        "kvform=table,page=16,shuffle=1",
        "kvform=table,page=16,shuffle=2,pform=head",
        "kvform=heads,page=16",
        "kvform=heads,page=7,shuffle=3,gap=1",
        "kvform=list,page=16,shuffle=4,shift=2",
        "kvform=list,page=1,pform=head",
        "kvform=table,page=256,sched=0",
        "kvform=table,page=3,slack=9",
    };
    char alone[256], line[256];
    snprintf(alone, sizeof(alone), "lens=%s,%s,kvform=table,page=16", lengths, rest);
    for (int n = 0; n < LENGTH(others); n++) {
        snprintf(line, sizeof(line), "lens=%s,%s,%s", lengths, rest, others[n]);
        check_same(h, alone, line, 0);
    }
}

/* Holes too: which entries are some depends on the sequence alone. */
static void check_fragment(harness *h, const char *fragment)
{
    char line[256];
    snprintf(line, sizeof(line), SHAPE ",causal=1,split=192,kvform=table,page=16,frag=%s", fragment);
    check_invariance(h, "37:203", line);
    check_invariance(h, "1:777", line);
    snprintf(line, sizeof(line), SHAPE ",causal=1,split=192,kvform=list,page=7,holes=some,frag=%s", fragment);
    check_invariance(h, "2:513", line);
    snprintf(line, sizeof(line), SHAPE ",causal=1,split=192,kvform=heads,page=3,frag=%s", fragment);
    check_invariance(h, "33:150", line);
    snprintf(line, sizeof(line), SHAPE ",causal=1,split=192,frag=%s", fragment);
    check_placement(h, "37:203", line);
    check_placement(h, "1:777", line);
}

/* A plan's split size comes from bounds and cap, which these have in common; the order of sequences differs. */
static void check_capped_bits(harness *h)
{
    static const char *const caps[] = { "cap=1", "cap=6000", "cap=12000", "cap=30000" };
    static const char *const first = SHAPE ",causal=1,split=64,kvform=table,page=16,lens=1:700+37:203+3:90+2:1000";
    static const char *const last = SHAPE ",causal=1,split=64,kvform=table,page=16,lens=37:203+2:1000+3:90+1:700";
    static const char *const others[] = { "sched=1", "sched=0" };
    for (int n = 0; n < LENGTH(caps); n++) {
        for (int m = 0; m < LENGTH(others); m++) {
            char alone[256], line[256];
            snprintf(alone, sizeof(alone), "%s,%s", first, caps[n]);
            snprintf(line, sizeof(line), "%s,%s,%s", last, caps[n], others[m]);
            check_same(h, alone, line, 3);
        }
    }
}

static bool same_bits(const unsigned char *a, const unsigned char *b, size_t size)
{
    return a && b && size > 0 && memcmp(a, b, size) == 0;
}

/* One plan with a cap: its first sequence alone, and with all others. */
static void check_alone_in_plan(harness *h, const char *line)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    unsigned char *together = NULL, *alone = NULL;
    const test_case c = case_from(line);
    if (problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out) &&
        step_run(h, &p, plan, &out)) {
        step_verify(&p, &out);
        const size_t size = problem_extract(&p, MEM_O, 0, NULL);
        together = malloc(size);
        alone = malloc(size);
        if (together)
            problem_extract(&p, MEM_O, 0, together);
        p.lengths.batch = 1;
        if (step_run(h, &p, plan, &out) && alone)
            problem_extract(&p, MEM_O, 0, alone);
        if (!same_bits(together, alone, size))
            outcome_fail(&out, "the bits of the first sequence alone differ");
    } else {
        outcome_fail(&out, "no memory");
    }
    free(together);
    free(alone);
    clattn_plan_destroy(&plan);
    problem_free(&p);
    harness_count(h, line, NULL, &out);
}

/* What attention.h says of max_workspace_size, from a plan's own figures. */
static size_t partial_bytes(const clattn_attention_desc *d, const clattn_plan_info *info, int64_t split_size)
{
    const int64_t group = d->q_heads / d->kv_heads, most = info->decode_max_rows / group;
    const int64_t rows = (most < d->max_q_len ? most : d->max_q_len) * group;
    const int64_t splits = (d->max_kv_len + split_size - 1) / split_size;
    return splits > 1 ? (size_t)(d->max_batch * d->kv_heads * rows * splits * (d->v_head_dim + 2)) * sizeof(float) : 0;
}

static bool describe(harness *h, const clattn_attention_desc *desc, int32_t split, size_t cap, clattn_plan_info *info)
{
    clattn_plan *plan = NULL;
    const clattn_plan_params params = CLATTN_PLAN_PARAMS(.split_size = split, .max_workspace_size = cap);
    const clattn_status status = clattn_plan_create(h->device, desc, &params, &plan);
    expect(h, "a plan with a cap", status, CLATTN_OK, "");
    const bool described = status == CLATTN_OK && clattn_plan_describe(plan, info) == CLATTN_OK;
    clattn_plan_destroy(&plan);
    return described;
}

static void check_cap(harness *h, const clattn_attention_desc *desc, size_t cap)
{
    clattn_plan_info uncapped, capped;
    char what[96];
    if (!describe(h, desc, SPLIT, 0, &uncapped) || !describe(h, desc, SPLIT, cap, &capped))
        return;
    int64_t split = uncapped.split_size;
    while (split < desc->max_kv_len && partial_bytes(desc, &uncapped, split) > cap)
        split *= 2;
    snprintf(what, sizeof(what), "a cap of %zu bytes: the split size is doubled to %" PRId64 ", not %" PRId32, cap,
             split, capped.split_size);
    expect_true(h, what, capped.split_size == split);
    snprintf(what, sizeof(what), "a cap of %zu bytes: the workspace is %zu", cap, capped.workspace_size);
    expect_true(h, what, capped.workspace_size == partial_bytes(desc, &capped, split) && capped.workspace_size <= cap);
}

/* Partial states and nothing else: no copy of K and V. */
static void check_workspace(harness *h, const clattn_attention_desc *paged)
{
    static const int32_t lengths[] = { 1024, 65536 };
    for (int n = 0; n < LENGTH(lengths); n++) {
        char what[96];
        clattn_plan_info of_pages, of_tensors;
        clattn_attention_desc desc = *paged;
        desc.max_kv_len = lengths[n];
        desc.max_pages = 0;
        desc.block_table_stride = 0;
        const bool pages = describe(h, &desc, 0, 0, &of_pages);
        desc.kv_mode = CLATTN_KV_CONTIGUOUS;
        if (!pages || !describe(h, &desc, 0, 0, &of_tensors))
            return;
        snprintf(what, sizeof(what), "at %" PRId32 " keys the workspace is the splits' %zu bytes", lengths[n],
                 of_pages.workspace_size);
        expect_true(h, what, of_pages.workspace_size == partial_bytes(&desc, &of_pages, of_pages.split_size));
        snprintf(what, sizeof(what), "at %" PRId32 " keys pages need what tensors do, %zu", lengths[n],
                 of_tensors.workspace_size);
        expect_true(h, what,
                    of_pages.workspace_size == of_tensors.workspace_size &&
                        of_pages.split_size == of_tensors.split_size);
    }
}

static void check_plans(harness *h)
{
    const test_case c = case_from(SHAPE ",causal=1,kvform=table,page=16,lens=37:203+2:1000+3:90+1:700");
    problem p;
    if (problem_make(&p, &c)) {
        clattn_plan_info info;
        check_workspace(h, &p.desc);
        if (describe(h, &p.desc, SPLIT, 0, &info)) {
            const size_t caps[] = {
                1,       info.workspace_size / 4, info.workspace_size / 2, info.workspace_size - 1, info.workspace_size,
                SIZE_MAX
            };
            for (int n = 0; n < LENGTH(caps); n++)
                check_cap(h, &p.desc, caps[n]);
        }
    } else {
        expect_true(h, "there is memory", false);
    }
    problem_free(&p);
}

void suite_paged_bits(harness *h)
{
    check_repeats(h, SHAPE ",causal=1,batch=2,q=70,kv=131,kvform=table,page=16", RUNS);
    check_repeats(h, SHAPE ",causal=1,batch=2,q=1,kv=900,split=192,sinks=1,kvform=list,page=16", RUNS);
    check_fragment(h, "frag_lanes");
    check_fragment(h, "frag_scalar");
    check_capped_bits(h);
    check_alone_in_plan(h, SHAPE ",causal=1,kvform=table,page=16,split=64,cap=12000,lens=1:700+37:203+3:90+2:1000");
    check_plans(h);
}
