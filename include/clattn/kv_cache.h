/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KV_CACHE_H
#define CLATTN_KV_CACHE_H

#include <clattn/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A cache of keys or values in pages: a pool [pages, page_size, kv_heads, head_dim] that sequences share, and a block
 * table [batch, max_pages] that says which page holds which tokens. Token j of sequence b lies in page
 * block_table[b][j / page_size], at place j % page_size.
 *
 * An entry of -1 is a hole: it has no page, and that is no error. Any other id outside [0, pages) is treated as a hole,
 * is never used as an address, and is reported in the error record, if one is given (clattn_error_record), by the
 * operations that look at it. Entries that no token of the sequence's length falls in are not read. */

/* Gather: copies the pages of each sequence into one tensor [batch, out_len, kv_heads, head_dim], with zeros (bytes of
 * 0) for tokens past the sequence's length and for those in holes. A tensor of the cache's own type gets its bits, of
 * block types too. One of f32, f16 or bf16 gets the values that attention would use, as float (of fp8 the value times
 * the scale of its kv head), rounded to nearest even; NaN stays a NaN. Plan once, run for every layer and step. */

/* Everything that is fixed for the life of a plan. */
typedef struct clattn_gather_desc {
    size_t struct_size;

    clattn_dtype dtype;     /* of the cache: any */
    clattn_dtype out_dtype; /* of the result: dtype, or one of f32, f16 and bf16 */
    int32_t page_size;      /* tokens a page, 1 to 256 */
    int32_t pages;          /* in the cache, 0 to 2^30 */
    int32_t kv_heads;       /* 1 to 65535 */
    int32_t head_dim;       /* 1 to 65535, a multiple of the block of dtype */
    int32_t max_batch;      /* upper bound of a run's batch, 0 to 2^30; it changes no result */
    int32_t max_pages;      /* columns of the block table, 0 to 2^30 */

    clattn_page_strides cache;  /* [pages, page_size, kv_heads, head_dim] */
    int64_t block_table_stride; /* from row to row of the block table, at least max_pages; 0: max_pages */
    clattn_strides out;         /* [batch, out_len, kv_heads, head_dim] of out_dtype; rows may not overlap */
} clattn_gather_desc;

#ifndef __cplusplus
#define CLATTN_GATHER_DESC(...) ((clattn_gather_desc){ .struct_size = sizeof(clattn_gather_desc), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_gather_desc_init(clattn_gather_desc *desc);

/* A kernel compiled for one description on one device. Immutable: any number of threads may use one plan at once. */
typedef struct clattn_gather_plan clattn_gather_plan;

/* Compiles and loads the kernel (or takes it from the caches), as clattn_plan_create does. The program depends on the
 * two types alone; where they are alike one program serves all.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer, an unknown struct_size, a field out of its range (the message names
 *                            it), an out_dtype that dtype is not converted to, a head_dim that blocks do not divide
 *   CLATTN_BUILD_FAILED      the driver failed to compile the kernel
 *   CLATTN_IO_ERROR          a file of kernel_dir is missing or cannot be read
 *   CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR */
CLATTN_API clattn_status clattn_gather_plan_create(clattn_device *device, const clattn_gather_desc *desc,
                                                   clattn_gather_plan **out);

/* Releases the plan. Work that was enqueued with it goes on unharmed, and is not waited for. The last to go, of a
 * device and its plans, may take time: see clattn_device_destroy. */
CLATTN_API void clattn_gather_plan_destroy(clattn_gather_plan **plan);

/* One layer's buffers. Index arrays are read on the device. */
typedef struct clattn_gather_args {
    size_t struct_size;
    clattn_buffer cache;        /* read; not needed where pages or max_pages is 0 */
    clattn_buffer block_table;  /* int32 [batch, max_pages], read; not needed where max_pages is 0 */
    clattn_buffer kv_lens;      /* int32 [batch], read */
    clattn_buffer scales;       /* float [kv_heads], read where dtype is fp8 and out_dtype is not; else not needed */
    clattn_buffer out;          /* written, all of [batch, out_len, kv_heads, head_dim]; may not overlap an input */
    clattn_buffer error_record; /* clattn_error_record, at an offset that is a multiple of 4; all zero: bad ids are not
                                   reported */
} clattn_gather_args;

#ifndef __cplusplus
#define CLATTN_GATHER_ARGS(...) ((clattn_gather_args){ .struct_size = sizeof(clattn_gather_args), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_gather_args_init(clattn_gather_args *args);

/* Enqueues a gather of the first `batch` sequences' first `out_len` tokens on `queue`, after the events of wait_list.
 * Allocates nothing, compiles nothing, does not block. A length in kv_lens that is negative counts as 0, and one over
 * max_pages * page_size or out_len as the smaller of those. `event` may be NULL; else the caller releases it. A call
 * with no work (batch or out_len 0) honours the wait list and returns an event too. In-order and out-of-order queues
 * both work.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer; an unknown struct_size; batch negative or over max_batch; out_len negative
 *                            or over 2^30; a buffer missing, misaligned or smaller than what the description can reach;
 *                            rows of `out` that overlap; queue of another context or device
 *   CLATTN_OPENCL_ERROR      the enqueue failed; nothing runs and *event is untouched
 *   CLATTN_OUT_OF_MEMORY
 * Thread-safe, with one queue too. */
CLATTN_API clattn_status clattn_gather_run(const clattn_gather_plan *plan, int32_t batch, int32_t out_len,
                                           const clattn_gather_args *args, cl_command_queue queue,
                                           cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                           cl_event *event);

#ifdef __cplusplus
}
#endif

#endif
