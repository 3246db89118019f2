/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_REF_REF_H
#define CLATTN_REF_REF_H

/* Attention in float64 on the host, written to be obviously right: what tests, `clattn check` and `clattn bench`
 * compare with. Plain C over host memory; knows the public descriptions and nothing else of the library. Semantics:
 * docs/semantics.md. Thread-safe: no state. */

#include <stdbool.h>

#include <clattn/attention.h>

/* Host twins of clattn_attention_args, read by the strides, types and modes of a description. */
typedef struct ref_inputs {
    const void *q, *k, *v;
    const float *k_scales, *v_scales; /* [kv_heads]; read for fp8 */
    const int32_t *cu_seqlens_q, *cu_seqlens_kv, *kv_lens, *q_offsets;
    const int32_t *block_table, *page_indptr, *page_indices, *last_page_len;
    const void *mask;
    const int64_t *mask_offsets, *mask_row_strides;
    const float *alibi_slopes, *sinks;
    int32_t batch;         /* sequences */
    int32_t q_len, kv_len; /* of uniform sequences */
} ref_inputs;

typedef struct ref_row {
    double lse;           /* natural; -inf (or the sink) when nothing is attended */
    double max_abs_logit; /* over attended keys whose weight is not zero (a logit of -1e29 loosens no tolerance); 0 when
                             there is none */
    int64_t attended;     /* keys */
} ref_row;

/* Lengths of sequence b. */
int32_t ref_q_len(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b);
int32_t ref_kv_len(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b);

/* The page that key j of a kv head lies in; -1 for a hole and for an id outside [0, pages). With pages only. */
int32_t ref_key_page(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t kv_head, int32_t j);

/* Whether query i of q_head in sequence b attends key j (j < kv_len is part of the answer). */
bool ref_attends(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                 int32_t j);

/* One row: out[v_head_dim]. A NaN or +inf logit of an attended key makes O and LSE NaN, and so do attended logits that
 * are all -inf (exp(-inf - -inf)), unless a finite sink stands beside them. Logits live on the heap: returns false when
 * there is no memory for them. */
bool ref_attention_row(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                       double *out, ref_row *row);

/* Index of element (b, i, q_head, 0) of O, and of (b, i, q_head) of LSE, in elements from the buffer's start. */
int64_t ref_o_index(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t i, int32_t q_head);
int64_t ref_lse_index(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t i, int32_t q_head);

/* |o - y| <= absolute + logit * max|logit| + relative * |y|, by the type that O is stored in. */
typedef struct ref_tolerance {
    double absolute, logit, relative;
} ref_tolerance;
ref_tolerance ref_tolerance_of(clattn_dtype dtype);

/* Which rows of a sequence are compared. Rows next to multiples of `row_tile`, the first and the last come always; the
 * others are drawn by `seed` until max_rows_per_head are chosen. 0: every row. */
typedef struct ref_sampling {
    int32_t max_rows_per_head;
    int32_t row_tile;
    uint64_t seed;
} ref_sampling;

typedef struct ref_comparison {
    int64_t compared;        /* elements; a comparison of none is no success */
    int64_t failed;          /* elements over tolerance; NaN matches NaN only, Inf the same Inf only */
    double max_error;        /* largest |got - want| of finite pairs */
    double max_ratio;        /* largest error over its tolerance; infinite when NaN or Inf differ */
    int32_t b, i, q_head, d; /* the element with max_ratio; d is -1 in an LSE */
    double got, want;        /* there */
} ref_comparison;

/* Compares O (o_dtype, by strides) and, when lse is not NULL, LSE with the reference. *lse_result may be NULL with lse.
 * Returns false when there is no memory. */
bool ref_compare(const clattn_attention_desc *desc, const ref_inputs *in, const void *o, const float *lse,
                 const ref_sampling *sampling, ref_comparison *o_result, ref_comparison *lse_result);

/* true when something was compared and nothing failed. */
bool ref_passed(const ref_comparison *comparison);

/* Element i of an array of the given type, fp8 without its scale, and its writing, rounded to nearest even (the first
 * CLATTN_FLOAT_DTYPE_COUNT types only). */
double ref_load(const void *data, clattn_dtype dtype, int64_t index);
void ref_store(void *data, clattn_dtype dtype, int64_t index, double value);

/* Writes a row of `count` elements that starts at `start`, in elements or blocks, as an append does: floats to nearest
 * even, fp8 without its scale, saturating, blocks (count a multiple of 32) as ggml makes them from floats. */
void ref_store_row(void *data, clattn_dtype dtype, int64_t start, int32_t count, const double *values);

/* Conversions of bits. binary16 and bfloat16 from float: to nearest even, NaN stays NaN. */
float ref_f32_from_f16(uint16_t bits);
float ref_f32_from_bf16(uint16_t bits);
float ref_f32_from_fp8(uint8_t bits); /* E4M3FN, without a scale */
uint16_t ref_f16_from_f32(float value);
uint16_t ref_bf16_from_f32(float value);
uint8_t ref_fp8_from_f64(double value); /* to nearest even; what is larger than 448 becomes 448 */

/* A small reproducible generator (SplitMix64), so that a case is its seed. */
typedef struct ref_random {
    uint64_t state;
} ref_random;
uint64_t ref_random_bits(ref_random *random);
double ref_random_uniform(ref_random *random);                           /* [0, 1) */
double ref_random_normal(ref_random *random);                            /* mean 0, variance 1 */
int64_t ref_random_range(ref_random *random, int64_t low, int64_t high); /* low .. high, both included */

#endif
