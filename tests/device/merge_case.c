/* SPDX-License-Identifier: BSD-2-Clause */
#include "merge_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes before and after what a buffer's view holds; a multiple of every element's size. */
#define GUARD  64
#define POISON 0xff /* a NaN in every type */

/* What the parts of a row hold; row r of a case has kind (r + seed) % ROW_KINDS. */
enum {
    ROW_PLAIN,      /* LSEs of about the same size */
    ROW_SOME_EMPTY, /* every second or third part is empty, and its O is NaN */
    ROW_ONE,        /* one part is not empty; subnormals, -0 and infinities in its O */
    ROW_NONE,       /* all are empty */
    ROW_HUGE,       /* LSEs of 1e30 and -1e30 */
    ROW_EQUAL,      /* all the same */
    ROW_NAN_LSE,    /* one is NaN */
    ROW_INF_LSE,    /* one is +inf */
    ROW_NAN_O,      /* one O is NaN in a dim */
    ROW_WIDE,       /* LSEs far apart, so that most weights vanish */
    ROW_KINDS
};

const char *merge_case_print(const merge_case *c, char line[CASE_LINE_SIZE])
{
    snprintf(line, CASE_LINE_SIZE,
             "%s to %s, parts=%d, tokens=%d, heads=%d, dim=%d, pad=%d, offset=%d, head_major=%d, lse=%d, sinks=%d, "
             "one_allocation=%d, seed=%" PRIu64,
             clattn_dtype_name(c->part_dtype), clattn_dtype_name(c->o_dtype), c->parts, c->tokens, c->heads, c->dim,
             c->pad, c->offset, c->head_major, c->lse, c->sinks, c->one_allocation, c->seed);
    return line;
}

/* Strides of a tensor with rows of `row` elements. */
static clattn_part_strides strides_of(const merge_case *c, int64_t row)
{
    const int64_t inner = row + c->pad, outer = inner * (c->head_major ? c->tokens : c->heads) + c->pad;
    const int64_t part = outer * (c->head_major ? c->heads : c->tokens) + c->pad;
    return (clattn_part_strides){ part, c->head_major ? inner : outer, c->head_major ? outer : inner };
}

static void describe(merge_state *m)
{
    const merge_case *c = m->c;
    const clattn_part_strides o = strides_of(c, c->dim), lse = strides_of(c, 1);
    m->desc = CLATTN_MERGE_DESC(.part_dtype = c->part_dtype, .o_dtype = c->o_dtype, .q_heads = c->heads,
                                .v_head_dim = c->dim, .max_parts = c->parts, .max_tokens = c->tokens, .o_parts = o,
                                .lse_parts = lse, .o = { o.token, o.head }, .has_lse = c->lse,
                                .lse = { lse.token, lse.head }, .has_sinks = c->sinks);
}

static size_t element_size(const merge_case *c, int buffer)
{
    return buffer == MERGE_O_PARTS ? clattn_dtype_size(c->part_dtype)
           : buffer == MERGE_O     ? clattn_dtype_size(c->o_dtype)
                                   : sizeof(float);
}

static bool allocate(merge_state *m)
{
    const merge_case *c = m->c;
    const clattn_part_strides o = strides_of(c, c->dim), lse = strides_of(c, 1);
    const int64_t elements[MERGE_BUFFERS] = {
        [MERGE_O_PARTS] = c->parts * o.part,
        [MERGE_LSE_PARTS] = c->parts * lse.part,
        [MERGE_O] = o.part,
        [MERGE_LSE] = lse.part,
        [MERGE_SINKS] = c->heads,
    };
    for (int i = 0; i < MERGE_BUFFERS; i++) {
        const size_t size = (size_t)elements[i] * element_size(c, i);
        m->buffers[i].start = GUARD + (size_t)c->offset * element_size(c, i);
        m->buffers[i].size = (m->buffers[i].start + size + GUARD + 3) / 4 * 4;
        m->buffers[i].host = malloc(m->buffers[i].size);
        if (!m->buffers[i].host)
            return false;
        memset(m->buffers[i].host, POISON, m->buffers[i].size);
    }
    return true;
}

static void *elements_of(const merge_state *m, int buffer)
{
    return m->buffers[buffer].host + m->buffers[buffer].start;
}

static int kind_of(const merge_case *c, int32_t row)
{
    return (int)(((uint64_t)row + c->seed) % ROW_KINDS);
}

static double lse_of(const merge_case *c, ref_random *random, int kind, int32_t part)
{
    const double infinity = (double)INFINITY, normal = ref_random_normal(random);
    const int32_t odd_one = (int32_t)(c->seed % (uint64_t)c->parts);
    switch (kind) {
    case ROW_SOME_EMPTY:
        return part % (2 + (int32_t)(c->seed % 2)) == 0 ? -infinity : normal;
    case ROW_ONE:
        return part == odd_one ? normal : -infinity;
    case ROW_NONE:
        return -infinity;
    case ROW_HUGE:
        return (part + odd_one) % 3 == 0 ? 1e30 : -1e30;
    case ROW_EQUAL:
        return -3.25;
    case ROW_NAN_LSE:
        return part == odd_one ? (double)NAN : normal;
    case ROW_INF_LSE:
        return part == odd_one ? infinity : normal;
    case ROW_WIDE:
        return 60.0 * normal;
    default:
        return 3.0 * normal;
    }
}

static double o_of(ref_random *random, int kind, int32_t dim)
{
    static const double special[] = { -0.0, 1e-40, -3e-45, (double)INFINITY, 1e-7, 0.0 };
    const double normal = ref_random_normal(random);
    if (kind == ROW_ONE && dim % 2 == 1)
        return special[dim / 2 % 6];
    return kind == ROW_NAN_O && dim % 5 == 3 ? (double)NAN : normal;
}

static void fill_row(merge_state *m, ref_random *random, int32_t token, int32_t head)
{
    const clattn_merge_desc *d = &m->desc;
    const int kind = kind_of(m->c, token * m->c->heads + head);
    for (int32_t part = 0; part < m->c->parts; part++) {
        const double lse = lse_of(m->c, random, kind, part);
        const int64_t at = part * d->o_parts.part + token * d->o_parts.token + head * d->o_parts.head;
        ref_store(elements_of(m, MERGE_LSE_PARTS), CLATTN_F32,
                  part * d->lse_parts.part + token * d->lse_parts.token + head * d->lse_parts.head, lse);
        for (int32_t dim = 0; dim < m->c->dim && lse != -(double)INFINITY; dim++)
            ref_store(elements_of(m, MERGE_O_PARTS), d->part_dtype, at + dim, o_of(random, kind, dim));
    }
}

static void fill(merge_state *m)
{
    static const double sinks[] = { 0.5, -(double)INFINITY, 9.0, -1e30, (double)NAN };
    ref_random random = { m->c->seed };
    for (int32_t token = 0; token < m->c->tokens; token++)
        for (int32_t head = 0; head < m->c->heads; head++)
            fill_row(m, &random, token, head);
    for (int32_t head = 0; head < m->c->heads; head++)
        ref_store(elements_of(m, MERGE_SINKS), CLATTN_F32, head, sinks[((uint64_t)head + m->c->seed) % 5]);
}

static cl_mem make_memory(const harness *h, size_t size, outcome *out)
{
    cl_int code;
    cl_mem made = clCreateBuffer(h->context, CL_MEM_READ_WRITE, size, NULL, &code);
    if (code != CL_SUCCESS)
        outcome_fail(out, "clCreateBuffer failed with %d", code);
    return code == CL_SUCCESS ? made : NULL;
}

static bool upload(const harness *h, merge_state *m, outcome *out)
{
    size_t whole = 0;
    cl_mem shared = NULL;
    for (int i = 0; i < MERGE_BUFFERS; i++) {
        m->buffers[i].base = m->c->one_allocation ? whole : 0;
        whole += m->buffers[i].size;
    }
    if (m->c->one_allocation && !(shared = make_memory(h, whole, out)))
        return false;
    for (int i = 0; i < MERGE_BUFFERS; i++) {
        if (shared)
            clRetainMemObject(shared);
        m->buffers[i].memory = shared ? shared : make_memory(h, m->buffers[i].size, out);
        if (!m->buffers[i].memory ||
            clEnqueueWriteBuffer(h->in_order, m->buffers[i].memory, CL_TRUE, m->buffers[i].base, m->buffers[i].size,
                                 m->buffers[i].host, 0, NULL, NULL) != CL_SUCCESS) {
            outcome_fail(out, "a buffer cannot be written");
            break;
        }
    }
    if (shared)
        clReleaseMemObject(shared);
    return out->verdict == PASSED;
}

bool merge_make(const harness *h, merge_state *m, const merge_case *c, outcome *out)
{
    *m = (merge_state){ .c = c };
    describe(m);
    if (!allocate(m)) {
        outcome_fail(out, "no memory");
        return false;
    }
    fill(m);
    return upload(h, m, out) &&
           outcome_ok(out, clattn_merge_plan_create(h->device, &m->desc, &m->plan), "clattn_merge_plan_create");
}

void merge_free(merge_state *m)
{
    clattn_merge_plan_destroy(&m->plan);
    for (int i = 0; i < MERGE_BUFFERS; i++) {
        if (m->buffers[i].memory)
            clReleaseMemObject(m->buffers[i].memory);
        free(m->buffers[i].host);
    }
}

static clattn_buffer buffer_of(const merge_state *m, int buffer)
{
    return (clattn_buffer){ .handle = m->buffers[buffer].memory,
                            .offset = m->buffers[buffer].base + m->buffers[buffer].start,
                            .size = m->buffers[buffer].size - m->buffers[buffer].start - GUARD };
}

clattn_merge_args merge_args_of(const merge_state *m)
{
    clattn_merge_args args = CLATTN_MERGE_ARGS(.o_parts = buffer_of(m, MERGE_O_PARTS),
                                               .lse_parts = buffer_of(m, MERGE_LSE_PARTS), .o = buffer_of(m, MERGE_O));
    if (m->c->lse)
        args.lse = buffer_of(m, MERGE_LSE);
    if (m->c->sinks)
        args.sinks = buffer_of(m, MERGE_SINKS);
    return args;
}

unsigned char *merge_read(const harness *h, const merge_state *m, int buffer, outcome *out)
{
    unsigned char *got = malloc(m->buffers[buffer].size);
    if (got && clEnqueueReadBuffer(h->in_order, m->buffers[buffer].memory, CL_TRUE, m->buffers[buffer].base,
                                   m->buffers[buffer].size, got, 0, NULL, NULL) == CL_SUCCESS)
        return got;
    outcome_fail(out, "buffer %d cannot be read", buffer);
    free(got);
    return NULL;
}

/* One number of a result, in `got`, whose right value is `want`; puts back what was there before. */
static void verify_element(const merge_state *m, int buffer, void *got, int64_t at, double want, bool is_exact,
                           outcome *out)
{
    const clattn_dtype dtype = buffer == MERGE_O ? m->c->o_dtype : CLATTN_F32;
    const size_t size = clattn_dtype_size(dtype);
    const ref_tolerance tolerance = ref_tolerance_of(dtype);
    const double value = ref_load(got, dtype, at);
    unsigned char right[sizeof(float)];
    ref_store(right, dtype, 0, want);
    const bool same = memcmp((unsigned char *)got + (size_t)at * size, right, size) == 0;
    const double ratio = is_exact ? (same || (isnan(value) && isnan(want)) ? 0.0 : (double)INFINITY)
                                  : ref_error_ratio(&tolerance, 0.0, value, want);
    out->max_ratio = fmax(out->max_ratio, ratio);
    if (ratio > 1.0)
        outcome_fail(out, "%s at element %" PRId64 " is %.9g, not %.9g%s", buffer == MERGE_O ? "O" : "LSE", at, value,
                     want, is_exact ? " (exactly)" : "");
    out->compared++;
    memcpy((unsigned char *)got + (size_t)at * size, (unsigned char *)elements_of(m, buffer) + (size_t)at * size, size);
}

static void verify_row(const merge_state *m, int32_t token, int32_t head, void *o, void *lse, double *want,
                       outcome *out)
{
    const clattn_merge_desc *d = &m->desc;
    const ref_merge_inputs in = { elements_of(m, MERGE_O_PARTS), elements_of(m, MERGE_LSE_PARTS),
                                  elements_of(m, MERGE_SINKS), m->c->parts };
    const bool has_sink = d->has_sinks && in.sinks[head] != -INFINITY;
    const int32_t filled = ref_merge_filled(d, &in, token, head);
    const bool is_exact = filled == 0 || (filled == 1 && !has_sink);
    const double want_lse = ref_merge_row(d, &in, token, head, want);
    for (int32_t dim = 0; dim < d->v_head_dim; dim++)
        verify_element(m, MERGE_O, o, token * d->o.token + head * d->o.head + dim, want[dim], is_exact, out);
    if (d->has_lse)
        verify_element(m, MERGE_LSE, lse, token * d->lse.token + head * d->lse.head, want_lse, is_exact, out);
}

void merge_verify(const harness *h, const merge_state *m, outcome *out)
{
    unsigned char *got[MERGE_BUFFERS] = { NULL };
    double *want = malloc((size_t)m->c->dim * sizeof(*want));
    for (int i = 0; i < MERGE_BUFFERS; i++)
        got[i] = merge_read(h, m, i, out);
    if (!want)
        outcome_fail(out, "no memory");
    for (int32_t token = 0; token < m->c->tokens && out->verdict == PASSED; token++)
        for (int32_t head = 0; head < m->c->heads; head++)
            verify_row(m, token, head, got[MERGE_O] + m->buffers[MERGE_O].start,
                       got[MERGE_LSE] + m->buffers[MERGE_LSE].start, want, out);
    for (int i = 0; i < MERGE_BUFFERS && out->verdict == PASSED; i++)
        if (memcmp(got[i], m->buffers[i].host, m->buffers[i].size) != 0)
            outcome_fail(out, "buffer %d was written outside of its rows", i);
    for (int i = 0; i < MERGE_BUFFERS; i++)
        free(got[i]);
    free(want);
}
