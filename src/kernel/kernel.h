/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_KERNEL_H
#define CLATTN_KERNEL_KERNEL_H

/* Compiled kernels of a device, shared by all its plans: from memory, from disk, or from source. */

#include <pthread.h>
#include <stdbool.h>

#include <clattn/device.h>

typedef struct clattn_kernel {
    cl_kernel handle;
    pthread_mutex_t lock;       /* held from the first clSetKernelArg to the enqueue */
    size_t max_work_group_size; /* CL_KERNEL_WORK_GROUP_SIZE of the built kernel */
    uint64_t local_mem_size;    /* CL_KERNEL_LOCAL_MEM_SIZE */
} clattn_kernel;

/* What a kernel is compiled from. */
typedef struct clattn_kernel_spec {
    const char *source;  /* file in cl/: "prefill.cl" */
    const char *entry;   /* kernel function: "clattn_prefill" */
    const char *options; /* "-DNAME=VALUE ...": specialisation constants only; the common options are added */
    bool for_sm_90a;     /* see ptx.h */
} clattn_kernel_spec;

/* Gets the kernel and a reference to it. Thread-safe; threads that ask for one spec at once build it once.
 * CLATTN_BUILD_FAILED, CLATTN_IO_ERROR (kernel_dir), CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR. */
clattn_status clattn_kernel_get(clattn_device *device, const clattn_kernel_spec *spec, clattn_kernel **out);

/* Whether it was built from source in this process and clattn_kernel_launched has not been called. */
bool clattn_kernel_is_fresh(clattn_kernel *kernel);

/* Says that a fresh kernel was launched once, and that launch finished: PoCL's binaries hold machine code only then.
 * Writes its binary to the disk cache, if there is one; where taking a binary compiles (quirk BINARY_COMPILES), that
 * waits until the device goes. A failure to write is a log line, not an error. Thread-safe. */
void clattn_kernel_launched(clattn_kernel *kernel);

/* Drops the reference. */
void clattn_kernel_release(clattn_kernel *kernel);

#endif
