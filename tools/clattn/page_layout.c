/* SPDX-License-Identifier: BSD-2-Clause */
#include "page_layout.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "command.h"

enum { MAX_PAGES = 1 << 30 };
static const float FP8_LARGEST = 448.0f;

static int32_t pages_of(int32_t length, int32_t page_size)
{
    return length / page_size + (length % page_size != 0);
}

static int32_t kv_len_of(const clattn_lengths *lengths, int32_t b)
{
    return lengths->kv_lens ? lengths->kv_lens[b] : lengths->kv_len;
}

/* The ids 0 to count - 1 in a random order. */
static void shuffle(int32_t *ids, int32_t count, uint64_t seed)
{
    ref_random random = { seed };
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t j = (int32_t)ref_random_range(&random, 0, i), id = ids[i];
        ids[i] = ids[j];
        ids[j] = id;
    }
}

static void fill_table(const clattn_lengths *lengths, const int32_t *ids, page_layout *out)
{
    size_t next = 0;
    for (int32_t b = 0; b < out->batch; b++) {
        int32_t *row = out->block_table + (size_t)b * (size_t)out->max_pages;
        int32_t count = pages_of(kv_len_of(lengths, b), out->page_size);
        for (int32_t i = 0; i < out->max_pages; i++)
            row[i] = i < count ? ids[next++] : -1;
    }
}

int page_layout_make(const clattn_lengths *lengths, int32_t max_kv_len, int32_t page_size, page_order order,
                     uint64_t seed, page_layout *out)
{
    int64_t pages = 0;
    *out =
        (page_layout){ .page_size = page_size, .max_pages = pages_of(max_kv_len, page_size), .batch = lengths->batch };
    for (int32_t b = 0; b < out->batch; b++)
        pages += pages_of(kv_len_of(lengths, b), page_size);
    if (pages > MAX_PAGES)
        return fail("pages of %d tokens: %lld are needed; at most %d can be", page_size, (long long)pages, MAX_PAGES);
    out->pages = (int32_t)pages;
    size_t entries = (size_t)out->batch * (size_t)out->max_pages;
    int32_t *ids = malloc((size_t)(pages ? pages : 1) * sizeof *ids);
    out->block_table = malloc((entries ? entries : 1) * sizeof *out->block_table);
    if (!ids || !out->block_table) {
        free(ids);
        page_layout_free(out);
        return fail("pages of %d tokens: no memory for a table of %zu entries", page_size, entries);
    }
    for (int32_t i = 0; i < out->pages; i++)
        ids[i] = i;
    if (order == PAGES_SHUFFLED)
        shuffle(ids, out->pages, seed);
    fill_table(lengths, ids, out);
    free(ids);
    return EXIT_DONE;
}

void page_layout_free(page_layout *used)
{
    free(used->block_table);
    *used = (page_layout){ .page_size = 0 };
}

int64_t page_layout_slot(const page_layout *layout, int32_t b, int32_t t)
{
    const int32_t page = layout->block_table[(size_t)b * (size_t)layout->max_pages + (size_t)(t / layout->page_size)];
    return (int64_t)page * layout->page_size + t % layout->page_size;
}

/* A dimension that blocks do not divide is for the library to refuse. */
clattn_page_strides page_layout_strides(int32_t page_size, int32_t heads, int32_t dim, clattn_dtype dtype)
{
    int64_t block = clattn_dtype_block_len(dtype), row = (dim + block - 1) / block;
    return (clattn_page_strides){ .page = page_size * heads * row, .token = heads * row, .head = row };
}

static clattn_append_plane make_plane(clattn_dtype from, clattn_dtype to, int32_t dim, clattn_strides src,
                                      clattn_page_strides cache)
{
    src.batch = 0;
    return (clattn_append_plane){ .src_dtype = from, .dtype = to, .head_dim = dim, .src = src, .cache = cache };
}

void page_layout_apply(const page_layout *layout, clattn_dtype k_dtype, clattn_dtype v_dtype, job *out,
                       job_append *append)
{
    clattn_attention_desc *desc = &out->desc;
    const int32_t v_dim = desc->v_head_dim ? desc->v_head_dim : desc->head_dim;
    desc->kv_mode = CLATTN_KV_BLOCK_TABLE;
    desc->page_size = layout->page_size;
    desc->pages = layout->pages;
    desc->max_pages = layout->max_pages;
    desc->k_cache = page_layout_strides(layout->page_size, desc->kv_heads, desc->head_dim, k_dtype);
    desc->v_cache = page_layout_strides(layout->page_size, desc->kv_heads, v_dim, v_dtype);
    append->desc =
        CLATTN_APPEND_DESC(.page_size = layout->page_size, .pages = layout->pages, .kv_heads = desc->kv_heads,
                           .k = make_plane(desc->k_dtype, k_dtype, desc->head_dim, desc->k, desc->k_cache),
                           .v = make_plane(desc->v_dtype, v_dtype, v_dim, desc->v, desc->v_cache));
    desc->k_dtype = k_dtype;
    desc->v_dtype = v_dtype;
    out->append = append;
    out->inputs[JOB_BLOCK_TABLE].data = layout->block_table;
    out->inputs[JOB_BLOCK_TABLE].size = (size_t)layout->batch * (size_t)layout->max_pages * sizeof *layout->block_table;
}

static float find_amax(const job *of, job_input input, int32_t head)
{
    const clattn_attention_desc *desc = &of->desc;
    const clattn_strides *strides = input == JOB_K ? &desc->k : &desc->v;
    const clattn_dtype dtype = input == JOB_K ? desc->k_dtype : desc->v_dtype;
    const int32_t dim = input == JOB_V && desc->v_head_dim ? desc->v_head_dim : desc->head_dim;
    const int32_t *starts = of->inputs[JOB_CU_SEQLENS_KV].data;
    double amax = 0;
    for (int32_t b = 0; b < of->lengths.batch; b++) {
        const int32_t length = kv_len_of(&of->lengths, b);
        const int64_t first = b * strides->batch + (starts ? starts[b] * strides->token : 0) + head * strides->head;
        for (int32_t t = 0; t < length; t++)
            for (int32_t d = 0; d < dim; d++) {
                double x = fabs(ref_load(of->inputs[input].data, dtype, first + t * strides->token + d));
                amax = isfinite(x) && x > amax ? x : amax;
            }
    }
    return (float)amax;
}

/* A device may take a scale below FLT_MIN for 0. */
void page_layout_find_scales(const job *of, job_input input, float *scales)
{
    for (int32_t h = 0; h < of->desc.kv_heads; h++) {
        float amax = find_amax(of, input, h), scale = amax / FP8_LARGEST;
        scales[h] = amax == 0.0f ? 1.0f : scale < FLT_MIN ? FLT_MIN : scale;
    }
}
