/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_UTIL_CLOCK_H
#define CLATTN_UTIL_CLOCK_H

/* Seconds of a clock that only goes forward, from a moment that means nothing. */
double clattn_clock_seconds(void);

#endif
