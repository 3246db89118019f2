/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_SUBJECT_INTERNAL_H
#define CLATTN_TUNE_SUBJECT_INTERNAL_H

/* What the kinds of subjects share: attention (prefill, decode, combine), append and gather. */

#include "kv/append.h"
#include "kv/gather.h"
#include "plan/plan.h"
#include "ref/ref.h"
#include "tune/subject.h"

/* A row's shape on a device. */
typedef struct clattn_subject_sizes {
    int32_t batch, q_heads, kv_heads, q_len, kv_len, head_dim;
    int32_t page_size;  /* 0: K and V are tensors */
    int32_t split_size; /* of a decode whose states combine merges; 0: the candidate's */
    bool small;
} clattn_subject_sizes;

typedef struct clattn_subject_kind clattn_subject_kind;

struct clattn_subject {
    clattn_device *device;
    cl_command_queue queue;
    clattn_subject_row row;
    clattn_subject_sizes shape;
    const clattn_subject_kind *kind;
    clattn_fragment_id fragment; /* of plans */
    int32_t copies;              /* of what is read or written; those of memory-bound calls exceed the caches */
    double work;
    char *got; /* what the last run of a check wrote, got_size bytes */
    size_t got_size;
    void *own; /* the kind's */
    char text[160];
};

struct clattn_trial {
    clattn_subject *subject;
    clattn_candidate candidate;
    clattn_plan *plan; /* one of the three */
    clattn_append_plan *append;
    clattn_gather_plan *gather;
    cl_mem workspace; /* of plan */
};

struct clattn_subject_kind {
    /* Sets own, got, got_size, copies and work. What it made is freed by close(), which is called in either case. */
    clattn_status (*open)(clattn_subject *subject, uint64_t seed);
    void (*close)(clattn_subject *subject);
    clattn_status (*build)(clattn_trial *trial);
    /* A check runs these; the last one is of the timed shape. The outputs hold NaN before, and are read into got. */
    int cases;
    clattn_status (*run_case)(clattn_trial *trial, int which);
    clattn_status (*judge)(clattn_subject *subject, int which, bool *right, char *why, size_t why_size);
    clattn_status (*enqueue)(clattn_trial *trial, int turn, cl_event *first, cl_event *last);
};

extern const clattn_subject_kind clattn_attention_kind, clattn_append_kind, clattn_gather_kind;

/* small_batch: sequences of the tiny shape; 0: the timed one. */
clattn_subject_sizes clattn_subject_sizes_of(const clattn_device *device, const clattn_subject_row *row,
                                             int32_t small_batch);
/* The description that plans of an attention row have: K and V hold one copy. */
clattn_attention_desc clattn_subject_describe(const clattn_subject_row *row, const clattn_subject_sizes *shape);
/* The fragment of its plans on the device. */
clattn_fragment_id clattn_subject_fragment(const clattn_device *device, const clattn_subject_row *row,
                                           const clattn_subject_sizes *shape);
/* What a tile of a fragment has to fit. */
clattn_tile_problem clattn_subject_problem_with(const clattn_subject_row *row, clattn_fragment_id fragment);

/* How many keys and queries the lengths with tails lack of the timed ones. */
#define CLATTN_TAIL_KEYS 13
#define CLATTN_TAIL_ROWS 5

/* How many copies of `bytes` exceed four times the last cache level, as far as memory goes; at least 1. */
int32_t clattn_subject_wanted_copies(const clattn_subject *subject, double bytes);

/* Random numbers: rows of N(0, 1) elements, divided by `unit`. This many are drawn, a prime so that neighbours of
 * other heads, pages and sequences differ; then they repeat. */
#define CLATTN_PERIOD          499
#define CLATTN_SUBJECT_MAX_DIM 256
void clattn_fill_rows(void *data, clattn_dtype dtype, int64_t rows, int32_t dim, double unit, ref_random *random);
size_t clattn_row_bytes(clattn_dtype dtype, int32_t dim);
/* 0 .. count - 1, shuffled. */
void clattn_shuffle(int32_t *ids, int32_t count, ref_random *random);
/* What an fp8 element of a head is multiplied with: of N(0, 1) / CLATTN_FP8_UNIT none is past 448. */
#define CLATTN_FP8_UNIT 0x1p-6
float clattn_fp8_scale(int32_t head);

/* Memory of the subject's device. Each call blocks. Bytes of the outputs that no kernel writes are 0xff: NaN in every
 * type. */
#define CLATTN_UNWRITTEN 0xff
clattn_status clattn_subject_buffer(const clattn_subject *subject, size_t size, cl_mem *out);
clattn_status clattn_subject_upload(const clattn_subject *subject, const void *from, size_t size, cl_mem *out);
/* A buffer of clattn_fp8_scale() of each head. */
clattn_status clattn_subject_scales(const clattn_subject *subject, int32_t heads, cl_mem *out);
clattn_status clattn_subject_write(const clattn_subject *subject, cl_mem to, size_t offset, size_t size,
                                   const void *from);
clattn_status clattn_subject_copy(const clattn_subject *subject, cl_mem memory, size_t from, size_t to, size_t size);
clattn_status clattn_subject_clear(const clattn_subject *subject, cl_mem memory, size_t offset, size_t size);
clattn_status clattn_subject_read(const clattn_subject *subject, cl_mem from, size_t offset, size_t size, void *to);
clattn_status clattn_subject_finish(const clattn_subject *subject);
void clattn_subject_release(cl_mem *memory);
/* malloc; NULL with the last error set. */
void *clattn_subject_memory(size_t size);

/* Both events are that of the one command. */
clattn_status clattn_share_event(cl_event event, cl_event *first, cl_event *last);

#endif
