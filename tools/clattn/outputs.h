/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_OUTPUTS_H
#define CLATTN_TOOL_OUTPUTS_H

/* Output files that appear all or not at all: each is written to a temporary file beside it, and when all are, they are
 * renamed. SIGINT, SIGTERM and SIGHUP remove the temporary files and end the process with EXIT_INTERRUPTED. */

#include <stdbool.h>
#include <stddef.h>

#define OUTPUTS_MAX 4
#define INPUTS_MAX  16

typedef struct outputs {
    int count, num_inputs;
    struct output {
        const char *option, *path; /* as given */
        char *target;              /* where it goes, links followed */
        char *temporary;           /* NULL until written */
        char *backup;              /* what the target held before, while outputs_commit() works; or NULL */
    } files[OUTPUTS_MAX];
    struct {
        const char *option, *path;
    } inputs[INPUTS_MAX];
} outputs;

/* Once, at the start of the process. */
void outputs_catch_signals(void);

/* From now on the first of those signals only prints `notice`, a line, and makes outputs_interrupted() true: for work
 * that has something to save. The second one ends the process as ever. */
void outputs_defer_signals(const char *notice);
bool outputs_interrupted(void);

void outputs_add(outputs *out, const char *option, const char *path);
void outputs_add_input(outputs *out, const char *option, const char *path);

/* Checks that every output can be written, is no input and no other output. Leaves nothing behind. Exit status. */
int outputs_check(outputs *out);

/* Writes output `index`, header then data, to its temporary file. Exit status. */
int outputs_write(outputs *out, int index, const void *header, size_t header_size, const void *data, size_t data_size);

/* Renames all. On failure none is left, and files that stood there before are as they were. Exit status. */
int outputs_commit(outputs *out);

/* Removes what was written and not committed; frees. */
void outputs_discard(outputs *out);

#endif
