/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_ATTENTION_H
#define CLATTN_ATTENTION_H

#include <clattn/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Attention forward: O = softmax(mask(scale * Q K^T)) V, by tiles with an online softmax (FlashAttention-2,
 * arXiv 2307.08691), and, for few queries against many keys, over splits of the keys that are merged afterwards
 * (Flash-Decoding). Four steps:
 *
 *   describe   clattn_attention_desc: types, heads, dims, layouts, masks, and upper bounds of the lengths
 *   plan       clattn_plan_create: chooses and compiles the kernels; the only step that takes long
 *   schedule   clattn_schedule_make: a step's lengths, on the host, in microseconds; serves every layer of the step
 *   run        clattn_attention_run: enqueues the kernels on one layer's buffers
 *
 * Semantics. Query i of a sequence stands at position p = i + offset; key j at position j.
 *   logit = scale * q.k;  then softcap * tanh(logit / softcap);  then - slope[q_head] * |p - j|;  then + additive mask
 * A key is attended when it passes all of: j < kv_len; causal (j <= p); window (p - left <= j <= p + right); the mask.
 * kv_head = q_head / (q_heads / kv_heads). A query that attends no key gets O = 0 and LSE = -inf (with sinks: the
 * sink). LSE is the natural logarithm of the softmax's denominator, sink included. Keys that a query does not attend do
 * not touch its row, even if they are NaN or Inf; those that it attends give what IEEE arithmetic gives.
 * docs/semantics.md says more.
 *
 * The bits of a sequence's result depend on the device, the plan's static description and that sequence's own q_len and
 * kv_len: not on the batch, on neighbours, on bounds or on whether a schedule was given. */

/* Where queries stand among the keys. */
typedef enum clattn_q_offset_mode {
    CLATTN_Q_OFFSET_BOTTOM_RIGHT = 0, /* kv_len - q_len of each sequence: the last query stands at the last key */
    CLATTN_Q_OFFSET_CONSTANT = 1,     /* clattn_attention_desc.q_offset for every sequence */
    CLATTN_Q_OFFSET_ARRAY = 2         /* clattn_attention_args.q_offsets, one a sequence */
} clattn_q_offset_mode;

typedef enum clattn_window_mode {
    CLATTN_WINDOW_NONE = 0,
    CLATTN_WINDOW_LR = 1 /* window_left and window_right count */
} clattn_window_mode;

typedef enum clattn_mask_kind {
    CLATTN_MASK_NONE = 0,
    CLATTN_MASK_BOOL = 1,    /* uint8_t: non-zero keeps the key */
    CLATTN_MASK_ADD_F32 = 2, /* added to the logit; a value <= -1e30 masks the key */
    CLATTN_MASK_ADD_F16 = 3, /* the same, stored as binary16 (so only -inf masks) */
    CLATTN_MASK_BITS = 4     /* a bit an element, 1 keeps the key: element e is bit e % 8 of byte e / 8 */
} clattn_mask_kind;

/* How many tokens a sequence has, and where they lie. */
typedef enum clattn_length_mode {
    CLATTN_LENGTH_UNIFORM = 0,      /* every sequence has as many: the schedule's, else the bound */
    CLATTN_LENGTH_PER_SEQUENCE = 1, /* sequence b has kv_lens[b]; K and V only; its tokens start at batch stride * b */
    CLATTN_LENGTH_RAGGED = 2 /* packed [tokens, heads, dim]: sequence b is tokens cu_seqlens[b] .. cu_seqlens[b + 1];
                                the batch stride has to be 0 */
} clattn_length_mode;

/* Where K and V lie. Pages are those of clattn/kv_cache.h: token j of a sequence lies in the page that entry
 * j / page_size of its table names, at place j % page_size. An entry of -1 is a hole: its keys are masked. Another id
 * outside [0, pages) is treated as a hole too and, where a tile of queries comes to it, reported in the error record:
 * entries behind the last key that a tile of queries may attend are not looked at. */
typedef enum clattn_kv_mode {
    CLATTN_KV_CONTIGUOUS = 0,  /* tensors: k and v, by kv_length_mode */
    CLATTN_KV_BLOCK_TABLE = 1, /* pages: k_cache and v_cache, a row of block_table a sequence; kv_length_mode UNIFORM or
                                  PER_SEQUENCE */
    CLATTN_KV_PAGE_LIST = 2    /* pages: sequence b has the entries page_indptr[b] .. page_indptr[b + 1] of page_indices
                                  (CSR), all full but the last, which has last_page_len[b] tokens; kv_length_mode is
                                  PER_SEQUENCE, and kv_lens is not read */
} clattn_kv_mode;

/* Everything that is fixed for the life of a plan. Strides are in elements; see clattn_strides. */
typedef struct clattn_attention_desc {
    size_t struct_size;

    clattn_dtype q_dtype, k_dtype, v_dtype, o_dtype;
    int32_t q_heads;    /* >= 1, a multiple of kv_heads */
    int32_t kv_heads;   /* >= 1 */
    int32_t head_dim;   /* of Q and K, 1 to 576 */
    int32_t v_head_dim; /* of V and O, 1 to 576; 0: head_dim */

    /* Lengths and batch are up to 2^30 each, as is max_q_len * q_heads / kv_heads; heads up to 65535.
     * Upper bounds over all steps; they size the workspace and the launches and change no result. */
    int32_t max_batch;    /* >= 0 */
    int32_t max_q_len;    /* of one sequence, >= 0 */
    int32_t max_kv_len;   /* of one sequence, >= 0 */
    int32_t min_q_len;    /* a promise, 0 to max_q_len: every sequence has no query or at least these. Lets a plan leave
                             out the kernel for few queries; 0 promises nothing. Sequences that break it are an error of
                             clattn_schedule_make; without a schedule their rows may be left unwritten */
    int64_t max_q_tokens; /* ragged Q: rows of the packed Q, O and LSE buffers; 0: max_batch * max_q_len */
    int64_t max_kv_tokens; /* ragged K and V: rows of the packed buffers; 0: max_batch * max_kv_len */

    clattn_length_mode q_length_mode;  /* UNIFORM or RAGGED */
    clattn_length_mode kv_length_mode; /* UNIFORM, PER_SEQUENCE or RAGGED */
    int has_kv_lens;                   /* with ragged K and V: kv_lens too is given; sequence b uses the first
                                          min(kv_lens[b], cu_seqlens_kv[b + 1] - cu_seqlens_kv[b]) of its tokens */

    /* Pages; with kv_mode BLOCK_TABLE or PAGE_LIST only. */
    clattn_kv_mode kv_mode;
    int32_t page_size;                    /* tokens a page, 1 to 256 */
    int32_t pages;                        /* in the caches, 0 to 2^30 */
    int32_t max_pages;                    /* BLOCK_TABLE: entries of a row, at least max_kv_len / page_size rounded up;
                                             0: that */
    int64_t block_table_stride;           /* BLOCK_TABLE: from a sequence's row to the next; 0: max_pages */
    int64_t block_table_head_stride;      /* BLOCK_TABLE: from a kv head's row to the next; 0: all heads share a row */
    int64_t max_page_indices;             /* PAGE_LIST: entries of page_indices */
    clattn_page_strides k_cache, v_cache; /* K and V [pages, page_size, kv_heads, head_dim or v_head_dim] */

    clattn_strides q; /* Q [batch, q_len, q_heads, head_dim] */
    clattn_strides k; /* K [batch, kv_len, kv_heads, head_dim]; with KV_CONTIGUOUS */
    clattn_strides v; /* V [batch, kv_len, kv_heads, v_head_dim]; with KV_CONTIGUOUS; V may lie inside K's buffer (MLA),
                         in pages too */
    clattn_strides o; /* O [batch, q_len, q_heads, v_head_dim]; rows may not overlap */
    int has_lse;      /* non-zero: LSE is written too */
    clattn_strides lse; /* LSE float [batch, q_len, q_heads]; rows may not overlap */

    float scale;   /* of the logits; 0: 1 / sqrt(head_dim); finite */
    float softcap; /* 0: off; finite, >= 0 */
    int causal;    /* non-zero: key j is attended when j <= p */
    clattn_window_mode window_mode;
    int32_t window_left;  /* with WINDOW_LR: keys from p - window_left on; -1: unbounded */
    int32_t window_right; /* with WINDOW_LR: keys up to p + window_right; -1: unbounded */
    clattn_q_offset_mode q_offset_mode;
    int32_t q_offset; /* with Q_OFFSET_CONSTANT; may be negative; q_offset + max_q_len < 2^31 */

    /* Mask [batch, q_heads, q_len, kv_len] by strides >= 0 in elements, 0 broadcasts. Ragged batches may give, for each
     * sequence, where its mask starts and how far its rows are apart (clattn_attention_args.mask_offsets,
     * mask_row_strides), in place of mask_batch_stride and mask_q_stride. */
    clattn_mask_kind mask_kind;
    int64_t mask_batch_stride, mask_head_stride, mask_q_stride, mask_kv_stride;
    int has_mask_offsets;     /* non-zero: mask_offsets replaces batch * mask_batch_stride */
    int has_mask_row_strides; /* non-zero: mask_row_strides replaces mask_q_stride */

    int has_alibi; /* non-zero: alibi_slopes is given */
    int has_sinks; /* non-zero: sinks is given */
} clattn_attention_desc;

#ifndef __cplusplus
#define CLATTN_ATTENTION_DESC(...)                                                                                     \
    ((clattn_attention_desc){ .struct_size = sizeof(clattn_attention_desc), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_attention_desc_init(clattn_attention_desc *desc);

/* What a plan may be asked for beyond the problem. NULL, or all zero: the library chooses. */
typedef struct clattn_plan_params {
    size_t struct_size;
    const char *fragment; /* one of those that plans are made of (docs/kernels.md); NULL: the best that takes this */
    const char *prefill_tile; /* a point of the search space, as clattn_plan_info names it; NULL: what was measured on
                                 this device or one like it, else the built-in default. Without `fragment`
                                 the best fragment is taken that has the tiles named here, and no other */
    const char *decode_tile;  /* the same for the decode kernel */
    const char *combine_tile; /* and for combine */
    int ignore_records;       /* non-zero: built-in defaults, whatever was measured */
    /* Keys a split of the decode kernel, 0 to 2^30, rounded up to whole key tiles; 0: the measured one, else the
     * fragment's (512, and 256 for NVIDIA's tensor cores). */
    int32_t split_size;
    /* Most bytes of workspace that the plan may ask for; 0: as many as it needs. When the bounds need more at
     * split_size, the split size is doubled until they fit, or no sequence is split. It then depends on the bounds and
     * on this cap, and so do the bits of results, which are the same within the plan all the same. */
    size_t max_workspace_size;
} clattn_plan_params;

#ifndef __cplusplus
#define CLATTN_PLAN_PARAMS(...) ((clattn_plan_params){ .struct_size = sizeof(clattn_plan_params), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_plan_params_init(clattn_plan_params *params);

/* Says whether `device` can run `desc`, from limits and tables, in microseconds; compiles nothing. Every reason against
 * it is written to reasons[0 .. size), a line each, when reasons is not NULL; what does not fit is cut at a line's end.
 *   CLATTN_OK                it can, as far as is known before the driver compiled it
 *   CLATTN_UNSUPPORTED       it cannot
 *   CLATTN_INVALID_ARGUMENT  device or desc is NULL, or desc contradicts itself
 * Thread-safe. */
CLATTN_API clattn_status clattn_attention_supported(const clattn_device *device, const clattn_attention_desc *desc,
                                                    char *reasons, size_t size);

/* Kernels chosen and compiled for one description on one device. Immutable: any number of threads may use one plan at
 * once. */
typedef struct clattn_plan clattn_plan;

/* Chooses kernels, and compiles and loads them (or takes them from the caches): up to seconds. It launches each new
 * kernel once, on a queue of its own, over no work, so that drivers which compile at the first launch do it here, and
 * waits for that. `params` may be NULL.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer, an unknown struct_size, a field out of its range (the message names it)
 *   CLATTN_UNSUPPORTED       no kernel of the library runs this on this device; the message has the reasons
 *   CLATTN_BUILD_FAILED      the driver failed to compile what should have run
 *   CLATTN_IO_ERROR          a file of kernel_dir is missing or cannot be read
 *   CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR */
CLATTN_API clattn_status clattn_plan_create(clattn_device *device, const clattn_attention_desc *desc,
                                            const clattn_plan_params *params, clattn_plan **out);

/* Builds ahead what a program will need: creates a plan for each of descs[0 .. count) and releases it. Its kernels stay
 * in the device's memory, and on disk, so that a later clattn_plan_create of the same description compiles and loads
 * nothing. Up to seconds for each that no cache has. `params` may be NULL. The errors of clattn_plan_create, for the
 * first that fails; those before it are built. Thread-safe: a thread of its own may do it while others work. */
CLATTN_API clattn_status clattn_attention_warm_up(clattn_device *device, const clattn_attention_desc *descs, int count,
                                                  const clattn_plan_params *params);

/* Releases the plan. Work that was enqueued with it goes on unharmed, and is not waited for. The last to go, of a
 * device and its plans, may take time: see clattn_device_destroy. */
CLATTN_API void clattn_plan_destroy(clattn_plan **plan);

/* Bytes of device memory that a run within the bounds may need as workspace; 0: none. */
CLATTN_API size_t clattn_plan_workspace_size(const clattn_plan *plan);

#define CLATTN_PLAN_MAX_KERNELS 4

typedef struct clattn_kernel_info {
    const char *kernel;        /* "prefill", "decode", "combine" */
    const char *fragment;      /* "frag_scalar", "frag_lanes", "frag_dims" (decode of plans with frag_lanes),
                                  "frag_nv_wgmma", "frag_nv_mma", or "none" */
    const char *tile;          /* its parameters: "lanes16_vectors2_keys64_kb8_db8" */
    const char *tuning_level;  /* where the tile comes from: "exact", "device", "architecture", "vendor", "type" (a
                                  record of such a device; docs/tuning.md) or "default" */
    const char *tuning_source; /* the record's "PATH:LINE"; "caller": clattn_plan_params named it; "": a default */
    const char *options;       /* build options */
    size_t work_group_size;
    uint64_t local_mem_size; /* bytes a work-group */
} clattn_kernel_info;

/* Strings belong to the plan and live as long as it. */
typedef struct clattn_plan_info {
    int num_kernels;
    clattn_kernel_info kernels[CLATTN_PLAN_MAX_KERNELS];
    int32_t split_size;       /* keys a split of the decode kernel; 0: the plan has none */
    int32_t decode_max_rows;  /* sequences with q_len * q_heads / kv_heads up to this take the decode kernel */
    size_t workspace_size;    /* bytes */
    const char *tuning_level; /* the weakest of the kernels' */
    const char *refused;      /* one line for each row that was better and could not be taken, with the reason */
} clattn_plan_info;

/* CLATTN_INVALID_ARGUMENT when an argument is NULL. Thread-safe. */
CLATTN_API clattn_status clattn_plan_describe(const clattn_plan *plan, clattn_plan_info *info);

/* Writes every choice of the plan, fragment, tiles and split size, as text to text[0 .. size): what clattn_plan_import
 * takes. *needed, unless NULL, is set to its size with the NUL. A few hundred bytes.
 *   CLATTN_INVALID_ARGUMENT  plan is NULL; text is NULL and size is not 0; size is smaller than needed and not 0
 * Thread-safe. */
CLATTN_API clattn_status clattn_plan_export(const clattn_plan *plan, char *text, size_t size, size_t *needed);

/* clattn_plan_create with the choices of an exported text in place of records and defaults: neither a new record nor a
 * new version's defaults change a result. The description may be another one, on another device. `params` may be NULL;
 * what the text says has to be unset in it, so that it adds max_workspace_size at most.
 *   CLATTN_INVALID_ARGUMENT  also: text is NULL or was not written by clattn_plan_export (the message has the line); a
 *                            tile of it is not in this version's search space
 *   CLATTN_UNSUPPORTED       also: a tile of it does not run on this device: no other is taken in its place
 *   the other errors of clattn_plan_create */
CLATTN_API clattn_status clattn_plan_import(clattn_device *device, const clattn_attention_desc *desc,
                                            const clattn_plan_params *params, const char *text, clattn_plan **out);

/* A step's lengths, on the host. No field has a default: 0 is a length. */
typedef struct clattn_lengths {
    int32_t batch;          /* <= max_batch */
    int32_t q_len;          /* of every sequence, where q_lens is NULL */
    int32_t kv_len;         /* of every sequence, where kv_lens is NULL */
    const int32_t *q_lens;  /* [batch]; needs ragged Q; NULL: q_len for all */
    const int32_t *kv_lens; /* [batch]; needs per-sequence or ragged K and V; NULL: kv_len for all */
} clattn_lengths;

/* A step's launches. A plain value: copy it, keep it on the stack, drop it. Its content is the library's. */
typedef struct clattn_schedule {
    int64_t content[16];
} clattn_schedule;

/* Computes the launches of a step in which sequence b has the given lengths. No OpenCL call, no allocation. Where the
 * plan reads lengths from device buffers, those have to hold the same numbers when the kernels run (with
 * bottom-right offsets and masks the device's numbers count).
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer; a length negative or over its bound; ragged lengths whose sum is over
 *                            max_q_tokens or max_kv_tokens; an array that the plan's length modes do not allow
 * Thread-safe. */
CLATTN_API clattn_status clattn_schedule_make(const clattn_plan *plan, const clattn_lengths *lengths,
                                              clattn_schedule *out);

/* Which kernels a run with `schedule` (NULL: within the bounds) enqueues: bit i for clattn_plan_info.kernels[i]. */
CLATTN_API uint32_t clattn_schedule_kernels(const clattn_plan *plan, const clattn_schedule *schedule);

/* One layer's buffers. Those that the description does not ask for are ignored. Index arrays are read on the device. */
typedef struct clattn_attention_args {
    size_t struct_size;
    clattn_buffer q, k, v;          /* read; with pages, k and v are the caches */
    clattn_buffer o;                /* written; may not overlap an input */
    clattn_buffer lse;              /* written, float; with has_lse */
    clattn_buffer cu_seqlens_q;     /* int32 [batch + 1], from 0, not decreasing; with ragged Q */
    clattn_buffer cu_seqlens_kv;    /* int32 [batch + 1], from 0, not decreasing; with ragged K and V */
    clattn_buffer kv_lens;          /* int32 [batch]; with PER_SEQUENCE, or has_kv_lens */
    clattn_buffer block_table;      /* int32 [batch, max_pages] by strides; with KV_BLOCK_TABLE */
    clattn_buffer page_indptr;      /* int32 [batch + 1], from 0, not decreasing; with KV_PAGE_LIST */
    clattn_buffer page_indices;     /* int32 [max_page_indices]; with KV_PAGE_LIST */
    clattn_buffer last_page_len;    /* int32 [batch], 1 to page_size; with KV_PAGE_LIST. A sequence of no pages has no
                                       keys, whatever it says */
    clattn_buffer k_scales;         /* float [kv_heads], finite; with k_dtype FP8: K is scale * element */
    clattn_buffer v_scales;         /* float [kv_heads], finite; with v_dtype FP8 */
    clattn_buffer error_record;     /* clattn_error_record, at an offset that is a multiple of 4; with pages; all zero:
                                       bad ids are not reported */
    clattn_buffer q_offsets;        /* int32 [batch]; with Q_OFFSET_ARRAY */
    clattn_buffer mask;             /* uint8, float or half; see clattn_attention_desc.mask_kind */
    clattn_buffer mask_offsets;     /* int64 [batch], elements; with has_mask_offsets */
    clattn_buffer mask_row_strides; /* int64 [batch], elements; with has_mask_row_strides */
    clattn_buffer alibi_slopes;     /* float [q_heads]; with has_alibi */
    clattn_buffer sinks;            /* float [q_heads]: a logit each, neither scaled nor capped, that takes part in the
                                       denominator and the LSE only; with has_sinks */
    clattn_buffer workspace; /* clattn_plan_workspace_size() bytes; its content has no meaning before or after. Runs
                                that may overlap in time need one each */
} clattn_attention_args;

#ifndef __cplusplus
#define CLATTN_ATTENTION_ARGS(...)                                                                                     \
    ((clattn_attention_args){ .struct_size = sizeof(clattn_attention_args), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_attention_args_init(clattn_attention_args *args);

/* Enqueues attention on `queue`, after the events of wait_list. Allocates nothing, compiles nothing, does not block.
 * `schedule` NULL: the batch is max_batch, and lengths are read on the device, or are the bounds. Lengths on the device
 * that are negative, decrease or exceed the bounds are clamped to them: no access leaves the buffers. `event` may be
 * NULL; else the caller releases it. It signals when all work is done; a call with no work honours the wait list and
 * returns an event too. In-order and out-of-order queues both work.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer; an unknown struct_size; a buffer missing, misaligned or smaller than what
 *                            the description and the step's bounds can reach; queue of another context or device; a
 *                            schedule that no call to clattn_schedule_make for this plan has made
 *   CLATTN_OPENCL_ERROR      an enqueue failed. Kernels enqueued before it run or have run: O and LSE hold no result;
 *                            *event is untouched
 *   CLATTN_OUT_OF_MEMORY
 * Thread-safe, with one queue too. */
CLATTN_API clattn_status clattn_attention_run(const clattn_plan *plan, const clattn_schedule *schedule,
                                              const clattn_attention_args *args, cl_command_queue queue,
                                              cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                              cl_event *event);

#ifdef __cplusplus
}
#endif

#endif
