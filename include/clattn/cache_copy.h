/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_CACHE_COPY_H
#define CLATTN_CACHE_COPY_H

#include <clattn/kv_cache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Copying and swapping of whole pages. A page has its bytes in several planes: buffers such as the keys and the values
 * of each layer. They are moved as they are, whatever their type. Page p of a plane is page_bytes bytes from byte
 * p * page_stride of its buffer on, so it has to be contiguous: so it is in both layouts of clattn_page_strides, where
 * page_bytes is at most the page stride times the size of an element or block. Fastest where all offsets, strides and
 * sizes are multiples of 16 bytes; any work. */

typedef struct clattn_page_plane {
    int64_t page_bytes;  /* 1 to 2^30 */
    int64_t page_stride; /* bytes from page to page, at least page_bytes; 0: page_bytes */
} clattn_page_plane;

/* Everything that is fixed for the life of a plan. */
typedef struct clattn_copy_desc {
    size_t struct_size;
    int32_t pages;                   /* in each plane, 0 to 2^30 */
    int32_t num_planes;              /* 1 to 65535 */
    const clattn_page_plane *planes; /* [num_planes]; copied */
} clattn_copy_desc;

#ifndef __cplusplus
#define CLATTN_COPY_DESC(...) ((clattn_copy_desc){ .struct_size = sizeof(clattn_copy_desc), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_copy_desc_init(clattn_copy_desc *desc);

/* A kernel compiled for one device, and the planes. Any number of threads may use one plan at once; while the pages of
 * a call are checked, for microseconds, others wait. */
typedef struct clattn_copy_plan clattn_copy_plan;

/* Compiles and loads the kernel (or takes it from the caches), as clattn_plan_create does. One program serves all
 * plans. The plan has pages / 8 bytes of host memory, for checks. CLATTN_INVALID_ARGUMENT  a NULL pointer, an unknown
 * struct_size, a field out of its range (the message names it) CLATTN_BUILD_FAILED      the driver failed to compile
 * the kernel CLATTN_IO_ERROR          a file of kernel_dir is missing or cannot be read CLATTN_OUT_OF_MEMORY,
 * CLATTN_OPENCL_ERROR */
CLATTN_API clattn_status clattn_copy_plan_create(clattn_device *device, const clattn_copy_desc *desc,
                                                 clattn_copy_plan **out);

/* Releases the plan. Work that was enqueued with it goes on unharmed, and is not waited for. The last to go, of a
 * device and its plans, may take time: see clattn_device_destroy. */
CLATTN_API void clattn_copy_plan_destroy(clattn_copy_plan **plan);

/* Bytes that one page has in all planes together: what swapping it takes of staging buffer and host memory; 0 for NULL.
 * Thread-safe. */
CLATTN_API size_t clattn_copy_page_bytes(const clattn_copy_plan *plan);

typedef struct clattn_copy_args {
    size_t struct_size;
    int32_t num_planes;          /* as the description has it */
    const clattn_buffer *planes; /* [num_planes], read and written; their offsets count bytes, of any number. They may
                                    lie in one cl_mem, but no two may share a byte of a page */
} clattn_copy_args;

#ifndef __cplusplus
#define CLATTN_COPY_ARGS(...) ((clattn_copy_args){ .struct_size = sizeof(clattn_copy_args), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_copy_args_init(clattn_copy_args *args);

/* Enqueues the copy of `num_pairs` pages in every plane on `queue`, after the events of wait_list. The order of pairs
 * does not matter, for destinations are distinct and none is a source. Allocates nothing, compiles nothing, does not
 * block; `pairs` and `args` are read during the call alone. `event` may be NULL; else the caller releases it, and it is
 * of all planes. Without pairs, the wait list is honoured and an event returned too. In-order and out-of-order queues
 * both work. A plane is one launch for each 64 pairs.
 *
 * Checked in this order, before anything is enqueued: pointers and struct sizes; num_pairs and num_planes; each pair's
 * ids, its destination against those before; then each source against all destinations; the queue and the wait list;
 * the buffers.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer; an unknown struct_size; num_pairs negative or over 2^30; an id outside
 *                            [0, pages), a destination twice, a source that is a destination (the message has the
 *                            pair's index); num_planes not the plan's; a buffer missing or smaller than its pages;
 *                            queue of another context or device
 *   CLATTN_OPENCL_ERROR      an enqueue failed; *event is untouched, and copies of some planes may have been enqueued
 *   CLATTN_OUT_OF_MEMORY
 * Thread-safe, with one queue too. */
CLATTN_API clattn_status clattn_copy_run(const clattn_copy_plan *plan, int32_t num_pairs, const clattn_page_pair *pairs,
                                         const clattn_copy_args *args, cl_command_queue queue,
                                         cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                         cl_event *event);

/* Swapping: pages to host memory, and back to the same or other pages. In host memory, and in the staging buffer on the
 * way, page i of a call has its bytes of all planes behind one another, in order of planes, at byte
 * i * clattn_copy_page_bytes(plan). */
typedef struct clattn_swap_args {
    size_t struct_size;
    int32_t num_planes;          /* as the description has it */
    const clattn_buffer *planes; /* [num_planes], as in clattn_copy_args; read by swap out, written by swap in */
    clattn_buffer staging;       /* num_pages * clattn_copy_page_bytes bytes, written; shares none with a plane */
    void *host;                  /* as many bytes, written by swap out, read by swap in */
    size_t host_size;            /* bytes at `host` */
} clattn_swap_args;

#ifndef __cplusplus
#define CLATTN_SWAP_ARGS(...) ((clattn_swap_args){ .struct_size = sizeof(clattn_swap_args), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_swap_args_init(clattn_swap_args *args);

/* Swap out enqueues kernels that pack the pages into the staging buffer, then one non-blocking read of it to `host`.
 * Swap in enqueues one non-blocking write of `host` to the staging buffer, then kernels that unpack it. Calls on one
 * in-order queue may share a staging buffer; else it belongs to the call until its event has completed, as `host`
 * always does: neither may be changed or freed before, and `host` holds the pages only then. `pages` and `args` are
 * read during the call alone. Where `host` is memory of clattn_pinned, no call blocks. Any other host memory is taken
 * too, but then drivers may block in the call until the transfer is done. All else is as clattn_copy_run has it.
 *
 * Checked in this order, before anything is enqueued: pointers and struct sizes; num_pages and num_planes; each page's
 * id, of swap in also against those before; host_size; the queue and the wait list; the buffers.
 *   CLATTN_INVALID_ARGUMENT  a NULL pointer; an unknown struct_size; num_pages negative or over 2^30; an id outside
 *                            [0, pages); of swap in, a page twice (the message has its index; swap out may read one
 *                            twice); num_planes not the plan's; host_size or a buffer too small; queue of another
 *                            context or device
 *   CLATTN_OPENCL_ERROR      an enqueue failed; *event is untouched, and parts may have been enqueued: wait for the
 *                            queue before `host` and the staging buffer are used again
 *   CLATTN_OUT_OF_MEMORY
 * Thread-safe, with one queue too. */
CLATTN_API clattn_status clattn_swap_out_run(const clattn_copy_plan *plan, int32_t num_pages, const int32_t *pages,
                                             const clattn_swap_args *args, cl_command_queue queue,
                                             cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                             cl_event *event);
CLATTN_API clattn_status clattn_swap_in_run(const clattn_copy_plan *plan, int32_t num_pages, const int32_t *pages,
                                            const clattn_swap_args *args, cl_command_queue queue,
                                            cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                            cl_event *event);

/* Host memory that the device reaches without a copy in between (CL_MEM_ALLOC_HOST_PTR, mapped). */
typedef struct clattn_pinned clattn_pinned;

/* Allocates `size` bytes, which hold anything. Blocks while the driver maps them: not for the step of an engine.
 *   CLATTN_INVALID_ARGUMENT  device or out is NULL, size is 0
 *   CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR */
CLATTN_API clattn_status clattn_pinned_create(clattn_device *device, size_t size, clattn_pinned **out);

/* The memory; NULL for NULL. It stays where it is until the object is destroyed. Thread-safe. */
CLATTN_API void *clattn_pinned_data(const clattn_pinned *pinned);

/* Frees the memory: no transfer may use it any more. Blocks while the driver unmaps it. */
CLATTN_API void clattn_pinned_destroy(clattn_pinned **pinned);

#ifdef __cplusplus
}
#endif

#endif
