/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_PTX_H
#define CLATTN_KERNEL_PTX_H

/* NVIDIA's OpenCL compiles sources to PTX for sm_90, whose assembler refuses wgmma; the binary that it gives is that
 * text, and it builds such text too. So kernels write these instructions as comments (cl/nv_ptx.clh), and the text is
 * made a program for sm_90a, where they are none. */

#include <stdbool.h>
#include <stddef.h>

bool clattn_ptx_is_for_sm_90(const char *ptx, size_t size);

/* Such a text for sm_90a, to be freed, of `size` bytes; NULL: no memory. */
char *clattn_ptx_for_sm_90a(const char *ptx, size_t ptx_size, size_t *size);

#endif
