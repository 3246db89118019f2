/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a kernel with a known fault, so that the tests of Oclgrind can tell a checker that sees nothing from kernels in
 * which there is nothing to see. Usage: planted_fault race|bounds|api|none; the fault goes to Oclgrind, not to the exit
 * status. */
#include <stdio.h>
#include <string.h>

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

#define ITEMS 16

static const char source[] = "kernel void race(global int *x) { local int shared; shared = (int)get_local_id(0); "
                             "barrier(CLK_LOCAL_MEM_FENCE); x[get_global_id(0)] = shared; }\n"
                             "kernel void bounds(global int *x) { x[get_global_id(0) + 1] = 1; }\n"
                             "kernel void none(global int *x) { x[get_global_id(0)] = 1; }\n";

static int run_kernel(cl_context context, cl_device_id device, cl_program program, const char *name)
{
    cl_int code = CL_SUCCESS;
    size_t global = ITEMS, local = ITEMS;
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &code);
    cl_mem mem = clCreateBuffer(context, CL_MEM_READ_WRITE, ITEMS * sizeof(cl_int), NULL, NULL);
    cl_kernel kernel = clCreateKernel(program, strcmp(name, "api") == 0 ? "none" : name, &code);
    if (!kernel)
        return 2;
    if (strcmp(name, "api") != 0)
        clSetKernelArg(kernel, 0, sizeof(mem), &mem);
    code = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL);
    clFinish(queue);
    clReleaseKernel(kernel);
    clReleaseMemObject(mem);
    clReleaseCommandQueue(queue);
    return code == CL_SUCCESS || strcmp(name, "api") == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
    const char *text = source;
    cl_platform_id platform;
    cl_device_id device;
    if (argc != 2 || clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS) {
        fprintf(stderr, "usage: planted_fault race|bounds|api|none, with an OpenCL device\n");
        return 2;
    }
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    cl_program program = clCreateProgramWithSource(context, 1, &text, NULL, NULL);
    int result = 2;
    if (clBuildProgram(program, 1, &device, "-cl-std=CL1.2", NULL, NULL) == CL_SUCCESS)
        result = run_kernel(context, device, program, argv[1]);
    clReleaseProgram(program);
    clReleaseContext(context);
    return result;
}
