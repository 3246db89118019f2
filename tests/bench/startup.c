/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program waits for before its first run: the time of clattn_device_create and of clattn_plan_create, when
 * nothing is compiled yet, from the disk cache, and from the device's memory; for a prefill and a decode over pages.
 * And after the last: the first clattn_device_destroy, which writes what is left for the disk cache.
 * Records of the environment's tuning path are used. The program cache is a new folder; the driver's own cache is the
 * caller's business (CUDA_CACHE_PATH, CUDA_CACHE_DISABLE, POCL_CACHE_DIR). Prints JSON lines; nothing passes or fails
 * here. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <clattn/clattn.h>

#define FROM_MEMORY 201
#define FROM_DISK   11

typedef struct bench {
    cl_context context;
    cl_device_id id;
    clattn_device_params params;
    clattn_device *device;
} bench;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "startup: %s: %s\n", what, clattn_last_error());
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double open_device(bench *b)
{
    const double begin = now_ms();
    require(clattn_device_create(b->context, b->id, &b->params, &b->device) == CLATTN_OK, "clattn_device_create");
    return now_ms() - begin;
}

static double create_plan(bench *b, const clattn_attention_desc *desc, const char **level)
{
    clattn_plan *plan = NULL;
    clattn_plan_info info;
    const double begin = now_ms();
    require(clattn_plan_create(b->device, desc, NULL, &plan) == CLATTN_OK, "clattn_plan_create");
    const double time = now_ms() - begin;
    clattn_plan_describe(plan, &info);
    *level = info.tuning_level;
    clattn_plan_destroy(&plan);
    return time;
}

static double median(double *times, int count)
{
    qsort(times, (size_t)count, sizeof(times[0]), by_value);
    return times[count / 2];
}

/* First with an empty folder, then from memory, then as new processes would, from disk. */
static void measure(bench *b, const char *name, const clattn_attention_desc *desc)
{
    double memory[FROM_MEMORY], disk[FROM_DISK], device[FROM_DISK];
    const char *level = "";
    open_device(b);
    const double cold = create_plan(b, desc, &level);
    for (int i = 0; i < FROM_MEMORY; i++)
        memory[i] = create_plan(b, desc, &level);
    const double begin = now_ms();
    clattn_device_destroy(&b->device);
    const double destroy = now_ms() - begin;
    for (int i = 0; i < FROM_DISK; i++) {
        device[i] = open_device(b);
        disk[i] = create_plan(b, desc, &level);
        clattn_device_destroy(&b->device);
    }
    printf("{\"plan\": \"%s\", \"tuning_level\": \"%s\", \"device_create_ms\": %.3f, \"plan_create_cold_ms\": %.3f, "
           "\"plan_create_disk_ms\": %.3f, \"plan_create_memory_ms\": %.4f, \"device_destroy_cold_ms\": %.3f}\n",
           name, level, median(device, FROM_DISK), cold, median(disk, FROM_DISK), median(memory, FROM_MEMORY), destroy);
}

int main(void)
{
    char folder[] = "/tmp/clattn-startup-XXXXXX", command[64];
    cl_platform_id platform;
    bench b = { .params = CLATTN_DEVICE_PARAMS(.cache_dir = folder) };
    require(mkdtemp(folder) != NULL, "mkdtemp");
    require(clGetPlatformIDs(1, &platform, NULL) == CL_SUCCESS, "clGetPlatformIDs");
    require(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &b.id, NULL) == CL_SUCCESS, "clGetDeviceIDs");
    b.context = clCreateContext(NULL, 1, &b.id, NULL, NULL, NULL);
    require(b.context != NULL, "clCreateContext");
    const clattn_strides q = { 0, 32 * 128, 128 }, kv = { 0, 8 * 128, 128 };
    const clattn_attention_desc prefill =
        CLATTN_ATTENTION_DESC(.q_dtype = CLATTN_F16, .k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16,
                              .o_dtype = CLATTN_F16, .q_heads = 32, .kv_heads = 8, .head_dim = 128, .max_batch = 1,
                              .max_q_len = 4096, .min_q_len = 64, .max_kv_len = 4096, .causal = 1, .q = q, .k = kv,
                              .v = kv, .o = q);
    const clattn_attention_desc decode =
        CLATTN_ATTENTION_DESC(.q_dtype = CLATTN_F16, .k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16,
                              .o_dtype = CLATTN_F16, .q_heads = 32, .kv_heads = 8, .head_dim = 128, .max_batch = 1,
                              .max_q_len = 1, .max_kv_len = 32768, .kv_mode = CLATTN_KV_BLOCK_TABLE, .page_size = 16,
                              .pages = 4096, .q = q, .o = q, .k_cache = { 16 * 8 * 128, 8 * 128, 128 },
                              .v_cache = { 16 * 8 * 128, 8 * 128, 128 });
    measure(&b, "prefill f16", &prefill);
    measure(&b, "decode f16 paged", &decode);
    clReleaseContext(b.context);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 1;
}
