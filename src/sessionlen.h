/*
 * sessionlen.h: the extension's settings.
 */
#ifndef SESSIONLEN_H
#define SESSIONLEN_H

extern int sl_memory_limit; /* kB */
extern int sl_max_workers;	/* processes, the leader included */

#endif
