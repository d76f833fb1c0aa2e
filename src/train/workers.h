/*
 * workers.h: background workers as the team of a training.
 */
#ifndef SL_WORKERS_H
#define SL_WORKERS_H

#include "train/team.h"

typedef struct SlWorkers SlWorkers;

/* Processors this process may run on. */
extern int sl_workers_processors(void);

/* Seconds by a clock that all processes share: the hook of trainings. */
extern double sl_workers_now(void *arg);

/*
 * A team of so many processes, the caller included, over shared memory of shared bytes,
 * for whole networks or for the steps of one; the others start when they are first
 * called.  NULL, said at elevel, if there can be no such memory.  It ends with the
 * transaction's resource owner at the latest.
 */
extern SlWorkers *sl_workers_begin(int processes, size_t shared, bool networks,
								   int elevel);
extern SlTeam *sl_workers_team(SlWorkers *workers);

/* Says, once, when a worker has gone. */
extern void sl_workers_check(SlWorkers *workers);
extern void sl_workers_end(SlWorkers *workers);

#endif
