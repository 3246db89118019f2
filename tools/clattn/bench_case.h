/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_BENCH_CASE_H
#define CLATTN_TOOL_BENCH_CASE_H

#include "bench.h"

/* A shape of attention on the device. */
typedef struct bench_case {
    job work;
    page_layout pages;
    job_append append;
    int64_t *slots;     /* owned, of `append` */
    float *scales;      /* owned: fp8's, of K and V alike */
    bool memory_bound;  /* so few query rows that reading K and V is what takes time */
    int count;          /* copies of K, V and the block table that runs take in turn */
    loaded_job *copies; /* they share all else, which the first one owns */
} bench_case;

/* Exit status; on failure nothing is left open. */
int bench_case_open(const session *on, const bench_shape *shape, bench_case *out);
void bench_case_close(bench_case *open);

/* Bytes of K and V, each counted once a kv head. */
double bench_case_kv_bytes(const bench_shape *shape);

/* Compares O of a run that has ended with the reference: rows of every head, of the first sequences. Exit status. */
int bench_case_check(const bench_case *of);

#endif
