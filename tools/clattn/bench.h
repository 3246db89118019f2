/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_BENCH_H
#define CLATTN_TOOL_BENCH_H

/* clattn bench: shapes, what is loaded for one, and its row in the report. */

#include "job.h"
#include "peak.h"

typedef struct bench_shape {
    clattn_dtype dtype;
    int32_t batch, q_heads, kv_heads, q_len, kv_len, head_dim;
    bool causal;
} bench_shape;

typedef struct bench {
    session on;
    peaks peaks;
    int runs; /* timed ones; 0: MIN_RUNS and MIN_SECONDS of bench_row.c */
    bool as_json, with_baseline;
} bench;

/* A shape on the device. */
typedef struct bench_case {
    job work;
    bool memory_bound;  /* so few query rows that reading K and V is what takes time */
    int count;          /* copies of K and V that runs take in turn */
    loaded_job *copies; /* they share all else, which the first one owns */
} bench_case;

/* Exit status; on failure nothing is left open. */
int bench_case_open(const session *on, const bench_shape *shape, bench_case *out);
void bench_case_close(bench_case *open);

/* Bytes of K and V, each counted once a kv head. */
double bench_case_kv_bytes(const bench_case *open);

/* Prints what stands before the rows: the peaks. Exit status, as for the next. */
int bench_print_head(const bench *of);

/* Measures a shape and prints its row. */
int bench_row(const bench *of, const bench_shape *shape);

#endif
