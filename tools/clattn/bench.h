/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_BENCH_H
#define CLATTN_TOOL_BENCH_H

/* clattn bench: shapes, what is loaded for one, and its row in the report. */

#include <jansson.h>

#include "options.h"
#include "page_layout.h"
#include "peak.h"

/* In the order of commands.def. */
typedef enum bench_op { BENCH_ATTENTION, BENCH_DECODE, BENCH_GATHER, BENCH_APPEND } bench_op;

typedef struct bench_shape {
    bench_op op;
    clattn_dtype dtype; /* of Q and O; of what append reads and gather writes */
    int32_t batch, q_heads, kv_heads, q_len, kv_len, head_dim;
    bool causal;
    window_option window;
    int32_t page_size;             /* 0: K and V are tensors */
    clattn_dtype k_dtype, v_dtype; /* of K and V, in pages or not */
} bench_shape;

/* Which tiles of the search space: none, those that the tuner would measure, or all that the device can run. */
typedef enum bench_sweep { BENCH_SWEEP_NONE, BENCH_SWEEP_SUITED, BENCH_SWEEP_ALL } bench_sweep;

typedef struct bench {
    session on;
    peaks peaks;
    int runs; /* timed ones; 0: at least MIN_RUNS for MIN_SECONDS (bench_measure.c) */
    bool as_json, with_baseline;
    bool in_turns; /* a run for each line of standard input; then `runs` does not count */
    bench_sweep sweep;
    struct bench_plot *plot; /* takes the rows; NULL: there is none */
} bench;

/* The shape that options ask for. Exit status. */
int bench_read_shape(const options *given, bench_shape *out);
/* Fails where a shape's options are given beside --suite. Exit status. */
int bench_refuse_shape(const options *given);
const char *bench_op_name(bench_op op);
bool bench_attends(bench_op op);
/* "full", "causal", "window 511,0", "causal 511,-1"; "" of what has no queries. Returns `text`. */
const char *bench_mask_name(const bench_shape *shape, char *text, size_t size);

/* Bytes of a row of head_dim numbers. */
size_t bench_row_bytes(clattn_dtype dtype, int32_t head_dim);
/* What an fp8 element of a cache is multiplied by: of the numbers below, which are N(0, 1), none comes to 8. */
#define BENCH_FP8_UNIT  (8.0 / 448.0)
#define BENCH_FP8_SCALE ((float)BENCH_FP8_UNIT)
/* Random numbers, N(0, 1), of one of the first three types. Owned by the caller; NULL without memory. */
void *bench_make_numbers(clattn_dtype dtype, size_t bytes, ref_random *random);
/* How many copies of `bytes` exceed four times the last cache together. */
int bench_wanted_copies(const session *on, double bytes);
/* Fails where no buffer of the device holds a tensor of the shape. Exit status. */
int bench_size_tensor(const session *on, const char *what, const bench_shape *shape, int32_t heads, int32_t length,
                      size_t *out);

/* Something to be timed. */
typedef enum bench_peak { BENCH_PEAK_FMA, BENCH_PEAK_READ, BENCH_PEAK_COPY } bench_peak;

typedef struct bench_task {
    const void *subject;
    int copies; /* that runs take in turn */
    int (*run)(const void *subject, int copy, double *seconds);
    int (*run_other)(const void *subject, int copy, double *seconds); /* timed in turns with it; NULL: nothing */
    bench_peak peak;
    double flops; /* of a run; 0: they do not count */
    double bytes; /* of a run; 0: memory is not what is measured */
} bench_task;

enum { BENCH_MAX_RUNS = 1000 };

typedef struct bench_times {
    int count;
    double seconds[BENCH_MAX_RUNS], other_seconds[BENCH_MAX_RUNS];
    double median, best, other_median;
    double peak, fraction; /* FLOP or bytes a second that count, and what part of them was reached */
} bench_times;

/* Times a warm task, and its peak: memory's over as many bytes as all copies have. The plot takes both. Exit status. */
int bench_measure(const bench *of, const bench_shape *shape, const bench_task *task, bench_times *out);

/* The shape's names and values. Owned by the caller; NULL without memory. */
json_t *bench_shape_json(const bench_shape *shape);
/* The columns that say what a row is, and their titles; nothing after them. */
void bench_print_shape(const bench_shape *shape);
void bench_print_shape_titles(void);

/* Prints what stands before the rows: the peaks. Exit status, as for all below. */
int bench_print_head(const bench *of);

/* Finish a row: `object` has what stands before the times, `kernel` names what ran. */
int bench_print_json(json_t *object, const bench_task *task, const bench_times *found);
void bench_print_text(const bench_shape *shape, const bench_task *task, const bench_times *found, const char *kernel);

/* Measures a shape and prints its row. */
int bench_row(const bench *of, const bench_shape *shape);
int bench_attention_row(const bench *of, const bench_shape *shape);
int bench_gather_row(const bench *of, const bench_shape *shape);
int bench_append_row(const bench *of, const bench_shape *shape);

/* Measures a suite's shapes; or only prints them, without a device. */
int bench_suite_run(const bench *of, const char *suite);
int bench_suite_list(const char *suite, bool as_json);

/* Measures every tile, and prints a row for each. Of attention and decode. */
int bench_sweep_row(const bench *of, const bench_shape *shape);

#endif
