/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include "command.h"

static int fail_cl(const char *what, const char *call, cl_int code)
{
    return fail("%s: %s failed with OpenCL error %d", what, call, code);
}

static int open_device(const found_device *chosen, const clattn_device_params *params, session *out)
{
    cl_int code = CL_SUCCESS;
    *out = (session){ .chosen = *chosen };
    const cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)chosen->platform, 0 };
    out->context = clCreateContext(properties, 1, &chosen->id, NULL, NULL, &code);
    if (code != CL_SUCCESS)
        return fail_cl(chosen->name, "clCreateContext", code);
    out->queue = clCreateCommandQueue(out->context, chosen->id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (code != CL_SUCCESS) {
        session_close(out);
        return fail_cl(chosen->name, "clCreateCommandQueue", code);
    }
    if (clattn_device_create(out->context, chosen->id, params, &out->device) != CLATTN_OK ||
        clattn_device_get_info(out->device, &out->info) != CLATTN_OK) {
        int status = fail_library(chosen->name);
        session_close(out);
        return status;
    }
    return EXIT_DONE;
}

int session_open_with(const char *selector, const clattn_device_params *params, session *out)
{
    found_devices found;
    const found_device *chosen = NULL;
    int status = devices_find(&found);
    if (status != EXIT_DONE)
        return status;
    status = devices_select(&found, selector, &chosen);
    if (status == EXIT_DONE)
        status = open_device(chosen, params, out);
    devices_free(&found);
    return status;
}

int session_open(const char *selector, session *out)
{
    return session_open_with(selector, NULL, out);
}

void session_close(session *open)
{
    clattn_device_destroy(&open->device);
    if (open->queue)
        clReleaseCommandQueue(open->queue);
    if (open->context)
        clReleaseContext(open->context);
    *open = (session){ .queue = NULL };
}

int session_make_buffer(const session *on, const char *what, size_t size, const void *data, clattn_buffer *out)
{
    cl_int code = CL_SUCCESS;
    cl_mem mem = clCreateBuffer(on->context, CL_MEM_READ_WRITE, size ? size : 1, NULL, &code);
    if (code != CL_SUCCESS)
        return fail("%s needs a buffer of %zu bytes, and clCreateBuffer failed with OpenCL error %d", what, size, code);
    if (size > 0 && data)
        code = clEnqueueWriteBuffer(on->queue, mem, CL_TRUE, 0, size, data, 0, NULL, NULL);
    if (code != CL_SUCCESS) {
        clReleaseMemObject(mem);
        return fail_cl(what, "clEnqueueWriteBuffer", code);
    }
    *out = (clattn_buffer){ .kind = CLATTN_BUFFER_CL_MEM, .handle = mem };
    return EXIT_DONE;
}

int session_copy_buffer(const session *on, const char *what, const clattn_buffer *from, clattn_buffer *out)
{
    size_t size = 0;
    cl_int code = clGetMemObjectInfo((cl_mem)from->handle, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (code != CL_SUCCESS)
        return fail_cl(what, "clGetMemObjectInfo", code);
    int status = session_make_buffer(on, what, size, NULL, out);
    if (status != EXIT_DONE)
        return status;
    code = clEnqueueCopyBuffer(on->queue, (cl_mem)from->handle, (cl_mem)out->handle, 0, 0, size, 0, NULL, NULL);
    return code == CL_SUCCESS ? EXIT_DONE : fail_cl(what, "clEnqueueCopyBuffer", code);
}

void session_free_buffer(clattn_buffer *buffer)
{
    if (buffer->handle)
        clReleaseMemObject((cl_mem)buffer->handle);
    *buffer = (clattn_buffer){ .handle = NULL };
}

int session_read_buffer(const session *on, const char *what, const clattn_buffer *buffer, size_t size, void *data)
{
    if (size == 0)
        return EXIT_DONE;
    cl_int code = clEnqueueReadBuffer(on->queue, (cl_mem)buffer->handle, CL_TRUE, 0, size, data, 0, NULL, NULL);
    return code == CL_SUCCESS ? EXIT_DONE : fail_cl(what, "clEnqueueReadBuffer", code);
}
