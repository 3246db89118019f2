/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_BUILD_H
#define CLATTN_KERNEL_BUILD_H

/* From sources or from a binary to a cl_program, by OpenCL's calls. */

#include "device/device.h"
#include "kernel/sources.h"

/* The options of every program. Never -cl-mad-enable, -cl-fast-relaxed-math or -cl-finite-math-only: results would
 * depend on the compiler, and compilers would drop the tests for infinities. */
#define CLATTN_COMMON_OPTIONS "-cl-std=CL1.2"

/* Compiles and links; where the device has no linker, or that fails, builds the flattened form, and nothing but that
 * where the driver's cache is for clBuildProgram (quirk LINKS_UNCACHED). `options` are complete.
 * CLATTN_BUILD_FAILED (the build log went to the log), CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_build_from_source(const clattn_device *device, const clattn_sources *sources, const char *options,
                                       cl_program *out);

/* CL_SUCCESS, or the code of what failed; sets no last error. */
cl_int clattn_build_from_binary(const clattn_device *device, const void *binary, size_t size, const char *options,
                                cl_program *out);

/* The program's binary for the device, to be freed. CL_SUCCESS, or the code of what failed (CL_INVALID_BINARY: the
 * driver gives none); sets no last error. */
cl_int clattn_build_get_binary(const clattn_device *device, cl_program program, void **binary, size_t *size);

/* Makes a program that was built from source, for sm_90, one for sm_90a (ptx.h); *program is replaced, or released on
 * failure. CLATTN_BUILD_FAILED, CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_build_for_sm_90a(const clattn_device *device, const char *options, cl_program *program);

#endif
