/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TYPES_H
#define CLATTN_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include <clattn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a tensor's elements are stored. Arithmetic is float whatever the storage. Q, O and the rows that are appended to
 * a cache have one of the first three; K, V and caches any. */
typedef enum clattn_dtype {
    CLATTN_F32 = 0,  /* IEEE binary32 */
    CLATTN_F16 = 1,  /* IEEE binary16; the device needs no cl_khr_fp16 */
    CLATTN_BF16 = 2, /* the upper half of a binary32 */
    CLATTN_FP8 = 3,  /* OCP E4M3FN (no infinities, largest 448), times a float for each kv head that the caller gives */
    CLATTN_Q8_0 = 4, /* ggml's blocks of 32 along head_dim: a binary16 d, then 32 int8 q; element i is d * q[i] */
    CLATTN_Q4_0 = 5  /* ggml's blocks of 32: a binary16 d, then 16 bytes; element i is d * (low half of byte i - 8), and
                        element 16 + i is d * (high half of byte i - 8) */
} clattn_dtype;

#define CLATTN_DTYPE_COUNT       6
#define CLATTN_FLOAT_DTYPE_COUNT 3 /* those that stand alone, without scales: the first of the list */

/* "f32", "f16", "bf16", "fp8", "q8_0", "q4_0"; NULL for a value that is not in the list. Thread-safe. */
CLATTN_API const char *clattn_dtype_name(clattn_dtype dtype);

/* Elements of a block: 32 for q8_0 and q4_0, which a head_dim has to be a multiple of; 1 for all others, whose elements
 * are stored one by one; 0 for a value that is not in the list. Strides and offsets of a tensor count blocks.
 * Thread-safe. */
CLATTN_API int32_t clattn_dtype_block_len(clattn_dtype dtype);

/* Bytes of a block: 4, 2, 2, 1, 34, 18; 0 for a value that is not in the list. Thread-safe. */
CLATTN_API size_t clattn_dtype_size(clattn_dtype dtype);

/* What a buffer's offset has to be a multiple of, in bytes: 4, 2, 2, 1, 2, 2; 0 for a value that is not in the list.
 * Thread-safe. */
CLATTN_API size_t clattn_dtype_alignment(clattn_dtype dtype);

/* What clattn_buffer.handle is. */
typedef enum clattn_buffer_kind {
    CLATTN_BUFFER_CL_MEM = 0 /* a cl_mem buffer object */
} clattn_buffer_kind;

/* A range of device memory. The caller owns what `handle` names and keeps it alive until the work that uses it has
 * ended; the library neither retains nor releases it. All zero means "no buffer". Elements start at byte `offset`,
 * which has to be a multiple of the element's size (nothing more: no sub-buffer is made). */
typedef struct clattn_buffer {
    clattn_buffer_kind kind;
    void *handle;  /* the cl_mem */
    size_t offset; /* in bytes from the buffer's start */
    size_t size;   /* in bytes from `offset`; 0: all up to the buffer's end */
} clattn_buffer;

/* Distances, in elements (blocks of block types), between neighbours of a tensor [batch, token, head, dim] in any order
 * of memory. The last dimension is contiguous. A stride may be 0 (broadcast) on inputs; it may not be negative. BSHD,
 * contiguous:  { .batch = len * heads * dim, .token = heads * dim, .head = dim } BHSD, contiguous:  { .batch = heads *
 * len * dim, .token = dim, .head = len * dim } packed [tokens, heads, dim]:  { .batch = 0, .token = heads * dim, .head
 * = dim } Q out of packed QKV [batch, len, 3, heads, dim]:  { .batch = len * 3 * heads * dim, .token = 3 * heads * dim,
 * .head = dim } */
typedef struct clattn_strides {
    int64_t batch;
    int64_t token;
    int64_t head;
} clattn_strides;

/* Distances, in elements (blocks of block types), between neighbours of a cache [pages, page_size, kv_heads, head_dim]
 * in any order of memory. The last dimension is contiguous. Not negative; 0 repeats. [pages, page_size, kv_heads, dim]:
 * { .page = page_size * kv_heads * dim, .token = kv_heads * dim, .head = dim } [pages, kv_heads, page_size, dim]:  {
 * .page = kv_heads * page_size * dim, .token = dim, .head = page_size * dim } */
typedef struct clattn_page_strides {
    int64_t page;
    int64_t token;
    int64_t head;
} clattn_page_strides;

/* Bits of clattn_error_record.kinds. */
typedef enum clattn_error_kind {
    CLATTN_ERROR_PAGE_ID = 1, /* a block table holds an id that is neither -1 nor in [0, pages) */
    CLATTN_ERROR_SLOT = 2     /* a slot_mapping holds a slot of pages * page_size or more */
} clattn_error_kind;

/* What kernels report of bad content that only the device sees: 16 bytes at the start of a buffer that the caller gives
 * to a run. Kernels only add to it, by atomics, so that one record may serve any number of runs. The caller writes
 * CLATTN_ERROR_RECORD_CLEAR to it before, and reads it when the runs have ended. */
typedef struct clattn_error_record {
    uint32_t kinds;       /* clattn_error_kind, or-ed together; 0: nothing to report */
    uint32_t sequence;    /* the lowest one that something is wrong with, of slots the lowest token; UINT32_MAX:
                             none */
    uint32_t reserved[2]; /* 0 */
} clattn_error_record;

#ifndef __cplusplus
#define CLATTN_ERROR_RECORD_CLEAR ((clattn_error_record){ .sequence = UINT32_MAX })
#endif

#ifdef __cplusplus
}
#endif

#endif
