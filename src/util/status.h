/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_UTIL_STATUS_H
#define CLATTN_UTIL_STATUS_H

#include <clattn/status.h>

/* Sets the calling thread's last error and returns `status`: `return clattn_fail(CLATTN_INVALID_ARGUMENT, "...")`.
 * Messages name the argument, its value and what would be right: "head_dim is 577; it has to be 1 to 576". */
__attribute__((format(printf, 2, 3))) clattn_status clattn_fail(clattn_status status, const char *format, ...);

/* For a failed OpenCL call: CLATTN_OUT_OF_MEMORY for CL_OUT_OF_HOST_MEMORY and CL_MEM_OBJECT_ALLOCATION_FAILURE, else
 * CLATTN_OPENCL_ERROR; the message is "CALL failed with NAME (CODE)". */
clattn_status clattn_fail_cl(const char *call, int code);

/* "CL_INVALID_VALUE", ...; "unknown OpenCL error" otherwise. */
const char *clattn_cl_error_name(int code);

/* Returns from the calling function with the status, unless it is CLATTN_OK. */
#define CLATTN_TRY(expression)                                                                                         \
    do {                                                                                                               \
        clattn_status try_status_ = (expression);                                                                      \
        if (try_status_ != CLATTN_OK)                                                                                  \
            return try_status_;                                                                                        \
    } while (0)

#endif
