/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Most threads, and how far they may go before the caller. */
enum { MAX_THREADS = 16, WINDOW = 64 };

struct check_ahead {
    clattn_device *device;
    const check_plan *list;
    int count;
    int thread_count;
    pthread_t threads[MAX_THREADS];
    pthread_mutex_t lock; /* the fields below */
    pthread_cond_t passed;
    int next, reached;
    clattn_plan *kept[WINDOW]; /* of plan i, at i % WINDOW */
};

/* The next plan to make, once it is near; `count` when there is none. With the lock held. */
static int take_next(check_ahead *ahead)
{
    for (;;) {
        if (ahead->next < ahead->reached)
            ahead->next = ahead->reached;
        if (ahead->next >= ahead->count)
            return ahead->count;
        if (ahead->next < ahead->reached + WINDOW)
            return ahead->next++;
        pthread_cond_wait(&ahead->passed, &ahead->lock);
    }
}

/* A plan that cannot be made is the caller's to report, who makes it again. */
static void *make_plans(void *argument)
{
    check_ahead *ahead = argument;
    pthread_mutex_lock(&ahead->lock);
    for (int i = take_next(ahead); i < ahead->count; i = take_next(ahead)) {
        clattn_plan_params params = CLATTN_PLAN_PARAMS(.fragment = ahead->list[i].fragment);
        clattn_plan *plan = NULL;
        pthread_mutex_unlock(&ahead->lock);
        (void)clattn_plan_create(ahead->device, ahead->list[i].desc, &params, &plan);
        pthread_mutex_lock(&ahead->lock);
        if (i >= ahead->reached)
            ahead->kept[i % WINDOW] = plan;
        else
            clattn_plan_destroy(&plan);
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

check_ahead *check_ahead_start(const session *on, const check_plan *list, int count)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    check_ahead *ahead = strcmp(on->info.type, "gpu") == 0 ? calloc(1, sizeof *ahead) : NULL;
    if (!ahead)
        return NULL;
    ahead->device = on->device;
    ahead->list = list;
    ahead->count = count;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->passed, NULL);
    while (ahead->thread_count < MAX_THREADS && ahead->thread_count < cores &&
           pthread_create(&ahead->threads[ahead->thread_count], NULL, make_plans, ahead) == 0)
        ahead->thread_count++;
    return ahead;
}

void check_ahead_reach(check_ahead *ahead, int at)
{
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->lock);
    for (; ahead->reached < at; ahead->reached++)
        clattn_plan_destroy(&ahead->kept[ahead->reached % WINDOW]);
    pthread_cond_broadcast(&ahead->passed);
    pthread_mutex_unlock(&ahead->lock);
}

void check_ahead_stop(check_ahead *ahead)
{
    if (!ahead)
        return;
    check_ahead_reach(ahead, ahead->count);
    for (int i = 0; i < ahead->thread_count; i++)
        pthread_join(ahead->threads[i], NULL);
    pthread_cond_destroy(&ahead->passed);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}
