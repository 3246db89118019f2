/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_STATUS_H
#define CLATTN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(CLATTN_STATIC) || !(defined(__GNUC__) || defined(_MSC_VER))
#define CLATTN_API
#elif defined(_WIN32) && defined(CLATTN_BUILDING)
#define CLATTN_API __declspec(dllexport)
#elif defined(_WIN32)
#define CLATTN_API __declspec(dllimport)
#else
#define CLATTN_API __attribute__((visibility("default")))
#endif

/* What every function of the library returns. Failures are negative. A failed call changes nothing that its caller can
 * see, except where the function's own comment says otherwise. */
typedef enum clattn_status {
    CLATTN_OK = 0,
    CLATTN_INVALID_ARGUMENT = -1, /* an argument is wrong: clattn_last_error() names it, its value and what would do */
    CLATTN_UNSUPPORTED = -2,      /* the request is well-formed, but this device or this version cannot do it */
    CLATTN_OUT_OF_MEMORY = -3,    /* the host, or the driver (CL_OUT_OF_HOST_MEMORY), has no memory left */
    CLATTN_OPENCL_ERROR = -4,     /* an OpenCL call failed: clattn_last_error() names the call and its code */
    CLATTN_BUILD_FAILED = -5,     /* the driver did not compile a kernel: the build log went to the log callback */
    CLATTN_IO_ERROR = -6,         /* a file or folder cannot be read or written */
    CLATTN_OUT_OF_PAGES = -7,     /* a page manager has no page, host page or sequence left: free one, or wait */
    CLATTN_CANCELLED = -8         /* a callback asked for an end: what was done until then stays */
} clattn_status;

/* "CLATTN_OK", "CLATTN_INVALID_ARGUMENT", ...; "unknown status" for a value that is not in the list. Thread-safe. */
CLATTN_API const char *clattn_status_name(clattn_status status);

/* One line on the last failure in the calling thread, "" when there was none. It names the argument, its value and what
 * would be right. The string belongs to the library and stays valid until the thread's next failing call. A success
 * leaves it as it is. Thread-safe: each thread sees only its own. */
CLATTN_API const char *clattn_last_error(void);

/* "0.1.0": the version of the library that runs, which may differ from the CLATTN_VERSION_* it was compiled against. */
CLATTN_API const char *clattn_version(void);

#ifdef __cplusplus
}
#endif

#endif
