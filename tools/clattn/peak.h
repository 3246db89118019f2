/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_PEAK_H
#define CLATTN_TOOL_PEAK_H

/* What a device can do at best: the measure of every bench. A CPU's come from C loops on all cores, with the widest FMA
 * that it has; those of other devices from the kernels of peak.cl. The best of several short runs counts. */

#include "session.h"

typedef struct peaks {
    double fma_flops;      /* FLOP a second, f32, a fused multiply-add counted as two */
    double read_bandwidth; /* bytes a second of a buffer that no cache holds */
    double copy_bandwidth; /* the same, read plus written */
    char how[64];          /* "avx512f, 2 threads", "kernels" */
} peaks;

/* Exit status. */
int peaks_measure(const session *on, peaks *out);

/* Bytes a second of reading, or of copying (read plus written), over buffers of `bytes` each; less where the device
 * holds no such buffer. Exit status. */
int peaks_measure_read(const session *on, size_t bytes, double *rate);
int peaks_measure_copy(const session *on, size_t bytes, double *rate);

/* What to measure: all, or one of the two. */
typedef enum peak_set { PEAK_ALL, PEAK_READ, PEAK_COPY } peak_set;

/* The two ways. `bytes` is the size of a buffer that exceeds four times the last cache. Exit status. */
int peaks_measure_cpu(peak_set set, size_t bytes, peaks *out);
int peaks_measure_device(const session *on, peak_set set, size_t bytes, peaks *out);

#endif
