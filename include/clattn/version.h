/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_VERSION_H
#define CLATTN_VERSION_H

/* The one place where the version stands: the build, the soname and `clattn --version` read it from here.
 * The soname is libclattn.so.MAJOR. */
#define CLATTN_VERSION_MAJOR 0
#define CLATTN_VERSION_MINOR 1
#define CLATTN_VERSION_PATCH 0

#endif
