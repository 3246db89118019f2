/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_TUNE_WORKER_H
#define CLATTN_TOOL_TUNE_WORKER_H

/* clattn worker --device P:D: the process in which the library's tuner tries candidates (src/tune/worker.h), with the
 * tuner on its standard input. No command for people, so that help does not list it. Exit status. */
int tune_worker_run(const char *selector);

#endif
