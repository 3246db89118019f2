/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "kernel/ptx.h"

#include <stdlib.h>
#include <string.h>

#define TARGET "\n.target sm_90"
#define MARK   "//sm_90a: "

static void uncomment(char *text, size_t size)
{
    char *end = text + size, *mark = text;
    while ((mark = memmem(mark, (size_t)(end - mark), MARK, strlen(MARK))))
        memset(mark, ' ', strlen(MARK));
}

char *clattn_ptx_for_sm_90a(const char *ptx, size_t ptx_size, size_t *size)
{
    const char *target = memmem(ptx, ptx_size, TARGET, strlen(TARGET));
    if (!target)
        return NULL;
    const size_t head = (size_t)(target - ptx) + strlen(TARGET);
    char *text = malloc(ptx_size + 1);
    if (!text)
        return NULL;
    memcpy(text, ptx, head);
    text[head] = 'a';
    memcpy(text + head + 1, ptx + head, ptx_size - head);
    *size = ptx_size + 1;
    uncomment(text, *size);
    return text;
}
