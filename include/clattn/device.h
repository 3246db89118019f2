/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_DEVICE_H
#define CLATTN_DEVICE_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

#include <clattn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An OpenCL device that the library works on: what was probed of it, its compiled programs and its log.
 * Thread-safe: one object may be used by any number of threads at once. */
typedef struct clattn_device clattn_device;

typedef enum clattn_log_level {
    CLATTN_LOG_DEFAULT = 0, /* CLATTN_LOG's level, else CLATTN_LOG_WARN */
    CLATTN_LOG_ERROR = 1,
    CLATTN_LOG_WARN = 2, /* something was done another way than asked: a fallback, an unusable cache entry */
    CLATTN_LOG_INFO = 3, /* programs built, and where from */
    CLATTN_LOG_DEBUG = 4
} clattn_log_level;

/* Takes one message, a line without its newline. May be called from any thread that calls the library, never from two
 * at once for one device. It must not call the library with the same device. */
typedef void (*clattn_log_callback)(void *user, clattn_log_level level, const char *message);

typedef struct clattn_device_params {
    size_t struct_size;
    const char *cache_dir;    /* folder of compiled programs; NULL: CLATTN_CACHE_DIR, else $XDG_CACHE_HOME/clattn, else
                                 ~/.cache/clattn. Made when first written to. Unwritable: a log line, no disk cache */
    uint64_t cache_max_bytes; /* size at which the least recently used entries go; 0: 256 MiB */
    const char *kernel_dir;   /* kernel sources from this folder, not the embedded ones; a missing file is an error.
                                 NULL: CLATTN_KERNEL_DIR, else the embedded ones */
    const char *tuning_path;  /* folders of tuning records, separated by ':'; "": no records. NULL:
                                 CLATTN_TUNING_PATH, else $XDG_DATA_HOME/clattn/tuning (~/.local/share/clattn/tuning)
                                 and then the installed records. Missing folders are passed over */
    int no_disk;              /* non-zero: no disk cache */
    int ignore_environment;   /* non-zero: no CLATTN_* or XDG_* variable is read */
    clattn_log_callback log;  /* NULL: messages go to stderr, as "clattn: LEVEL: MESSAGE" */
    void *log_user;           /* handed to `log` */
    clattn_log_level log_level; /* messages less urgent than this are dropped */
} clattn_device_params;

#ifndef __cplusplus
#define CLATTN_DEVICE_PARAMS(...) ((clattn_device_params){ .struct_size = sizeof(clattn_device_params), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_device_params_init(clattn_device_params *params);

/* Probes `device`, which has to belong to `context`, and retains both. `params` may be NULL: all defaults. Compiles
 * nothing; takes microseconds to milliseconds.
 *   CLATTN_INVALID_ARGUMENT  context, device or out is NULL; device is not in context; params->struct_size is unknown;
 *                            kernel_dir does not exist; CLATTN_LOG is not a level's name
 *   CLATTN_UNSUPPORTED       the device has no online compiler, or its OpenCL is older than 1.2
 *   CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR */
CLATTN_API clattn_status clattn_device_create(cl_context context, cl_device_id device,
                                              const clattn_device_params *params, clattn_device **out);

/* Releases the device. Plans made from it stay valid: they hold what they need. Waits for no work. Where taking a
 * binary compiles (PoCL), whoever releases the last of device and plans writes what was built from source to the disk
 * cache, which takes about as long as building did. */
CLATTN_API void clattn_device_destroy(clattn_device **device);

/* What the library knows of a device. Strings belong to the clattn_device and live as long as it. */
typedef struct clattn_device_info {
    const char *platform_name;
    const char *device_name;
    const char *vendor;
    const char *driver_version;
    const char *device_version; /* CL_DEVICE_VERSION: "OpenCL 3.0 ..." */
    const char *type;           /* "cpu", "gpu", "accelerator", "custom" */
    const char *fragment;       /* the fragment that plans prefer here: "frag_lanes", "frag_nv_wgmma", ... */
    const char *architecture;   /* what code is compiled for: "x86-64-v3", "aarch64", "sm_90", "gfx90a"; "": unknown */
    const char *tuning_level;   /* the best match among the tuning records: "exact", "device", "architecture", "vendor",
                                   "type"; "default": none matches. docs/tuning.md explains them */
    const char *quirks;         /* names of the quirk rows that match, comma-separated; "" when none does */
    uint32_t compute_units;
    uint32_t native_vector_width_float;
    uint64_t global_mem_size;       /* bytes */
    uint64_t max_mem_alloc_size;    /* bytes */
    uint64_t local_mem_size;        /* bytes */
    uint64_t global_mem_cache_size; /* bytes */
    size_t max_work_group_size;
    int linker_available; /* CL_DEVICE_LINKER_AVAILABLE */
    int has_fp16;         /* cl_khr_fp16 */
} clattn_device_info;

/* Fills *info. CLATTN_INVALID_ARGUMENT when an argument is NULL. Thread-safe, no OpenCL call; the first call may read
 * the tuning records. */
CLATTN_API clattn_status clattn_device_get_info(const clattn_device *device, clattn_device_info *info);

#ifdef __cplusplus
}
#endif

#endif
