/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_PTX_H
#define CLATTN_KERNEL_PTX_H

/* NVIDIA's OpenCL compiles sources to PTX for sm_90, whose assembler refuses wgmma; the binary that it gives is that
 * text, and it builds such text too. So kernels write these instructions as comments (cl/nv_ptx.clh), and the text is
 * made a program for sm_90a, where they are none. */

#include <stddef.h>

/* The text for sm_90a, to be freed, of `size` bytes; NULL when `ptx` is not for sm_90, or there is no memory. */
char *clattn_ptx_for_sm_90a(const char *ptx, size_t ptx_size, size_t *size);

#endif
