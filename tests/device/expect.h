/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_EXPECT_H
#define TESTS_DEVICE_EXPECT_H

/* Expectations of single calls. Each counts as one case of the suite. */

#include "harness.h"

/* `names` has to be in the message of a failure. */
void expect(harness *h, const char *what, clattn_status got, clattn_status want, const char *names);
void expect_invalid(harness *h, const char *what, clattn_status got, const char *names);
void expect_true(harness *h, const char *what, bool holds);

#endif
