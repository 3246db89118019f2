/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TESTS_PAGES_CHECK_H
#define CLATTN_TESTS_PAGES_CHECK_H

#include "kv/pages_internal.h"

/* Counts everything in the manager anew, from the sequences on, and compares. NULL: all is consistent; else what is
 * not, a constant string. */
const char *pages_check(const clattn_pages *pages);

#endif
