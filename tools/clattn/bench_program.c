/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_program.h"

#include <string.h>

#include "command.h"
#include "kernel/embedded.h"

extern const clattn_embedded_file bench_embedded_sources[];
extern const size_t bench_embedded_source_count;

int program_build(const session *on, const char *file, cl_program *out)
{
    size_t at = 0;
    cl_int code = CL_SUCCESS;
    *out = NULL;
    while (at + 1 < bench_embedded_source_count && strcmp(bench_embedded_sources[at].name, file) != 0)
        at++;
    const clattn_embedded_file *source = &bench_embedded_sources[at];
    cl_program program =
        clCreateProgramWithSource(on->context, 1, (const char *[]){ source->text }, &source->size, &code);
    if (code == CL_SUCCESS)
        code = clBuildProgram(program, 1, &on->chosen.id, "-cl-std=CL1.2", NULL, NULL);
    if (code == CL_SUCCESS) {
        *out = program;
        return EXIT_DONE;
    }
    char log[1024] = "";
    if (program) {
        clGetProgramBuildInfo(program, on->chosen.id, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
        clReleaseProgram(program);
    }
    log[strcspn(log, "\n")] = '\0';
    return fail("%s: %s cannot be built, OpenCL error %d: %s", on->info.device_name, file, code, log);
}

int program_kernel(cl_program program, const char *name, cl_kernel *out)
{
    cl_int code = CL_SUCCESS;
    *out = clCreateKernel(program, name, &code);
    return code == CL_SUCCESS ? EXIT_DONE : fail("clCreateKernel failed for '%s' with OpenCL error %d", name, code);
}
