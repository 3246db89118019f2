/* SPDX-License-Identifier: BSD-2-Clause */
/* Results that have to agree to the last bit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define RUNS          50

/* What one sequence of one run left in O and LSE. */
typedef struct bits {
    unsigned char *data;
    size_t size;
} bits;

static bool extract(const problem *p, int32_t b, bits *out)
{
    size_t o_size = problem_extract(p, MEM_O, b, NULL);
    out->size = o_size + (p->c.lse ? problem_extract(p, MEM_LSE, b, NULL) : 0);
    out->data = malloc(out->size + 1);
    if (!out->data)
        return false;
    problem_extract(p, MEM_O, b, out->data);
    if (p->c.lse)
        problem_extract(p, MEM_LSE, b, out->data + o_size);
    return true;
}

static bool equal(const bits *a, const bits *b)
{
    return a->size == b->size && a->size > 0 && memcmp(a->data, b->data, a->size) == 0;
}

/* Makes, plans, runs and checks a case, and takes the bits of sequence b. */
static bool run_for_bits(harness *h, const test_case *c, int32_t b, bits *out_bits, outcome *out)
{
    problem p;
    clattn_plan *plan = NULL;
    bool ok =
        problem_make(&p, c) && step_upload(h, &p, out) && step_plan(h, &p, &plan, out) && step_run(h, &p, plan, out);
    if (ok) {
        step_verify(&p, out);
        ok = extract(&p, b, out_bits);
    }
    clattn_plan_destroy(&plan);
    problem_free(&p);
    return ok;
}

void check_repeats(harness *h, const char *line, int runs)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    bits first = { NULL, 0 };
    problem p;
    const test_case c = case_from(line);
    bool ok = problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out);
    for (int n = 0; ok && n < runs && out.verdict == PASSED; n++) {
        bits now = { NULL, 0 };
        ok = step_run(h, &p, plan, &out) && extract(&p, 0, n == 0 ? &first : &now);
        if (ok && n == 0)
            step_verify(&p, &out);
        else if (ok && !equal(&first, &now))
            outcome_fail(&out, "run %d gave other bits than the first", n + 1);
        free(now.data);
    }
    free(first.data);
    clattn_plan_destroy(&plan);
    problem_free(&p);
    harness_count(h, line, NULL, &out);
}

void check_same(harness *h, const char *alone, const char *line, int32_t b)
{
    outcome out = { PASSED, "", 0, 0.0 };
    bits want = { NULL, 0 }, got = { NULL, 0 };
    char name[512];
    const test_case first = case_from(alone), second = case_from(line);
    snprintf(name, sizeof(name), "%s and sequence %d of %s", alone, (int)b, line);
    if (run_for_bits(h, &first, 0, &want, &out) && run_for_bits(h, &second, b, &got, &out) && !equal(&want, &got))
        outcome_fail(&out, "the bits differ");
    free(want.data);
    free(got.data);
    harness_count(h, name, NULL, &out);
}

void check_invariance(harness *h, const char *lengths, const char *rest)
{
    static const char *const around[][2] = {
        /* before, after */
        { "", "" },
        { "", "+129:63" },
        { "5:18+", "+0:9+1:1" },
        { "64:600+3:0+", "" },
    };
    static const char *const other[] = { "sched=1", "sched=0", "sched=1,slack=70", "sched=0,slack=7", "sched=1,ooo=1" };
    char alone[256], line[512];
    snprintf(alone, sizeof(alone), "lens=%s,%s", lengths, rest);
    for (int n = 0; n < LENGTH(around); n++) {
        int32_t b = 0;
        for (const char *at = around[n][0]; *at != '\0'; at++)
            b += *at == '+';
        for (int m = 0; m < LENGTH(other); m++) {
            if (n == 0 && m == 0)
                continue;
            if (!h->full && n > 0 && m != n && m != 0)
                continue;
            snprintf(line, sizeof(line), "lens=%s%s%s,%s,%s", around[n][0], lengths, around[n][1], rest, other[m]);
            check_same(h, alone, line, b);
        }
    }
}

void suite_bits(harness *h)
{
    static const char *const prefill = "batch=2,hq=4,hk=2,d=64,dv=64,q=70,kv=131,causal=1";
    static const char *const decode = "batch=2,hq=4,hk=1,d=64,dv=64,q=1,kv=900,split=192,sinks=1";
    static const char *const fragments[] = { "frag_lanes", "frag_scalar", "frag_nv_wgmma", "frag_nv_mma" };
    for (int f = 0; f < LENGTH(fragments); f++) {
        char line[256];
        snprintf(line, sizeof(line), "%s,frag=%s", prefill, fragments[f]);
        check_repeats(h, line, RUNS);
        snprintf(line, sizeof(line), "%s,frag=%s", decode, fragments[f]);
        check_repeats(h, line, RUNS);
        snprintf(line, sizeof(line), "hq=4,hk=2,d=64,dv=64,causal=1,frag=%s", fragments[f]);
        check_invariance(h, "37:203", line);
        check_invariance(h, "1:777", line);
        snprintf(line, sizeof(line),
                 "hq=2,hk=1,d=40,dv=24,mask=add_f32,mform=sequences,kvmode=ragged_lens,frag=%s,"
                 "qt=f16,kt=f16,vt=f16,ot=f16",
                 fragments[f]);
        check_invariance(h, "33:150", line);
    }
    /* A uniform batch against its own kind alone. */
    check_same(h, "q=37,kv=203,hq=4,hk=2,d=64,dv=64", "batch=3,q=37,kv=203,hq=4,hk=2,d=64,dv=64,slack=9", 2);
    check_same(h, "q=1,kv=777,hq=16,hk=8,d=64,dv=64",
               "batch=3,kvmode=per_sequence,q=1,kv=777,hq=16,hk=8,d=64,dv=64,slack=9", 2);
    check_same(h, "q=1,kv=777,hq=4,hk=2,d=64,dv=64",
               "batch=3,kvmode=per_sequence,q=1,kv=777,hq=4,hk=2,d=64,dv=64,slack=9", 2);
}
