/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_PROBLEM_PARTS_H
#define CLATTN_TOOL_PROBLEM_PARTS_H

/* Steps of problem_load(). Each reads the options of one subject into the description. Exit status. */

#include "problem.h"

/* Options of pages that contradict each other or others. */
int problem_check_page_options(const options *given);

int problem_read_cache_shapes(problem *out);
int problem_read_lengths(const options *given, problem *out);
int problem_read_offsets(const options *given, problem *out);
int problem_read_logit_options(const options *given, problem *out);
int problem_read_mask(const options *given, problem *out);
int problem_read_head_vectors(const options *given, problem *out);

/* A part of problem_read_lengths(), where K and V are caches of files. */
int problem_read_cache_lengths(problem *out);

/* With --page-size: pages for K and V. The last step: it replaces what the job says of them. */
int problem_make_pages(const options *given, problem *out);

#endif
