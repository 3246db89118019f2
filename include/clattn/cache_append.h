/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_CACHE_APPEND_H
#define CLATTN_CACHE_APPEND_H

#include <clattn/kv_cache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Append: writes the rows of new tokens, keys and values, to their places in paged caches, converted to the caches'
 * types. Token n goes to slot slot_mapping[n]: to page slot / page_size, at place slot % page_size. A negative slot is
 * skipped, and that is no error. A slot of pages * page_size or more writes nothing and is reported in the error
 * record, if one is given: CLATTN_ERROR_SLOT, with the token's index n as `sequence`. No two tokens of a call may have
 * one slot; if they do, the slot's bytes may be of either. Plan once, run for every layer and step.
 *
 * Conversion. Rows of the cache's own type are copied bit for bit. Otherwise elements go through float:
 *   f32, f16, bf16  rounded to nearest even; NaN stays a NaN
 *   fp8   x / scale of its kv head, rounded to float, then to nearest even; what is larger than 448, infinities too,
 *         becomes 448 with its sign; NaN stays a NaN
 *   q8_0  d = max|x| / 127 in float; q = x * (1 / d), rounded to the nearest, halves away from zero; d is stored as f16
 *   q4_0  d = m / -8 with m the first element of largest |x|; q = x * (1 / d) + 8.5 in float, rounded down, at most 15
 * Blocks are the bytes that gguf 0.19's quantize makes, those too whose d is 0 or past what f16 holds. A block with an
 * infinity or a NaN has a d that is one, and gives NaN. On devices that flush subnormal floats, elements below 2^-126
 * count as 0. */

/* Keys or values. All zero: absent. */
typedef struct clattn_append_plane {
    clattn_dtype src_dtype;    /* of the new rows: one of the first three */
    clattn_dtype dtype;        /* of the cache: any */
    int32_t head_dim;          /* 1 to 65535, a multiple of the block of dtype; 0: this plane is absent */
    clattn_strides src;        /* [tokens, kv_heads, head_dim]; batch has to be 0 */
    clattn_page_strides cache; /* [pages, page_size, kv_heads, head_dim] of dtype; rows may not overlap */
} clattn_append_plane;

/* Everything that is fixed for the life of a plan. */
typedef struct clattn_append_desc {
    size_t struct_size;

    int32_t page_size;  /* tokens a page, 1 to 256 */
    int32_t pages;      /* in each cache, 0 to 2^30 */
    int32_t kv_heads;   /* 1 to 65535 */
    int32_t max_tokens; /* upper bound of a run's tokens, 0 to 2^30; it changes no result */

    clattn_append_plane k, v; /* one of them at least is present */
} clattn_append_desc;

#ifndef __cplusplus
#define CLATTN_APPEND_DESC(...) ((clattn_append_desc){ .struct_size = sizeof(clattn_append_desc), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_append_desc_init(clattn_append_desc *desc);

/* Kernels compiled for one description on one device: one where K and V have the same types, else two. Immutable: any
 * number of threads may use one plan at once. */
typedef struct clattn_append_plan clattn_append_plan;

/* Compiles and loads the kernels (or takes them from the caches), as clattn_plan_create does. A program depends on the
 * two types alone.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer, an unknown struct_size, a field out of its range, a head_dim that blocks
 * do not divide, src.batch not 0, both planes absent, cache rows that overlap CLATTN_BUILD_FAILED      the driver
 * failed to compile a kernel CLATTN_IO_ERROR          a file of kernel_dir is missing or cannot be read
 *   CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR */
CLATTN_API clattn_status clattn_append_plan_create(clattn_device *device, const clattn_append_desc *desc,
                                                   clattn_append_plan **out);

/* Releases the plan. Work that was enqueued with it goes on unharmed, and is not waited for. The last to go, of a
 * device and its plans, may take time: see clattn_device_destroy. */
CLATTN_API void clattn_append_plan_destroy(clattn_append_plan **plan);

/* Of a plane; not read where it is absent. */
typedef struct clattn_append_buffers {
    clattn_buffer src;    /* read; may not overlap a cache */
    clattn_buffer cache;  /* written, the rows of the slots alone; not needed where pages is 0 */
    clattn_buffer scales; /* float [kv_heads], read: what an fp8 value is multiplied with when it is used; not needed
                             for other types */
} clattn_append_buffers;

/* One layer's buffers. Index arrays are read on the device. */
typedef struct clattn_append_args {
    size_t struct_size;
    clattn_buffer slot_mapping; /* int64 [tokens], read */
    clattn_append_buffers k, v;
    clattn_buffer error_record; /* clattn_error_record, at an offset that is a multiple of 4; all zero: bad slots are
                                   not reported */
} clattn_append_args;

#ifndef __cplusplus
#define CLATTN_APPEND_ARGS(...) ((clattn_append_args){ .struct_size = sizeof(clattn_append_args), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_append_args_init(clattn_append_args *args);

/* Enqueues an append of the first `tokens` tokens on `queue`, after the events of wait_list. Allocates nothing,
 * compiles nothing, does not block. `event` may be NULL; else the caller releases it, and it is of keys and values
 * both. A call with no token honours the wait list and returns an event too. In-order and out-of-order queues both
 * work.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer; an unknown struct_size; tokens negative or over max_tokens; a buffer
 *                            missing, misaligned or smaller than what the description can reach; queue of another
 *                            context or device
 *   CLATTN_OPENCL_ERROR      an enqueue failed; *event is untouched. Where K and V have other types than each other,
 *                            the keys may have been enqueued
 *   CLATTN_OUT_OF_MEMORY
 * Thread-safe, with one queue too. */
CLATTN_API clattn_status clattn_append_run(const clattn_append_plan *plan, int32_t tokens,
                                           const clattn_append_args *args, cl_command_queue queue,
                                           cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                           cl_event *event);

#ifdef __cplusplus
}
#endif

#endif
