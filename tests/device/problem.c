/* SPDX-License-Identifier: BSD-2-Clause */
#include "problem.h"

#include <stdlib.h>
#include <string.h>

static int32_t draw_length(ref_random *random, int32_t most)
{
    int64_t dice = ref_random_range(random, 0, 4);
    return dice == 0 ? 0 : dice == 1 ? most : (int32_t)ref_random_range(random, 0, most);
}

static void make_lengths(problem *p)
{
    const test_case *c = &p->c;
    ref_random random = { (uint64_t)c->seed * 1000003u };
    const char *list = c->lens;
    for (int32_t b = 0; b < c->batch; b++) {
        bool draw = c->mix && b > 0;
        p->q_lens[b] = draw && c->qmode ? draw_length(&random, c->q) : c->q;
        p->kv_lens[b] = draw && c->kvmode != KVMODE_UNIFORM ? draw_length(&random, c->kv) : c->kv;
        if (c->lens[0] != '\0')
            (void)case_next_lengths(&list, &p->q_lens[b], &p->kv_lens[b]);
        p->kv_room[b] = p->kv_lens[b] + (c->kvmode == KVMODE_RAGGED_LENS ? b % 3 : 0);
    }
    p->lengths = (clattn_lengths){ .batch = c->batch, .q_len = c->q, .kv_len = c->kv };
    if (c->qmode)
        p->lengths.q_lens = p->q_lens;
    if (c->kvmode != KVMODE_UNIFORM)
        p->lengths.kv_lens = p->kv_lens;
    p->in = (ref_inputs){ .batch = c->batch, .q_len = c->q, .kv_len = c->kv };
}

static int64_t sum(const int32_t *lengths, int32_t count)
{
    int64_t total = 0;
    for (int32_t b = 0; b < count; b++)
        total += lengths[b];
    return total;
}

static int32_t shortest_q(const problem *p)
{
    int32_t least = p->c.q;
    for (int32_t b = 0; b < p->c.batch; b++)
        if (p->q_lens[b] > 0 && p->q_lens[b] < least)
            least = p->q_lens[b];
    return least;
}

static void describe_lengths(problem *p)
{
    const test_case *c = &p->c;
    clattn_attention_desc *desc = &p->desc;
    desc->max_batch = c->batch + (c->sched && c->slack ? 1 : 0);
    desc->max_q_len = c->q + c->slack;
    desc->max_kv_len = c->kv + c->slack;
    desc->min_q_len = c->minq ? shortest_q(p) : 0;
    if (c->qmode) {
        desc->q_length_mode = CLATTN_LENGTH_RAGGED;
        desc->max_q_tokens = sum(p->q_lens, c->batch) + c->slack + 1;
    }
    if (c->kvmode == KVMODE_PER_SEQUENCE)
        desc->kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    if (c->kvmode >= KVMODE_RAGGED) {
        desc->kv_length_mode = CLATTN_LENGTH_RAGGED;
        desc->max_kv_tokens = sum(p->kv_room, c->batch) + c->slack + 1;
        desc->has_kv_lens = c->kvmode == KVMODE_RAGGED_LENS;
    }
}

static void describe_arithmetic(problem *p)
{
    const test_case *c = &p->c;
    clattn_attention_desc *desc = &p->desc;
    desc->q_dtype = (clattn_dtype)c->qt;
    desc->k_dtype = (clattn_dtype)c->kt;
    desc->v_dtype = (clattn_dtype)c->vt;
    desc->o_dtype = (clattn_dtype)c->ot;
    desc->q_heads = c->hq;
    desc->kv_heads = c->hk;
    desc->head_dim = c->d;
    desc->v_head_dim = c->dv;
    desc->has_lse = c->lse;
    desc->scale = c->scale;
    desc->softcap = c->softcap;
    desc->causal = c->causal;
    desc->window_mode = (clattn_window_mode)c->wmode;
    desc->window_left = c->wmode ? c->wl : 0;
    desc->window_right = c->wmode ? c->wr : 0;
    desc->q_offset_mode = (clattn_q_offset_mode)c->omode;
    desc->q_offset = c->omode == CLATTN_Q_OFFSET_CONSTANT ? c->offset : 0;
    desc->has_alibi = c->alibi;
    desc->has_sinks = c->sinks;
}

bool problem_add_memory(problem *p, memory_id id, int64_t elements, size_t element_size)
{
    memory *m = &p->memory[id];
    view *v = &p->view[id];
    *v = (view){ id, (size_t)p->c.shift * element_size, (size_t)elements * element_size };
    m->size = v->offset + v->size + MARGIN;
    m->host = malloc(m->size);
    if (!m->host)
        return false;
    memset(m->host, 0xff, m->size);
    return true;
}

void *problem_host(const problem *p, memory_id id)
{
    const view *v = &p->view[id];
    unsigned char *host = p->memory[v->memory].host;
    return host ? host + v->offset : NULL;
}

/* Rows of `dim` elements, apart by the gap. Returns how many elements can be reached. */
static int64_t lay_out(const problem *p, clattn_strides *strides, int64_t batch, int64_t tokens, int32_t heads,
                       int32_t dim)
{
    int64_t row = dim + p->c.gap;
    if (p->c.layout == LAYOUT_BHSD)
        *strides = (clattn_strides){ .batch = heads * tokens * row, .token = row, .head = tokens * row };
    else
        *strides = (clattn_strides){ .batch = tokens * heads * row, .token = heads * row, .head = row };
    int64_t last = (batch - 1) * strides->batch + (tokens - 1) * strides->token + (heads - 1) * strides->head;
    if (batch == 1)
        strides->batch = 0; /* as packed tensors have to */
    return batch > 0 && tokens > 0 ? last + dim : 0;
}

static int32_t row_blocks(clattn_dtype dtype, int32_t dim)
{
    return dim / clattn_dtype_block_len(dtype);
}

typedef struct extent {
    int64_t batch, tokens;
} extent;

static extent q_extent(const problem *p)
{
    return p->c.qmode ? (extent){ 1, p->desc.max_q_tokens } : (extent){ p->desc.max_batch, p->desc.max_q_len };
}

static extent kv_extent(const problem *p)
{
    return p->c.kvmode >= KVMODE_RAGGED ? (extent){ 1, p->desc.max_kv_tokens }
                                        : (extent){ p->desc.max_batch, p->desc.max_kv_len };
}

/* One buffer, [batch, tokens, hq * d + hk * d + hk * dv]. */
static bool make_packed_qkv(problem *p)
{
    const test_case *c = &p->c;
    extent q = q_extent(p), kv = kv_extent(p);
    int64_t tokens = q.tokens > kv.tokens ? q.tokens : kv.tokens;
    int64_t row = c->d + c->gap, v_row = c->dv + c->gap;
    int64_t k_first = c->hq * row, v_first = k_first + c->hk * row, token = v_first + c->hk * v_row;
    size_t size = clattn_dtype_size(p->desc.q_dtype);
    if (!problem_add_memory(p, MEM_Q, q.batch * tokens * token, size))
        return false;
    int64_t batch = q.batch == 1 ? 0 : tokens * token;
    p->desc.q = p->desc.k = (clattn_strides){ batch, token, row };
    p->desc.v = (clattn_strides){ batch, token, v_row };
    view whole = p->view[MEM_Q];
    p->view[MEM_K] = (view){ MEM_Q, whole.offset + (size_t)k_first * size, 0 };
    p->view[MEM_V] = (view){ MEM_Q, whole.offset + (size_t)v_first * size, 0 };
    return true;
}

/* Pages [pages, page_size, hk, dim] or [pages, hk, page_size, dim]; returns elements, or blocks. */
static int64_t lay_out_pages(const problem *p, clattn_page_strides *strides, clattn_dtype dtype, int32_t dim)
{
    int64_t row = dim / clattn_dtype_block_len(dtype) + p->c.gap, size = p->c.page, heads = p->c.hk;
    bool by_head = p->c.pform != 0;
    *strides = (clattn_page_strides){ .page = size * heads * row + p->c.gap,
                                      .token = by_head ? row : heads * row,
                                      .head = by_head ? size * row : row };
    return p->desc.pages * strides->page;
}

static bool make_cache(problem *p)
{
    clattn_attention_desc *desc = &p->desc;
    int64_t k_blocks = lay_out_pages(p, &desc->k_cache, desc->k_dtype, p->c.d);
    int64_t v_blocks = lay_out_pages(p, &desc->v_cache, desc->v_dtype, p->c.dv);
    if (!problem_add_memory(p, MEM_K, k_blocks, clattn_dtype_size(desc->k_dtype)))
        return false;
    if (p->c.layout != LAYOUT_MLA)
        return problem_add_memory(p, MEM_V, v_blocks, clattn_dtype_size(desc->v_dtype));
    desc->v_cache = desc->k_cache;
    p->view[MEM_V] = p->view[MEM_K];
    return true;
}

static bool make_inputs(problem *p)
{
    const test_case *c = &p->c;
    extent q = q_extent(p), kv = kv_extent(p);
    if (c->layout == LAYOUT_QKV)
        return make_packed_qkv(p);
    int64_t q_elements = lay_out(p, &p->desc.q, q.batch, q.tokens, c->hq, c->d);
    if (!problem_add_memory(p, MEM_Q, q_elements, clattn_dtype_size(p->desc.q_dtype)))
        return false;
    if (c->kvform)
        return make_cache(p);
    int64_t k_elements = lay_out(p, &p->desc.k, kv.batch, kv.tokens, c->hk, row_blocks(p->desc.k_dtype, c->d));
    if (!problem_add_memory(p, MEM_K, k_elements, clattn_dtype_size(p->desc.k_dtype)))
        return false;
    if (c->layout == LAYOUT_MLA) {
        p->desc.v = p->desc.k;
        p->view[MEM_V] = p->view[MEM_K];
        return true;
    }
    int64_t v_elements = lay_out(p, &p->desc.v, kv.batch, kv.tokens, c->hk, row_blocks(p->desc.v_dtype, c->dv));
    return problem_add_memory(p, MEM_V, v_elements, clattn_dtype_size(p->desc.v_dtype));
}

static bool make_outputs(problem *p)
{
    extent q = q_extent(p);
    int64_t elements = lay_out(p, &p->desc.o, q.batch, q.tokens, p->c.hq, p->c.dv);
    if (!problem_add_memory(p, MEM_O, elements, clattn_dtype_size(p->desc.o_dtype)))
        return false;
    if (!p->c.lse)
        return true;
    elements = lay_out(p, &p->desc.lse, q.batch, q.tokens, p->c.hq, 1);
    return problem_add_memory(p, MEM_LSE, elements, sizeof(float));
}

static bool make_int_array(problem *p, memory_id id, const int32_t *values, int32_t count)
{
    if (!problem_add_memory(p, id, count, sizeof(int32_t)))
        return false;
    memcpy(problem_host(p, id), values, (size_t)count * sizeof(int32_t));
    return true;
}

static bool make_cu_seqlens(problem *p, memory_id id, const int32_t *lengths)
{
    int32_t cu[CASE_MAX_BATCH + 1] = { 0 };
    for (int32_t b = 0; b < p->c.batch; b++)
        cu[b + 1] = cu[b] + lengths[b];
    return make_int_array(p, id, cu, p->c.batch + 1);
}

static bool make_index_arrays(problem *p)
{
    if (p->c.qmode && !make_cu_seqlens(p, MEM_CU_Q, p->q_lens))
        return false;
    if (p->c.kvmode >= KVMODE_RAGGED && !make_cu_seqlens(p, MEM_CU_KV, p->kv_room))
        return false;
    bool listed =
        (p->c.kvmode == KVMODE_PER_SEQUENCE && p->c.kvform != KVFORM_LIST) || p->c.kvmode == KVMODE_RAGGED_LENS;
    return !listed || make_int_array(p, MEM_KV_LENS, p->kv_lens, p->c.batch);
}

static void point_reference(problem *p)
{
    ref_inputs *in = &p->in;
    in->q = problem_host(p, MEM_Q);
    in->k = problem_host(p, MEM_K);
    in->v = problem_host(p, MEM_V);
    in->cu_seqlens_q = problem_host(p, MEM_CU_Q);
    in->cu_seqlens_kv = problem_host(p, MEM_CU_KV);
    in->kv_lens = problem_host(p, MEM_KV_LENS);
    in->block_table = in->page_indices = problem_host(p, MEM_TABLE);
    in->page_indptr = problem_host(p, MEM_INDPTR);
    in->last_page_len = problem_host(p, MEM_LAST_LEN);
    in->k_scales = problem_host(p, MEM_K_SCALES);
    in->v_scales = problem_host(p, MEM_V_SCALES);
    in->q_offsets = problem_host(p, MEM_Q_OFFSETS);
    in->mask = problem_host(p, MEM_MASK);
    in->mask_offsets = problem_host(p, MEM_MASK_OFFSETS);
    in->mask_row_strides = problem_host(p, MEM_MASK_ROWS);
    in->alibi_slopes = problem_host(p, MEM_SLOPES);
    in->sinks = problem_host(p, MEM_SINKS);
}

/* Calls `visit` with the byte range of each run of elements that a run has to write, sequence by sequence. */
typedef void (*range_visitor)(void *user, size_t offset, size_t size);

static void visit_written(const problem *p, memory_id id, int32_t b, range_visitor visit, void *user)
{
    size_t element = id == MEM_O ? clattn_dtype_size(p->desc.o_dtype) : sizeof(float);
    size_t row = element * (size_t)(id == MEM_O ? p->c.dv : 1);
    for (int32_t i = 0; i < p->q_lens[b]; i++) {
        for (int32_t head = 0; head < p->c.hq; head++) {
            int64_t index =
                id == MEM_O ? ref_o_index(&p->desc, &p->in, b, i, head) : ref_lse_index(&p->desc, &p->in, b, i, head);
            visit(user, p->view[id].offset + (size_t)index * element, row);
        }
    }
}

typedef struct output_fill {
    unsigned char *host;
    clattn_dtype dtype;
} output_fill;

static void fill_unwritten(void *user, size_t offset, size_t size)
{
    const output_fill *fill = user;
    for (size_t n = 0; n < size / clattn_dtype_size(fill->dtype); n++)
        ref_store(fill->host + offset, fill->dtype, (int64_t)n, UNWRITTEN);
}

static void prepare_output(problem *p, memory_id id)
{
    memory *m = &p->memory[id];
    output_fill fill = { m->host, id == MEM_O ? p->desc.o_dtype : CLATTN_F32 };
    memset(m->host, GUARD_BYTE, m->size);
    for (int32_t b = 0; b < p->c.batch; b++)
        visit_written(p, id, b, fill_unwritten, &fill);
}

static void clear_range(void *user, size_t offset, size_t size)
{
    memset((unsigned char *)user + offset, GUARD_BYTE, size);
}

bool problem_guards_hold(const problem *p, memory_id id, size_t *where)
{
    const memory *m = &p->memory[id];
    unsigned char *rest = malloc(m->size);
    if (!rest)
        return false;
    memcpy(rest, m->got, m->size);
    for (int32_t b = 0; b < p->c.batch; b++)
        visit_written(p, id, b, clear_range, rest);
    *where = 0;
    while (*where < m->size && rest[*where] == GUARD_BYTE)
        ++*where;
    free(rest);
    return *where == m->size;
}

typedef struct extraction {
    const unsigned char *from;
    unsigned char *to;
    size_t size;
} extraction;

static void extract_range(void *user, size_t offset, size_t size)
{
    extraction *e = user;
    if (e->to)
        memcpy(e->to + e->size, e->from + offset, size);
    e->size += size;
}

size_t problem_extract(const problem *p, memory_id id, int32_t b, unsigned char *out)
{
    extraction e = { p->memory[id].got, out, 0 };
    visit_written(p, id, b, extract_range, &e);
    return e.size;
}

int64_t problem_rows(const problem *p)
{
    return sum(p->q_lens, p->c.batch) * p->c.hq;
}

bool problem_make(problem *p, const test_case *c)
{
    *p = (problem){ .c = *c };
    for (int id = 0; id < MEM_COUNT; id++)
        p->view[id].memory = (memory_id)id; /* which is no memory yet */
    clattn_attention_desc_init(&p->desc);
    make_lengths(p);
    describe_arithmetic(p);
    describe_lengths(p);
    if ((c->kvform && !problem_make_pages(p)) || !make_inputs(p) || !make_outputs(p) || !make_index_arrays(p) ||
        !problem_make_modifiers(p))
        return false;
    point_reference(p);
    prepare_output(p, MEM_O);
    if (c->lse)
        prepare_output(p, MEM_LSE);
    return problem_fill_tensors(p);
}

void problem_free(problem *p)
{
    for (int id = 0; id < MEM_COUNT; id++) {
        memory *m = &p->memory[id];
        free(m->host);
        free(m->got);
        if (m->buffer)
            clReleaseMemObject(m->buffer);
        *m = (memory){ 0 };
    }
}
