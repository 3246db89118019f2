/* SPDX-License-Identifier: BSD-2-Clause */
/* Suites that walk over head dims, shapes and tiles. */
#include <inttypes.h>
#include <stdio.h>

#include "kernel/tile.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MAX_HEAD_DIM  576

static void run_dims(harness *h, const char *fragment, int32_t d, int32_t dv)
{
    char line[128];
    const test_case prefill = case_from("q=19,kv=35,minq=1,hq=2,values=poison");
    const test_case decode = case_from("q=1,kv=35,hq=2,hk=2,values=poison");
    if (d < 1 || dv < 1 || d > MAX_HEAD_DIM || dv > MAX_HEAD_DIM)
        return;
    snprintf(line, sizeof(line), "frag=%s,d=%" PRId32 ",dv=%" PRId32, fragment, d, dv);
    run_line(h, &prefill, line);
    run_line(h, &decode, line);
}

/* Each size class is two programs, and frag_scalar's take PoCL ten times as long to compile. */
static void run_edges(harness *h, const clattn_fragment *fragment, bool is_scalar)
{
    bool drawn[MAX_HEAD_DIM];
    const int count = MAX_HEAD_DIM / fragment->granule;
    draw(h, count, 1, drawn);
    for (int n = 0; n < count; n++) {
        const int32_t edge = (n + 1) * fragment->granule;
        if (!drawn[n] && (is_scalar || (n > 0 && n < count - 1)))
            continue;
        run_dims(h, fragment->name, edge - 1, edge);
        run_dims(h, fragment->name, edge, edge - 1);
        run_dims(h, fragment->name, edge + 1, edge + 1);
    }
}

void suite_dims(harness *h)
{
    static const int32_t pairs[][2] = { { 576, 512 }, { 192, 128 }, { 1, 576 }, { 576, 1 } };
    for (int f = 0; f < CLATTN_FRAGMENT_COUNT; f++) {
        bool drawn[LENGTH(pairs)];
        const clattn_fragment *fragment = clattn_fragment_row((clattn_fragment_id)f);
        const bool is_scalar = f == CLATTN_FRAGMENT_SCALAR;
        if (fragment->role != CLATTN_ROLE_PLAN)
            continue;
        run_edges(h, fragment, is_scalar);
        run_dims(h, fragment->name, 1, 1);
        draw(h, LENGTH(pairs), is_scalar ? 1 : 2, drawn);
        for (int n = 0; n < LENGTH(pairs); n++)
            if (drawn[n])
                run_dims(h, fragment->name, pairs[n][0], pairs[n][1]);
    }
}

typedef struct shape {
    int32_t q, kv;
} shape;

/* FlashAttention 2 and 3, FlashInfer's decode. */
static const shape shapes[] = {
    { 113, 203 },   { 128, 217 }, { 108, 256 }, { 256, 512 }, { 512, 256 }, { 1024, 1024 }, { 1023, 1024 },
    { 1024, 1023 }, { 1, 147 },   { 1, 1 },     { 2, 1 },     { 511, 1 },   { 3, 513 },     { 799, 3 },
    { 1, 54 },      { 1, 97 },    { 1, 512 },   { 1, 2048 },  { 1, 16384 },
};
static const int32_t head_dims[] = { 32, 40, 59, 64, 96, 111, 128, 160, 192, 224, 256 };
static const int32_t kv_heads[] = { 6, 2, 1 };

static void run_shape(harness *h, int index, int dim, int heads)
{
    char line[256];
    const test_case base = case_from("hq=6,values=normal");
    snprintf(line, sizeof(line),
             "q=%" PRId32 ",kv=%" PRId32 ",d=%" PRId32 ",dv=%" PRId32 ",hk=%" PRId32 ",causal=%d,%s%s", shapes[index].q,
             shapes[index].kv, head_dims[dim], head_dims[dim], kv_heads[heads], index % 2,
             index % 3 == 0 ? "softcap=50," : "", index % 2 ? "qt=f16,kt=f16,vt=f16,ot=f16" : "");
    run_line(h, &base, line);
}

static void run_ggml(harness *h)
{
    static const int32_t dims[] = { 40, 64, 72, 80, 96, 128, 192, 256, 576 };
    static const int32_t kvs[] = { 113, 512, 1024 }, qs[] = { 1, 3, 32, 75 }, groups[] = { 1, 4, 8, 12, 16 };
    const test_case base = case_from("qt=f32,kt=f16,vt=f16,mask=add_f16,mform=qk,minq=0");
    int index = 0;
    bool drawn[LENGTH(dims)];
    draw(h, LENGTH(dims), 2, drawn);
    for (int d = 0; d < LENGTH(dims); d++) {
        for (int kv = 0; kv < LENGTH(kvs); kv++) {
            for (int q = 0; q < LENGTH(qs); q++, index++) {
                char line[256];
                if (!drawn[d])
                    continue;
                snprintf(line, sizeof(line), "d=%" PRId32 ",dv=%" PRId32 ",kv=%" PRId32 ",q=%" PRId32 ",hq=%" PRId32,
                         dims[d], dims[d] == 576 ? 512 : dims[d], kvs[kv], qs[q], groups[index % LENGTH(groups)]);
                run_line(h, &base, line);
            }
        }
    }
}

void suite_shapes(harness *h)
{
    static const char *const lists[] = {
        "lens=1:1328+5:18+129:463,hq=4,hk=2,d=128,dv=128,causal=1", /* vLLM */
        "lens=1:523+1:37+1:2011,hq=4,hk=2,d=128,dv=128,causal=1",
        "lens=2048:1+2048:1+766:2+1024:512,hq=2,hk=1,d=128,dv=128", /* FlashInfer's mixed batches */
        "layout=mla,hq=16,hk=1,d=576,dv=512,q=1,kv=300,kvmode=per_sequence,batch=3,mix=1", /* DeepSeek's decode */
        "hq=4,hk=4,d=192,dv=128,q=65,kv=65,causal=1",                                      /* and its prefill */
        "hq=50000,hk=50000,d=16,dv=16,q=1,kv=2,layout=bhsd",                               /* numbers past 2^31 */
    };
    enum { DRAWN = 2 };
    const test_case base = case_default();
    bool drawn[LENGTH(head_dims)];
    draw(h, LENGTH(head_dims), DRAWN, drawn);
    for (int index = 0; index < LENGTH(shapes); index++) {
        for (int dim = 0, place = 0; dim < LENGTH(head_dims); place += drawn[dim], dim++) {
            const bool chosen = drawn[dim] && place == index / 2 % DRAWN; /* odd shapes are those in f16 */
            for (int heads = 0; heads < LENGTH(kv_heads); heads++)
                if (h->full || (chosen && heads == index % LENGTH(kv_heads)))
                    run_shape(h, index, dim, heads);
        }
    }
    for (int n = 0; n < LENGTH(lists); n++)
        run_line(h, &base, lists[n]);
    run_ggml(h);
}

/* The fragment whose plans have a tile. */
static const char *fragment_with(const clattn_tile *tile)
{
    int f = 0;
    while (clattn_fragment_row((clattn_fragment_id)f)->role != CLATTN_ROLE_PLAN ||
           clattn_fragment_of((clattn_fragment_id)f, tile->algorithm) != tile->fragment)
        f++;
    return clattn_fragment_row((clattn_fragment_id)f)->name;
}

void suite_tiles(harness *h)
{
    static const char *const prefill_lines[] = {
        "q=70,kv=131,d=64,dv=64,minq=1,hq=4,hk=2",
        "q=131,kv=150,d=33,dv=48,minq=1,causal=1,wmode=lr,wl=60,wr=-1,qt=f16,kt=f16,vt=f16,ot=f16,values=poison",
        "q=70,kv=131,d=96,dv=112,minq=1,mask=bool,empty=1,softcap=9,sinks=1,qt=bf16,kt=bf16,vt=bf16,ot=bf16",
    };
    static const char *const decode_lines[] = {
        "q=1,kv=700,d=64,dv=64,hq=5,hk=1,split=192",
        "q=3,kv=131,d=33,dv=48,hq=8,hk=4,causal=1,qt=f16,kt=f16,vt=f16,ot=f16,values=poison",
        "q=1,kv=131,d=96,dv=112,hq=7,hk=1,mask=bool,softcap=9,sinks=1,qt=bf16,kt=bf16,vt=bf16,ot=bf16",
    };
    const int start = (int)ref_random_range(&h->draws, 0, LENGTH(prefill_lines) - 1);
    for (size_t row = 0; clattn_tile_row(row); row++) {
        const clattn_tile *tile = clattn_tile_row(row);
        if (tile->algorithm > CLATTN_ALGORITHM_DECODE)
            continue;
        bool prefill = tile->algorithm == CLATTN_ALGORITHM_PREFILL;
        char name[CLATTN_TILE_NAME_SIZE], line[160];
        clattn_tile_name(tile, name);
        snprintf(line, sizeof(line), "frag=%s,%s=%s", fragment_with(tile), prefill ? "ptile" : "dtile", name);
        for (int n = 0; n < LENGTH(prefill_lines); n++) {
            if (!h->full && n != ((int)row + start) % LENGTH(prefill_lines))
                continue;
            const test_case base = case_from(prefill ? prefill_lines[n] : decode_lines[n]);
            run_line(h, &base, line);
        }
    }
}
