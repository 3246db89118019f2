/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_MERGE_H
#define CLATTN_MERGE_H

#include <clattn/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Merge of partial results: from attention over disjoint sets of keys (parts) to attention over all of them. Each part
 * is an O and a natural LSE for the same queries, as clattn_attention_run writes them with has_lse. Plan once, run for
 * every layer and step.
 *
 * Semantics, for each row (token, head), where m is the largest LSE of its parts, the sink's logit included, and
 * w = exp(LSE - m) the weight of a part:
 *   O = sum(w * O of the part) / sum(w), LSE = m + log(sum(w)), the sums of weights with exp(sink - m)
 * A part whose LSE is -inf is empty: it takes no part at all, whatever its O holds, NaN included.
 *   No part has keys:        O = 0, LSE = -inf (with sinks: the sink).
 *   One has, and no sink:    O and LSE are its own, whatever they are: O bit for bit where part_dtype is o_dtype (a NaN
 *                            stays a NaN), else rounded to o_dtype.
 *   Otherwise:               what IEEE arithmetic gives. An LSE that is NaN or +inf makes the row's O and LSE NaN; a
 *                            NaN in O stays in its dim; a weight may underflow to 0, and 0 * inf is NaN.
 *
 * Parts are merged in their order. A result's bits depend on the device, the description without its bounds, and the
 * row's own parts alone. docs/semantics.md says more. */

/* Distances, in elements, between neighbours of a tensor [parts, tokens, q_heads, dim] (O) or [parts, tokens, q_heads]
 * (LSE) in any order of memory. O's last dimension is contiguous. Not negative; 0 repeats. All parts lie in one cl_mem:
 * let each attention write into one allocation, at an offset of its own. */
typedef struct clattn_part_strides {
    int64_t part;
    int64_t token;
    int64_t head;
} clattn_part_strides;

/* The same for a result, [tokens, q_heads, dim] or [tokens, q_heads]. */
typedef struct clattn_row_strides {
    int64_t token;
    int64_t head;
} clattn_row_strides;

/* Everything that is fixed for the life of a plan. */
typedef struct clattn_merge_desc {
    size_t struct_size;

    clattn_dtype part_dtype; /* of the parts' O: f32, f16 or bf16 */
    clattn_dtype o_dtype;    /* of the result: f32, f16 or bf16 */
    int32_t q_heads;         /* 1 to 65535 */
    int32_t v_head_dim;      /* 1 to 65535 */
    int32_t max_parts;       /* upper bound of a run's parts, 0 to 2^30; it changes no result */
    int32_t max_tokens;      /* upper bound of a run's tokens, 0 to 2^30; it changes no result */

    clattn_part_strides o_parts;   /* [parts, tokens, q_heads, v_head_dim] */
    clattn_part_strides lse_parts; /* [parts, tokens, q_heads] */
    clattn_row_strides o;          /* [tokens, q_heads, v_head_dim]; rows may not overlap */
    int has_lse;                   /* non-zero: the merged LSE is written too */
    clattn_row_strides lse;        /* [tokens, q_heads]; rows may not overlap; read with has_lse */
    int has_sinks; /* non-zero: sinks is given, a logit a query head that is counted once here. The parts have to be
                      computed without them */
} clattn_merge_desc;

#ifndef __cplusplus
#define CLATTN_MERGE_DESC(...) ((clattn_merge_desc){ .struct_size = sizeof(clattn_merge_desc), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_merge_desc_init(clattn_merge_desc *desc);

/* A kernel compiled for one description on one device. Immutable: any number of threads may use one plan at once. */
typedef struct clattn_merge_plan clattn_merge_plan;

/* Compiles and loads the kernel (or takes it from the caches), as clattn_plan_create does. The program depends on the
 * types and on v_head_dim.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer, an unknown struct_size, a field out of its range (the message names it)
 *   CLATTN_BUILD_FAILED      the driver failed to compile the kernel
 *   CLATTN_IO_ERROR          a file of kernel_dir is missing or cannot be read
 *   CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR */
CLATTN_API clattn_status clattn_merge_plan_create(clattn_device *device, const clattn_merge_desc *desc,
                                                  clattn_merge_plan **out);

/* Releases the plan. Work that was enqueued with it goes on unharmed, and is not waited for. The last to go, of a
 * device and its plans, may take time: see clattn_device_destroy. */
CLATTN_API void clattn_merge_plan_destroy(clattn_merge_plan **plan);

/* One layer's buffers. Those that the description does not ask for are ignored. */
typedef struct clattn_merge_args {
    size_t struct_size;
    clattn_buffer o_parts;   /* part_dtype [parts, tokens, q_heads, v_head_dim], read; not needed where parts is 0 */
    clattn_buffer lse_parts; /* float [parts, tokens, q_heads], natural, read; not needed where parts is 0 */
    clattn_buffer o;         /* o_dtype [tokens, q_heads, v_head_dim], written, all of it */
    clattn_buffer lse;       /* float [tokens, q_heads], written, all of it; with has_lse */
    clattn_buffer sinks;     /* float [q_heads], read; -inf is none; with has_sinks */
} clattn_merge_args;

#ifndef __cplusplus
#define CLATTN_MERGE_ARGS(...) ((clattn_merge_args){ .struct_size = sizeof(clattn_merge_args), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_merge_args_init(clattn_merge_args *args);

/* Enqueues a merge of the first `parts` parts' first `tokens` tokens on `queue`, after the events of wait_list.
 * Allocates nothing, compiles nothing, does not block. No part (parts 0) is a merge of empty ones. `event` may be NULL;
 * else the caller releases it. A call with no work (tokens 0) honours the wait list and returns an event too. In-order
 * and out-of-order queues both work.
 *
 * Outputs may not overlap inputs or each other: from its first element to its last, gaps included, none may meet
 * another in one cl_mem. Sub-buffers of one buffer are not looked through; they have to obey too.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer; an unknown struct_size; parts negative or over max_parts; tokens negative
 *                            or over max_tokens; a buffer missing, misaligned or smaller than what the description can
 *                            reach; rows of `o` or `lse` that overlap; an output that meets another buffer; queue of
 *                            another context or device
 *   CLATTN_OPENCL_ERROR      the enqueue failed; nothing runs and *event is untouched
 *   CLATTN_OUT_OF_MEMORY
 * Thread-safe, with one queue too. */
CLATTN_API clattn_status clattn_merge_states(const clattn_merge_plan *plan, int32_t parts, int32_t tokens,
                                             const clattn_merge_args *args, cl_command_queue queue,
                                             cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                             cl_event *event);

#ifdef __cplusplus
}
#endif

#endif
