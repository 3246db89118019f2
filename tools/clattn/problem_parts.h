/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_PROBLEM_PARTS_H
#define CLATTN_TOOL_PROBLEM_PARTS_H

/* Steps of problem_load(), in their order. Each reads the options of one subject into the description. Exit status. */

#include "problem.h"

int problem_read_lengths(const options *given, problem *out);
int problem_read_offsets(const options *given, problem *out);
int problem_read_logit_options(const options *given, problem *out);
int problem_read_mask(const options *given, problem *out);
int problem_read_head_vectors(const options *given, problem *out);

#endif
