/* SPDX-License-Identifier: BSD-2-Clause */
/* K and V in pages: every parameter beside every other, and the same bits as K and V in tensors. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "covering.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* What is compiled in, as few as have every type of cache. Programs are what time goes into, so the lists
 * further down use these too. */
static const covering_factor programs_of_lanes = { {
    "qt=f32,kt=f32,vt=f32,ot=f32,d=64,dv=64",
    "qt=f16,kt=f16,vt=bf16,ot=f16,d=96,dv=17",
    "qt=bf16,kt=q4_0,vt=fp8,ot=bf16,d=128,dv=24",
    "qt=f32,kt=fp8,vt=q8_0,ot=f16,d=7,dv=64",
    "qt=f32,kt=q8_0,vt=q4_0,ot=f32,d=64,dv=64",
} };
/* Rows of it that have every type as K or as V, beside one that is drawn. */
enum { FIRST_KEPT = 2, KEPT = 2 };

static const covering_factor programs_of_scalar = { {
    "qt=f16,kt=fp8,vt=q4_0,ot=f16,d=24,dv=32",
    "qt=bf16,kt=q8_0,vt=bf16,ot=bf16,d=64,dv=40",
} };

static const covering_factor programs_of_tensor_cores = { {
    "qt=f16,kt=f16,vt=f16,ot=f16,d=64,dv=64",
    "qt=bf16,kt=bf16,vt=bf16,ot=bf16,d=128,dv=128",
    "qt=f16,kt=f16,vt=f16,ot=f16,d=80,dv=24",
} };

/* For the one that makes operands of blocks. */
static const covering_factor programs_of_blocks = { {
    "qt=f16,kt=q8_0,vt=q8_0,ot=f16,d=128,dv=128",
    "qt=bf16,kt=q8_0,vt=q4_0,ot=bf16,d=64,dv=64",
    "qt=f16,kt=q4_0,vt=f16,ot=f16,d=96,dv=40",
    "qt=bf16,kt=bf16,vt=q8_0,ot=bf16,d=24,dv=32",
    "qt=f16,kt=q8_0,vt=q4_0,ot=f16,d=256,dv=160",
} };

static const covering_factor arguments[] = {
    { { "kvform=table,kvmode=uniform", "kvform=table,kvmode=per_sequence", "kvform=heads,kvmode=per_sequence",
        "kvform=list" } },
    { { "page=1", "page=3", "page=7", "page=16", "page=32", "page=64", "page=128", "page=256" } },
    { { "pform=token", "pform=head" } },
    { { "holes=none", "holes=some", "holes=bad" } },
    { { "batch=1", "batch=3" } },
    { { "hq=1,hk=1", "hq=4,hk=1", "hq=8,hk=2", "hq=7,hk=1", "hq=8,hk=1" } },
    { { "q=1,kv=1", "q=1,kv=203", "q=5,kv=97", "q=37,kv=37", "q=70,kv=257", "q=2,kv=513", "q=131,kv=70" } },
    { { "qmode=uniform", "qmode=ragged" } },
    { { "mix=0", "mix=1" } },
    { { "layout=bshd", "layout=mla" } },
    { { "slack=0", "slack=5" } },
    { { "gap=0", "gap=3" } },
    { { "shift=0", "shift=2" } },
    { { "causal=0", "causal=1" } },
    { { "wmode=none", "wmode=lr,wl=20,wr=-1", "wmode=lr,wl=33,wr=5" } },
    { { "mask=none", "mask=bool", "mask=bits", "mask=add_f32" } },
    { { "mform=bhqk", "mform=qk", "mform=sequences" } },
    { { "softcap=0", "softcap=15" } },
    { { "alibi=0", "alibi=1" } },
    { { "sinks=0", "sinks=1" } },
    { { "values=normal", "values=huge", "values=poison", "values=nan", "values=inf" } },
    { { "split=0", "split=192" } },
    { { "cap=0", "cap=3000" } },
    { { "sched=0", "sched=1" } },
    { { "ooo=0", "ooo=1" } },
};

static void run_pairs(harness *h, const covering_factor *programs, const char *base_line, int most)
{
    covering_factor factors[1 + LENGTH(arguments)];
    const test_case base = case_from(base_line);
    factors[0] = *programs;
    memcpy(factors + 1, arguments, sizeof(arguments));
    run_covering(h, factors, LENGTH(factors), 2, &base, most);
}

static void check_as_dense(harness *h, const char *base_line, const char *form, int32_t page_size, const char *rest)
{
    char dense[256], paged[256];
    snprintf(dense, sizeof(dense), "%s,%s", base_line, rest);
    snprintf(paged, sizeof(paged), "%s,%s,%s,page=%" PRId32, base_line, rest, form, page_size);
    check_same(h, dense, paged, 0);
}

/* The contract's page sizes, forms of tables and of pages, with the lengths at a page's edge and beside. */
static void run_as_dense(harness *h, const char *fragment, const char *types)
{
    static const int32_t page_sizes[] = { 1, 3, 7, 16, 32, 64, 128, 256 };
    static const char *const forms[] = { "kvform=table", "kvform=list,pform=head", "kvform=heads,pform=head",
                                         "kvform=table,kvmode=per_sequence,gap=2,shift=1" };
    static const char *const lengths[] = { "q=37,kv=255", "q=1,kv=256,split=192", "q=70,kv=257,causal=1",
                                           "q=2,kv=513,wmode=lr,wl=100,wr=0,split=192" };
    for (int n = 0; n < LENGTH(page_sizes); n++) {
        for (int form = 0; form < LENGTH(forms); form++) {
            char line[192];
            if (!h->full && form != n % LENGTH(forms))
                continue;
            snprintf(line, sizeof(line), "%s,hq=4,hk=2,frag=%s,%s", lengths[(n + form) % LENGTH(lengths)], fragment,
                     types);
            check_as_dense(h, line, forms[form], page_sizes[n], "seed=3");
        }
    }
}

/* Tables at the edges of what they may hold. */
static const char *const edge_lines[] = {
    "kvform=table,q=3,kv=0,batch=2,sinks=1",
    "kvform=list,q=3,kv=0,batch=2",
    "kvform=table,kvmode=per_sequence,lens=5:0+1:1+1:0+40:256+0:33+3:257,page=256,causal=1,values=poison",
    "kvform=list,lens=5:0+1:1+1:0+40:256+0:33+3:257,page=1,holes=bad,sched=0",
    "kvform=table,lens=1:1000+1:16+64:64+1:0,page=16,split=192,values=poison",
    "kvform=heads,hq=6,hk=3,lens=1:1000+33:40+2:7,page=7,holes=some,split=192,sched=0,slack=9",
    "kvform=table,q=1,kv=700,page=16,wmode=lr,wl=50,wr=0,holes=some,values=poison,split=192",
};

/* Heads in turn: hooks, scales and pages of their own, numbers that groups do not divide, several tiles of rows. */
static const char *const turn_lines[] = {
    "hq=16,hk=4,split=160,holes=some,values=poison",
    "hq=14,hk=7,split=192,lens=1:701+2:65+1:1,kvmode=per_sequence,holes=bad",
    "hq=18,hk=9,page=7,sched=0",
    "hq=12,hk=6,kvform=heads,split=192",
    "hq=16,hk=8,pform=head,split=192",
    "hq=8,hk=8,kvform=dense,layout=bshd,split=192",
    "hq=8,hk=8,kvform=dense,layout=bhsd,split=192",
    "hq=20,hk=4,q=3,dtile=lanes8_rows4_keys16_db16,wmode=lr,wl=150,wr=0,alibi=1",
    "hq=8,hk=4,mask=bool,mform=hqk,softcap=15,sinks=1,values=nan",
};

/* Lines of a query over 701 keys in pages of 16, by a fragment, with types and dims. */
static void run_decodes(harness *h, const char *fragment, const char *types, const char *const *lines, int count)
{
    char line[160];
    snprintf(line, sizeof(line), "hq=4,hk=1,q=1,kv=701,kvform=table,page=16,frag=%s,%s", fragment, types);
    run_lines(h, line, lines, count);
}

static void run_turns(harness *h, const char *types)
{
    run_decodes(h, "frag_lanes", types, turn_lines, LENGTH(turn_lines));
}

void suite_paged(harness *h)
{
    const covering_factor lanes = draw_values(h, &programs_of_lanes, FIRST_KEPT, KEPT, 1);
    run_pairs(h, &lanes, "frag=frag_lanes", 0);
    if (h->full) /* barriers take PoCL long to compile; the lines below have the scalar kernels every time */
        run_pairs(h, &programs_of_scalar, "frag=frag_scalar", 0);
    run_as_dense(h, "frag_lanes", "d=64,dv=64");
    run_as_dense(h, "frag_lanes", "d=64,dv=64,kt=q8_0,vt=q4_0");
    run_as_dense(h, "frag_scalar", "d=64,dv=40,qt=bf16,kt=q8_0,vt=bf16,ot=bf16");
    run_lines(h, "hq=4,hk=2,d=64,dv=64,frag=frag_lanes", edge_lines, LENGTH(edge_lines));
    run_turns(h, "d=64,dv=96,qt=f16,kt=fp8,vt=q8_0,ot=f16");
    if (h->full)
        run_turns(h, "d=32,dv=64,qt=f32,kt=q4_0,vt=fp8,ot=f32");
    run_lines(h, "hq=4,hk=2,d=64,dv=40,frag=frag_scalar,qt=bf16,kt=q8_0,vt=bf16,ot=bf16", edge_lines,
              LENGTH(edge_lines));
}

/* For implementations that are slow: few programs, small shapes. */
static const char *const tiny_lines[] = {
    "kvform=table,q=20,kv=47,page=7,minq=1,causal=1,values=poison",
    "kvform=list,q=1,kv=50,page=3,holes=bad,kt=q8_0,vt=q4_0,d=32,dv=32,split=192",
    "kvform=heads,q=3,kv=40,page=16,pform=head,kt=fp8,vt=fp8,holes=some",
    "kvform=table,lens=1:37+5:18+0:9+12:29,page=8,mask=bits,mform=sequences,sched=0,values=poison",
};

void suite_paged_tiny(harness *h)
{
    run_lines(h, "hq=4,hk=2,frag=frag_scalar", tiny_lines, LENGTH(tiny_lines));
    run_lines(h, "hq=4,hk=2,frag=frag_lanes", tiny_lines, LENGTH(tiny_lines));
}

void suite_tensor_cores_paged(harness *h)
{
    static const char *const fragments[] = { "frag_nv_wgmma", "frag_nv_mma" };
    for (int f = 0; f < LENGTH(fragments); f++) {
        char line[128];
        snprintf(line, sizeof(line), "frag=%s", fragments[f]);
        run_pairs(h, &programs_of_tensor_cores, line, 0);
        run_as_dense(h, fragments[f], "d=64,dv=64,qt=f16,kt=f16,vt=f16,ot=f16");
        snprintf(line, sizeof(line), "hq=4,hk=2,d=64,dv=40,frag=%s,qt=bf16,kt=bf16,vt=bf16,ot=bf16", fragments[f]);
        run_lines(h, line, edge_lines, LENGTH(edge_lines));
    }
}

/* Rooms by turns: tiles that begin anywhere, fewer of them than rooms, and more. */
static const char *const stage_lines[] = {
    "dtile=warps1_rows8_keys16_stages1,split=80",
    "dtile=warps1_rows8_keys16_stages2,split=80",
    "dtile=warps1_rows8_keys16_stages3,split=80",
    "dtile=warps1_rows16_keys16_stages4,split=80",
    "dtile=warps1_rows8_keys32_stages2,wmode=lr,wl=150,wr=0",
    "dtile=warps1_rows16_keys16_stages3,wmode=lr,wl=150,wr=0",
    "dtile=warps1_rows8_keys48_stages1,split=144,wmode=lr,wl=300,wr=0",
    "dtile=warps1_rows16_keys16_stages4,lens=1:1+1:17+2:40+1:65,kvmode=per_sequence",
    "minq=33,q=70,ptile=warps1_rows32_keys16_stages3,wmode=lr,wl=100,wr=5",
    "minq=33,q=70,ptile=warps2_rows8_keys32_stages2,wmode=lr,wl=40,wr=0",
};

/* A warp a kv head: heads that share pages, hooks and rows of their own, more rows than a warp has, several groups. */
static const char *const head_lines[] = {
    "hq=16,hk=4,dtile=warps4_rows8_keys32_stages1,split=160,holes=some,values=poison",
    "hq=8,hk=8,dtile=warps8_rows8_keys16_stages2,split=80,page=7",
    "hq=12,hk=6,dtile=warps2_rows16_keys48_stages1,lens=1:1+2:17+4:40+1:65,kvmode=per_sequence",
    "hq=20,hk=4,q=3,dtile=warps4_rows8_keys32_stages1,wmode=lr,wl=150,wr=0,alibi=1",
    "hq=8,hk=4,dtile=warps4_rows16_keys16_stages3,mask=bool,softcap=15,sinks=1,values=nan",
    "hq=16,hk=8,kv=90", /* the default, and no split */
    /* the default where heads do not lie together, or have pages of their own, and in tensors */
    "hq=16,hk=4,kvform=heads,split=192",
    "hq=16,hk=4,kvform=table,pform=head,split=192",
    "hq=16,hk=4,kvform=dense,layout=bshd,split=192",
    "hq=16,hk=4,kvform=dense,layout=bhsd,split=192",
    "hq=16,hk=4,kvform=dense,layout=bshd,qmode=ragged,kvmode=ragged,lens=1:701+2:65+1:1,split=192",
};

static void run_stages(harness *h, const char *types)
{
    run_decodes(h, "frag_nv_mma", types, stage_lines, LENGTH(stage_lines));
}

static void run_heads(harness *h, const char *types)
{
    run_decodes(h, "frag_nv_mma", types, head_lines, LENGTH(head_lines));
}

void suite_tensor_cores_blocks(harness *h)
{
    run_heads(h, "d=64,dv=64,qt=f16,kt=q8_0,vt=q8_0,ot=f16");
    run_heads(h, "d=32,dv=96,qt=bf16,kt=q4_0,vt=q8_0,ot=bf16");
    run_stages(h, "d=64,dv=64,qt=f16,kt=f16,vt=f16,ot=f16");
    run_stages(h, "d=64,dv=32,qt=bf16,kt=q8_0,vt=q4_0,ot=bf16");
    run_stages(h, "d=96,dv=64,qt=f16,kt=q4_0,vt=f16,ot=f16");
    run_pairs(h, &programs_of_blocks, "frag=frag_nv_mma", 0);
    run_as_dense(h, "frag_nv_mma", "d=64,dv=64,qt=f16,kt=q8_0,vt=q4_0,ot=f16");
    run_lines(h, "hq=4,hk=2,d=64,dv=96,frag=frag_nv_mma,qt=f16,kt=q8_0,vt=q8_0,ot=f16", edge_lines, LENGTH(edge_lines));
}

/* For drivers on which even these take minutes. */
void suite_paged_scalar(harness *h)
{
    run_lines(h, "hq=4,hk=2,frag=frag_scalar", tiny_lines + 1, 3);
}
