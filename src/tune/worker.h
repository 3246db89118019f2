/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_WORKER_H
#define CLATTN_TUNE_WORKER_H

/* A child process that tries candidates, so that what kills a process or hangs kills only that one. It is the command
 * clattn, started by posix_spawn as `PATH worker --device P:D`; it compiles into the same disk cache as this process.
 *
 * Its standard input is a socket with a line of JSON each way for each candidate:
 *   to the worker, once  {"version", "cache_dir", "cache_max_bytes", "kernel_dir"}      null: none
 *   from it              {"version", "device"}                                          device: clattn_spawn_device_key
 *   to the worker        {"row", "class", "seed", "tile", "split_size"}                 row: of subjects.def
 *   from it              {"outcome", "detail", "seconds"}
 * In place of an answer it may say {"error": "..."}. */

#include "device/device.h"
#include "tune/subject.h"

typedef enum clattn_worker_outcome {
    CLATTN_WORKER_RIGHT,
    CLATTN_WORKER_WRONG,
    CLATTN_WORKER_NOT_BUILT,
    CLATTN_WORKER_FAILED,    /* an OpenCL call failed when it ran */
    CLATTN_WORKER_CRASHED,   /* the process ended */
    CLATTN_WORKER_TIMED_OUT, /* and was killed */
    CLATTN_WORKER_STOPPED    /* `stop` said so: nothing is known of the candidate */
} clattn_worker_outcome;

/* "right", "wrong", "not built", "failed", "crashed", "timed out", "stopped" */
const char *clattn_worker_outcome_name(clattn_worker_outcome outcome);

typedef struct clattn_worker_answer {
    clattn_worker_outcome outcome;
    char detail[512]; /* why it is not right */
    double seconds;   /* least wall time of some calls, warm; of what is right */
} clattn_worker_answer;

typedef struct clattn_worker_request {
    size_t row;
    uint64_t seed;
    clattn_candidate candidate;
} clattn_worker_request;

typedef struct clattn_worker clattn_worker;

/* Starts nothing yet. `stop`, unless NULL, is asked several times a second while the worker is waited for.
 * CLATTN_UNSUPPORTED when no platform lists the device (a part of another one), so that no other process can open it;
 * CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_worker_open(clattn_device *device, const char *path, bool (*stop)(void *user), void *user,
                                 clattn_worker **out);

/* Ends the process. NULL is fine. */
void clattn_worker_close(clattn_worker *worker);

/* Tries a candidate for at most `timeout` seconds. Starts the process when there is none: at first, and after one that
 * died or was killed.
 *   CLATTN_INVALID_ARGUMENT  the path is no clattn of this version, or it opens another device
 *   CLATTN_OPENCL_ERROR      the class cannot be tried at all: its buffers cannot be made
 *   CLATTN_OUT_OF_MEMORY, CLATTN_IO_ERROR (no process, no socket) */
clattn_status clattn_worker_try(clattn_worker *worker, const clattn_worker_request *request, double timeout,
                                clattn_worker_answer *out);

/* The worker's side, on its socket, until the other end is closed. */
clattn_status clattn_worker_serve(int socket, cl_platform_id platform, cl_device_id id);

#endif
