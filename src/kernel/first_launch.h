/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_FIRST_LAUNCH_H
#define CLATTN_KERNEL_FIRST_LAUNCH_H

/* The launch that makes a driver compile what it left for the first one, and the kernel's binary complete. */

#include "kernel/kernel.h"

/* Enqueues kernels[index] with arguments that leave no group any work. `memory` may stand for every buffer. */
typedef clattn_status (*clattn_first_launch)(void *user, int index, cl_command_queue queue, cl_mem memory);

/* Launches each fresh kernel of kernels[count] (NULL: none), waits, and calls clattn_kernel_launched: on a queue of its
 * own, which it makes only when there is one. CLATTN_OPENCL_ERROR, CLATTN_OUT_OF_MEMORY, or what `launch` returned. */
clattn_status clattn_kernels_warm_up(const clattn_device *device, clattn_kernel *const *kernels, int count,
                                     clattn_first_launch launch, void *user);

#endif
