/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "kernel/ptx.h"

#include <ctype.h>
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

/* The bytes up to the end of the target's name; 0 when it is another. */
static size_t head_of(const char *ptx, size_t size)
{
    const char *target = memmem(ptx, size, TARGET, strlen(TARGET));
    const size_t head = target ? (size_t)(target - ptx) + strlen(TARGET) : size;
    return head < size && !isalnum((unsigned char)ptx[head]) ? head : 0;
}

bool clattn_ptx_is_for_sm_90(const char *ptx, size_t size)
{
    return head_of(ptx, size) > 0;
}

char *clattn_ptx_for_sm_90a(const char *ptx, size_t ptx_size, size_t *size)
{
    const size_t head = head_of(ptx, ptx_size);
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
