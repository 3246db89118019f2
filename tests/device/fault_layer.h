/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_FAULT_LAYER_H
#define TESTS_DEVICE_FAULT_LAYER_H

/* What a test finds by dlsym in the layer that the loader has loaded. Not thread-safe. */

#define FAULT_CODE (-5) /* CL_OUT_OF_RESOURCES */

typedef int (*fault_layer_count_function)(void);     /* enqueues of kernels that it has seen */
typedef void (*fault_layer_arm_function)(int after); /* the `after`th enqueue from now on fails, once; 0: none */

#endif
