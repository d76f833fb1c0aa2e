/*
 * jobs.h: whole networks, trained side by side by the processes of a team.  Plain C11.
 *
 * Each network is one item of the team's board, and whoever claims it trains it alone:
 * its bits are those of a training without a team.  The leader shares what the trainings
 * need, takes items like the others, and meanwhile hears of the others' epochs.
 */
#ifndef SL_JOBS_H
#define SL_JOBS_H

#include "train/team.h"

/* One network's training, as the leader knows it. */
typedef struct SlJob
{
	const SlNet *net;
	const SlTrainSet *set; /* shared once by jobs in a row that have the same */
	const SlTrainPlan *plan;
	size_t work;	  /* sl_train_memory() of them */
	bool may_diverge; /* else all end when it does */
	/* in: what it starts from; out: trained.  Arrays are in shared memory, made by
	 * sl_jobs_share(). */
	SlTrainState state;
	SlStatus status; /* out: SL_OK or SL_NOT_FINITE */
	SlTrainResult result;
} SlJob;

typedef struct SlJobsShared SlJobsShared;
typedef struct SlJobView SlJobView;

typedef struct SlJobs
{
	SlTeam *team;
	/* Of this process: epoch and team are not used, step is the leader's. */
	SlTrainHooks hooks;
	int member; /* 0: the leader */
	int item;	/* in work here, or -1 */

	/* leader; arg is the hooks' */
	SlJob *job;
	int count;		 /* SL_MAX_ITEMS at most */
	double deadline; /* by hooks.now: one for all, instead of the plans'; 0: none */
	void (*epoch)(void *arg, int job, const SlEpoch *epoch);
	void (*again)(void *arg, int job); /* all its epochs so far are void */
	void (*idle)(void *arg);		   /* before it sleeps */
	uint32_t heard;

	/* laid out */
	SlJobsShared *shared;
	SlJobView *view;
	SlArena work;
} SlJobs;

/* Leader: bytes of shared memory, and of each process's own; SIZE_MAX if they overflow.
 * Looks at job and count. */
extern size_t sl_jobs_memory(const SlJobs *jobs, size_t *each);

/* Leader: copies the jobs into the team's memory, but for the arrays of their states,
 * which the caller then fills. */
extern bool sl_jobs_share(SlJobs *jobs, SlArena *own);

/*
 * Leader: trains all.  SL_STOPPED when should_stop said so; SL_NOT_FINITE when a job that
 * may not diverge did.  Otherwise each has its status.
 */
extern SlStatus sl_jobs_run(SlJobs *jobs);

/* Member: as sl_step_join_memory() and the others. */
extern size_t sl_jobs_join_memory(void *shared, size_t size);
extern bool sl_jobs_join(SlJobs *jobs, void *shared, size_t size, SlArena *own);
extern void sl_jobs_serve(SlJobs *jobs);
extern void sl_jobs_leave(SlJobs *jobs);

#endif
