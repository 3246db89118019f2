/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_ahead.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 16 };

struct check_ahead {
    clattn_device *device;
    const check_list *list;
    atomic_int next; /* problem to build; list->count and more: none */
    int thread_count;
    pthread_t threads[MAX_THREADS];
};

/* A plan that cannot be made is the caller's to report, who makes it again. */
static void *build(void *argument)
{
    check_ahead *ahead = argument;
    const clattn_plan_params params = CLATTN_PLAN_PARAMS(.fragment = ahead->list->fragment);
    int i = 0;
    while ((i = atomic_fetch_add(&ahead->next, 1)) < ahead->list->count)
        (void)clattn_attention_warm_up(ahead->device, &ahead->list->problems[i].desc, 1, &params);
    return NULL;
}

check_ahead *check_ahead_start(const session *on, const check_list *list)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    check_ahead *ahead = strcmp(on->info.type, "gpu") == 0 ? calloc(1, sizeof *ahead) : NULL;
    if (!ahead)
        return NULL;
    ahead->device = on->device;
    ahead->list = list;
    while (ahead->thread_count < MAX_THREADS && ahead->thread_count < cores &&
           pthread_create(&ahead->threads[ahead->thread_count], NULL, build, ahead) == 0)
        ahead->thread_count++;
    return ahead;
}

void check_ahead_stop(check_ahead *ahead)
{
    if (!ahead)
        return;
    atomic_store(&ahead->next, ahead->list->count);
    for (int i = 0; i < ahead->thread_count; i++)
        pthread_join(ahead->threads[i], NULL);
    free(ahead);
}
