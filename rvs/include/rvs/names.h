/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the values in rvif.h, for statistics and messages. Static strings. */
#ifndef RVS_NAMES_H
#define RVS_NAMES_H

#include "rvs/rvif.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "no_buffer", "not_ready", ...: lower case, stable, fit for keys and xstats.
 * "unknown" beyond RVIF_DROP_REASONS. */
const char *rvif_drop_name(unsigned int reason);

/* What went wrong, as half a sentence. Takes a negative result of a call, or
 * the enum rvif_error value. */
const char *rvif_error_text(long error);

#ifdef __cplusplus
}
#endif

#endif /* RVS_NAMES_H */
