/*
 * workers.h: background workers as a team: of a training, or of predictions.
 */
#ifndef SL_WORKERS_H
#define SL_WORKERS_H

#include "train/team.h"

typedef struct SlWorkers SlWorkers;

/* What workers are for. */
typedef struct SlService
{
	const char *doing;	  /* "training", in messages */
	const char *function; /* of this library, where they start; calls sl_worker_run() */
} SlService;

/* Parts of a training's steps (step.h), and whole networks (jobs.h). */
extern const SlService sl_service_steps;
extern const SlService sl_service_networks;

/* Processors this process may run on. */
extern int sl_workers_processors(void);

/* Seconds by a clock that all processes share: the hook of trainings. */
extern double sl_workers_now(void *arg);

/*
 * A team of so many processes, the caller included, over shared memory of shared bytes;
 * the others start when they are first called.  NULL, said at elevel, if there can be no
 * such memory.  It ends with the transaction's resource owner at the latest.
 */
extern SlWorkers *sl_workers_begin(const SlService *service, int processes, size_t shared,
								   int elevel);
extern SlTeam *sl_workers_team(SlWorkers *workers);

/* Says, once, when a worker has gone. */
extern void sl_workers_check(SlWorkers *workers);
extern void sl_workers_end(SlWorkers *workers);

/* A worker, as it sees itself. */
typedef struct SlMember
{
	SlTeam team; /* without memory; wakes the leader */
	int number;	 /* from 1 */
	bool (*should_stop)(void *arg);
	void *arg;
	char *shared; /* the leader's team's memory */
	size_t size;
} SlMember;

/*
 * All of a worker.  serve returns when should_stop says so; leave, called last however it
 * ends, gives back what it has claimed, and is called without serve if the leader is gone
 * by then.
 */
extern void sl_worker_run(Datum arg, void (*serve)(SlMember *member),
						  void (*leave)(SlMember *member));

/* Ends a worker that would not compute the same bits. */
extern void sl_worker_check_arithmetic(bool same);

#endif
