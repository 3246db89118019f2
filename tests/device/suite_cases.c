/* SPDX-License-Identifier: BSD-2-Clause */
/* Suites that are lists of cases. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "covering.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

test_case case_from(const char *line)
{
    char message[128];
    test_case c = case_default();
    if (!case_parse(&c, line, message, sizeof(message)))
        abort(); /* a line of this program is mistyped */
    case_normalize(&c);
    return c;
}

void run_line(harness *h, const test_case *base, const char *line)
{
    char message[160];
    test_case c = *base;
    if (!case_parse(&c, line, message, sizeof(message))) {
        outcome out = { PASSED, "", 0, 0.0 };
        outcome_fail(&out, "%s", message);
        harness_count(h, line, line, &out);
        return;
    }
    case_normalize(&c);
    harness_run(h, &c);
}

/* Programs are what time goes into: a driver takes up to seconds for each. So what is compiled in, types and head dims,
 * is one factor by default. Its nine values are an orthogonal array: each two types of each two tensors come together.
 */
static const covering_factor programs_of_lanes = { {
    "qt=f32,kt=f32,vt=f32,ot=f32,d=64,dv=64",
    "qt=f32,kt=f16,vt=f16,ot=bf16,d=7,dv=64",
    "qt=f32,kt=bf16,vt=bf16,ot=f16,d=128,dv=16",
    "qt=f16,kt=f32,vt=f16,ot=f16,d=64,dv=111",
    "qt=f16,kt=f16,vt=bf16,ot=f32,d=80,dv=16",
    "qt=f16,kt=bf16,vt=f32,ot=bf16,d=40,dv=40",
    "qt=bf16,kt=f32,vt=bf16,ot=bf16,d=64,dv=64",
    "qt=bf16,kt=f16,vt=f32,ot=f16,d=128,dv=128",
    "qt=bf16,kt=bf16,vt=f16,ot=f32,d=33,dv=17",
} };
/* Kernels with barriers take PoCL ten times as long. */
static const covering_factor programs_of_scalar = { {
    "qt=f32,kt=f32,vt=f32,ot=f32,d=64,dv=64",
    "qt=f16,kt=bf16,vt=f32,ot=f16,d=24,dv=40",
    "qt=bf16,kt=f16,vt=f16,ot=bf16,d=41,dv=32",
} };

/* For tensor cores: types of Q, K and V, and head dims of one size class, of several, and at their ends. */
static const covering_factor programs_of_tensor_cores[] = {
    { { "qt=f16,kt=f16,vt=f16,ot=f16", "qt=bf16,kt=bf16,vt=bf16,ot=bf16" } },
    { { "d=64,dv=64", "d=128,dv=128", "d=7,dv=9", "d=72,dv=80", "d=112,dv=16", "d=192,dv=128", "d=256,dv=256" } },
};

static const covering_factor compiled[] = {
    { { "qt=f32", "qt=f16", "qt=bf16" } },
    { { "kt=f32", "kt=f16", "kt=bf16" } },
    { { "vt=f32", "vt=f16", "vt=bf16" } },
    { { "ot=f32", "ot=f16", "ot=bf16" } },
    { { "d=7", "d=64", "d=80", "d=128", "d=192" } },
    { { "dv=16", "dv=64", "dv=111", "dv=128" } },
    { { "minq=0", "minq=1" } },
    { { "frag=frag_lanes", "frag=frag_scalar" } },
};

static const covering_factor arguments[] = {
    { { "batch=1", "batch=2", "batch=3" } },
    { { "hq=1,hk=1", "hq=5,hk=5", "hq=6,hk=2", "hq=7,hk=1", "hq=16,hk=1" } },
    { { "q=1,kv=1", "q=1,kv=203", "q=5,kv=97", "q=37,kv=37", "q=70,kv=131", "q=131,kv=70", "q=2,kv=513" } },
    { { "qmode=uniform,kvmode=uniform,layout=bshd", "qmode=uniform,kvmode=uniform,layout=bhsd",
        "qmode=uniform,kvmode=uniform,layout=qkv", "qmode=uniform,kvmode=per_sequence,layout=bshd",
        "qmode=uniform,kvmode=per_sequence,layout=mla", "qmode=ragged,kvmode=ragged,layout=bshd",
        "qmode=ragged,kvmode=ragged_lens,layout=bhsd", "qmode=ragged,kvmode=ragged,layout=qkv",
        "qmode=ragged,kvmode=per_sequence,layout=bshd", "qmode=uniform,kvmode=ragged,layout=mla" } },
    { { "mix=0", "mix=1" } },
    { { "slack=0", "slack=5" } },
    { { "gap=0", "gap=3" } },
    { { "shift=0", "shift=1", "shift=16" } },
    { { "causal=0", "causal=1" } },
    { { "wmode=none", "wmode=lr,wl=0,wr=0", "wmode=lr,wl=20,wr=-1", "wmode=lr,wl=-1,wr=11", "wmode=lr,wl=33,wr=5" } },
    { { "omode=bottom_right", "omode=constant,offset=0", "omode=constant,offset=-9", "omode=constant,offset=40",
        "omode=array,offset=7" } },
    { { "mask=none", "mask=bool", "mask=add_f32", "mask=add_f16" } },
    { { "mform=bhqk", "mform=bqk", "mform=hqk", "mform=qk", "mform=k", "mform=q", "mform=transposed",
        "mform=sequences" } },
    { { "empty=0", "empty=1" } },
    { { "softcap=0", "softcap=15" } },
    { { "scale=0", "scale=0.3", "scale=-0.2" } },
    { { "alibi=0", "alibi=1" } },
    { { "sinks=0", "sinks=1" } },
    { { "lse=0", "lse=1" } },
    { { "values=normal", "values=huge", "values=poison", "values=nan", "values=inf" } },
    { { "split=0", "split=192" } },
    { { "sched=0", "sched=1" } },
    { { "ooo=0", "ooo=1" } },
};

static const covering_factor modifiers[] = {
    { { "causal=0", "causal=1" } },
    { { "wmode=none", "wmode=lr,wl=3,wr=-1", "wmode=lr,wl=-1,wr=2", "wmode=lr,wl=5,wr=0" } },
    { { "omode=bottom_right", "omode=constant,offset=0", "omode=constant,offset=-4", "omode=array,offset=5" } },
    { { "mask=none", "mask=bool", "mask=add_f32", "mask=add_f16" } },
    { { "empty=0", "empty=1" } },
    { { "softcap=0", "softcap=2.5" } },
    { { "alibi=0", "alibi=1" } },
    { { "sinks=0", "sinks=1" } },
    { { "values=normal", "values=poison" } },
    { { "q=2,kv=37", "q=33,kv=37" } },
    { { "frag=frag_lanes", "frag=frag_scalar" } },
};

/* The same for tensor cores. */
static const covering_factor types_of_tensor_cores = { { "qt=f16,kt=f16,vt=f16,ot=f16",
                                                         "qt=bf16,kt=bf16,vt=bf16,ot=bf16" } };
static const covering_factor tensor_cores = { { "frag=frag_nv_wgmma", "frag=frag_nv_mma" } };

void run_covering(harness *h, const covering_factor *factors, int count, int strength, const test_case *base, int most)
{
    covering_array array;
    if (!covering_build(factors, count, strength, base, 20, &array)) {
        outcome out = { PASSED, "", 0, 0.0 };
        outcome_fail(&out, "no memory for the covering array");
        harness_count(h, "covering", NULL, &out);
        return;
    }
    printf("# %s: %d cases cover %ld combinations of %d; %ld exclude each other\n", h->suite, array.count,
           array.covered, strength, array.excluded);
    if (most == 0 || most > array.count)
        most = array.count;
    for (int n = h->part; n < most; n += h->parts)
        harness_run(h, &array.cases[(long)n * array.count / most]);
    free(array.cases);
}

#define MAX_FACTORS (LENGTH(compiled) + LENGTH(arguments))

void draw(harness *h, int count, int keep, bool *chosen)
{
    for (int n = 0; n < count; n++) {
        chosen[n] = h->full || ref_random_range(&h->draws, 0, count - n - 1) < keep;
        keep -= chosen[n];
    }
}

covering_factor draw_values(harness *h, const covering_factor *of, int first_kept, int kept_count, int more)
{
    covering_factor drawn = { { NULL } };
    bool chosen[COVERING_MAX_VALUES];
    int count = 0, kept = 0;
    while (of->values[count])
        count++;
    draw(h, count - kept_count, more, chosen);
    for (int n = 0, other = 0; n < count; n++)
        if ((n >= first_kept && n < first_kept + kept_count) || chosen[other++])
            drawn.values[kept++] = of->values[n];
    return drawn;
}

/* The array of arguments and of what is compiled; `most` cases of it, 0: all. */
static void run_pairs(harness *h, const covering_factor *programs, int count, const char *base_line, int most)
{
    covering_factor factors[MAX_FACTORS];
    const test_case base = case_from(base_line);
    memcpy(factors, programs, (size_t)count * sizeof(*factors));
    memcpy(factors + count, arguments, sizeof(arguments));
    run_covering(h, factors, count + LENGTH(arguments), 2, &base, most);
}

/* One row of the orthogonal array's three blocks each, at three places: so every type of Q and every type of K comes,
 * and V's or O's. With --full all. */
static covering_factor draw_programs_of_lanes(harness *h)
{
    enum { BLOCK = 3, BLOCKS = 3 };
    covering_factor drawn = { { NULL } };
    if (h->full)
        return programs_of_lanes;
    const int at = (int)ref_random_range(&h->draws, 0, BLOCK - 1), step = (int)ref_random_range(&h->draws, 1, 2);
    for (int n = 0; n < BLOCKS; n++)
        drawn.values[n] = programs_of_lanes.values[n * BLOCK + (at + n * step) % BLOCK];
    return drawn;
}

void suite_pairwise(harness *h)
{
    const covering_factor lanes = draw_programs_of_lanes(h);
    const covering_factor scalar = draw_values(h, &programs_of_scalar, 0, 0, 1);
    if (h->full)
        run_pairs(h, compiled, LENGTH(compiled), "", 0);
    run_pairs(h, &lanes, 1, "frag=frag_lanes,minq=1", 0);
    run_pairs(h, &scalar, 1, "frag=frag_scalar,minq=1", 0);
}

void suite_tensor_cores(harness *h)
{
    run_pairs(h, programs_of_tensor_cores, LENGTH(programs_of_tensor_cores), "frag=frag_nv_wgmma", 0);
    run_pairs(h, programs_of_tensor_cores, LENGTH(programs_of_tensor_cores), "frag=frag_nv_mma", 0);
}

void suite_sanitize(harness *h)
{
    const covering_factor lanes = draw_programs_of_lanes(h);
    const covering_factor scalar = draw_values(h, &programs_of_scalar, 0, 0, 1);
    run_pairs(h, &lanes, 1, "frag=frag_lanes,minq=1", 10);
    run_pairs(h, &scalar, 1, "frag=frag_scalar,minq=1", 4);
}

void suite_masks3(harness *h)
{
    const test_case base = case_from("batch=2,hq=2,hk=1,d=8,dv=8,mform=bhqk");
    run_covering(h, modifiers, LENGTH(modifiers), 3, &base, 0);
}

void suite_tensor_core_masks(harness *h)
{
    covering_factor factors[LENGTH(modifiers) + 1];
    const test_case base = case_from("batch=2,hq=2,hk=1,d=8,dv=8,mform=bhqk");
    memcpy(factors, modifiers, sizeof(modifiers));
    factors[LENGTH(modifiers) - 1] = tensor_cores;
    factors[LENGTH(modifiers)] = types_of_tensor_cores;
    run_covering(h, factors, LENGTH(factors), 3, &base, 0);
}

void run_lines(harness *h, const char *base_line, const char *const *lines, int count)
{
    const test_case base = case_from(base_line);
    for (int n = 0; n < count; n++)
        run_line(h, &base, lines[n]);
}

/* Few programs, each launched with the awkward lengths. */
static const char *const tiny_lines[] = {
    "q=33,kv=48,minq=1",
    "q=48,kv=33,minq=1,values=poison,gap=1,shift=3",
    "q=20,kv=47,minq=1,causal=1,values=poison",
    "q=40,kv=40,minq=1,wmode=lr,wl=7,wr=3,qt=f16,kt=f16,vt=f16,ot=f16",
    "batch=2,qmode=ragged,kvmode=ragged,mix=1,q=18,kv=30,minq=1,causal=1,sinks=1,qt=bf16,kt=bf16,vt=bf16,ot=bf16",
    "q=17,kv=35,minq=1,mask=bool,empty=1,softcap=5,alibi=1,values=poison",
    "q=19,kv=30,minq=1,mask=add_f16,mform=sequences,qmode=ragged,kvmode=ragged_lens,gap=2",
    "q=1,kv=48,d=7,dv=5",
    "q=2,kv=48,split=192,values=poison,shift=1",
    "batch=3,kvmode=per_sequence,mix=1,q=1,kv=48,mask=add_f32,mform=k,sinks=1,qt=f16,kt=f16,vt=f16,ot=f16",
    "batch=2,q=3,kv=0",
};

void suite_tiny(harness *h)
{
    run_lines(h, "hq=2,hk=1,frag=frag_lanes", tiny_lines, LENGTH(tiny_lines));
    run_lines(h, "hq=2,hk=1,frag=frag_scalar", tiny_lines, LENGTH(tiny_lines));
}

static const char *const small_lines[] = {
    "q=33,kv=64,minq=1,values=poison",
    "q=64,kv=33,minq=1,d=64,dv=64,causal=1,gap=3,shift=1",
    "q=40,kv=64,minq=1,d=40,dv=33,layout=bhsd,qt=f16,kt=f16,vt=f16,ot=f16",
    "q=40,kv=64,minq=1,d=40,dv=33,layout=mla,qt=bf16,kt=bf16,vt=bf16,ot=bf16",
    "batch=3,qmode=ragged,kvmode=ragged,mix=1,q=31,kv=50,minq=1,causal=1,wmode=lr,wl=9,wr=4,sinks=1",
    "q=31,kv=64,minq=1,mask=bool,mform=bhqk,empty=1,softcap=5,alibi=1,values=nan",
    "q=31,kv=64,minq=1,mask=add_f32,mform=transposed,values=huge",
    "q=31,kv=64,minq=1,mask=add_f16,mform=k,values=inf",
    "q=1,kv=64,values=poison",
    "q=2,kv=64,d=64,dv=64,causal=1",
    "q=3,kv=63,d=17,dv=31,qt=f16,kt=bf16,vt=f32,ot=f16,alibi=1",
    "batch=3,kvmode=per_sequence,mix=1,q=1,kv=60,sinks=1,sched=0",
    "batch=2,q=4,kv=0,sinks=1",
    "lens=1:37+5:18+0:9+12:29,causal=1,values=poison",
};

void suite_small(harness *h)
{
    run_lines(h, "hq=4,hk=2,frag=frag_scalar", small_lines, LENGTH(small_lines));
}
