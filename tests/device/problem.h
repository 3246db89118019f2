/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_PROBLEM_H
#define TESTS_DEVICE_PROBLEM_H

/* What a case stands for in host memory: description, lengths, data, and room for the outputs. */

#include <clattn/attention.h>

#include "case.h"
#include "ref/ref.h"

/* Around every buffer's elements; whole floats. */
#define MARGIN 64
/* Outputs hold this byte wherever nothing may be written. */
#define GUARD_BYTE 0xa5
/* Outputs hold this value wherever something has to be written. */
#define UNWRITTEN 12344.0

typedef enum memory_id {
    MEM_Q,
    MEM_K,
    MEM_V,
    MEM_O,
    MEM_LSE,
    MEM_CU_Q,
    MEM_CU_KV,
    MEM_KV_LENS,
    MEM_TABLE, /* or the list */
    MEM_INDPTR,
    MEM_LAST_LEN,
    MEM_K_SCALES,
    MEM_V_SCALES,
    MEM_RECORD,
    MEM_Q_OFFSETS,
    MEM_MASK,
    MEM_MASK_OFFSETS,
    MEM_MASK_ROWS,
    MEM_SLOPES,
    MEM_SINKS,
    MEM_WORKSPACE,
    MEM_COUNT
} memory_id;

/* One buffer. `host` is what it holds before a run; `got`, of outputs, what it held after. */
typedef struct memory {
    unsigned char *host, *got;
    size_t size;
    cl_mem buffer;
} memory;

/* Elements of a buffer: byte offset of the first, and how many bytes from there can be reached. */
typedef struct view {
    memory_id memory;
    size_t offset, size;
} view;

typedef struct problem {
    test_case c;
    clattn_attention_desc desc;
    clattn_lengths lengths;
    int32_t q_lens[CASE_MAX_BATCH], kv_lens[CASE_MAX_BATCH]; /* of sequences */
    int32_t kv_room[CASE_MAX_BATCH];                         /* tokens of the packed buffer */
    ref_inputs in;
    memory memory[MEM_COUNT];
    view view[MEM_COUNT];
    size_t workspace_size;
} problem;

/* Makes everything in host memory from a normalized case. false: no memory; free it all the same. */
bool problem_make(problem *p, const test_case *c);
void problem_free(problem *p);

/* Data of Q, K and V, and the poison. Called by problem_make once the rest is there. */
bool problem_fill_tensors(problem *p);
/* Tables of pages, from shuffled ids. Called by problem_make before room is made for K and V. */
bool problem_make_pages(problem *p);
/* What the error record has to hold after a run, as far as that is certain: the lowest sequence that meets a bad id for
 * sure, and the lowest that has one; UINT32_MAX: none. */
void problem_bad_sequences(const problem *p, uint32_t *certain, uint32_t *possible);

/* A number that only depends on the seed and the place, so that elements reached twice by stride 0 get the same. */
uint64_t problem_hash(const problem *p, uint64_t salt, int64_t place);
/* Sequences of the same lengths hold the same data, wherever they stand in whatever batch. */
int64_t problem_identity(const problem *p, int32_t b);

/* Mask values, slopes, sinks, offsets. Called by problem_make. */
bool problem_make_modifiers(problem *p);

/* Room for `elements` elements of the given size behind the case's shift, all bytes 0xff (NaN in every type). */
bool problem_add_memory(problem *p, memory_id id, int64_t elements, size_t element_size);
/* Its first element. */
void *problem_host(const problem *p, memory_id id);

/* Whether bytes of an output that nothing may write were written; reports the first. */
bool problem_guards_hold(const problem *p, memory_id id, size_t *where);

/* Bytes of output `id` that belong to one sequence go to out, in the order (row, head, dim), whatever the strides.
 * Returns their number; out may be NULL. */
size_t problem_extract(const problem *p, memory_id id, int32_t b, unsigned char *out);

/* Rows that have to be written. */
int64_t problem_rows(const problem *p);

#endif
