/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/status.h"

#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[1024];

static const struct {
    clattn_status status;
    const char *name;
} statuses[] = {
    { CLATTN_OK, "CLATTN_OK" },
    { CLATTN_INVALID_ARGUMENT, "CLATTN_INVALID_ARGUMENT" },
    { CLATTN_UNSUPPORTED, "CLATTN_UNSUPPORTED" },
    { CLATTN_OUT_OF_MEMORY, "CLATTN_OUT_OF_MEMORY" },
    { CLATTN_OPENCL_ERROR, "CLATTN_OPENCL_ERROR" },
    { CLATTN_BUILD_FAILED, "CLATTN_BUILD_FAILED" },
    { CLATTN_IO_ERROR, "CLATTN_IO_ERROR" },
    { CLATTN_OUT_OF_PAGES, "CLATTN_OUT_OF_PAGES" },
    { CLATTN_CANCELLED, "CLATTN_CANCELLED" },
};

#define CLATTN_CL_ERROR(name) { name, #name },
static const struct {
    int code;
    const char *name;
} cl_errors[] = {
#include "util/cl_errors.def"
};
#undef CLATTN_CL_ERROR

const char *clattn_status_name(clattn_status status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (statuses[i].status == status)
            return statuses[i].name;
    return "unknown status";
}

const char *clattn_last_error(void)
{
    return last_error;
}

const char *clattn_cl_error_name(int code)
{
    for (size_t i = 0; i < sizeof(cl_errors) / sizeof(cl_errors[0]); i++)
        if (cl_errors[i].code == code)
            return cl_errors[i].name;
    return "unknown OpenCL error";
}

clattn_status clattn_fail(clattn_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    /* By way of a copy: an argument may be the last error itself, being extended. */
    char message[sizeof(last_error)];
    if (vsnprintf(message, sizeof(message), format, args) < 0)
        message[0] = '\0';
    va_end(args);
    snprintf(last_error, sizeof(last_error), "%s", message);
    return status;
}

clattn_status clattn_fail_cl(const char *call, int code)
{
    clattn_status status = code == CL_OUT_OF_HOST_MEMORY || code == CL_MEM_OBJECT_ALLOCATION_FAILURE
                               ? CLATTN_OUT_OF_MEMORY
                               : CLATTN_OPENCL_ERROR;
    return clattn_fail(status, "%s failed with %s (%d)", call, clattn_cl_error_name(code), code);
}
