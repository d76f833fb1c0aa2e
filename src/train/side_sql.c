/*
 * side_sql.c: networks side by side in background workers; see side.h.
 *
 * Nothing but speed depends on it: networks that can't be trained together, for want of
 * memory, of workers or of a segment, are trained one after the other.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "sessionlen.h"
#include "train/jobs.h"
#include "train/side.h"

/* Operations of all networks that make starting processes worth their while: some two
 * tenths of a second. */
#define WORTH_STARTING 2e10

typedef struct Together
{
	SlSide *side;
	SlJobs jobs;
	SlWorkers *workers;
} Together;

static int
choose_processes(const SlRun *first, int networks)
{
	int asked = first->options->workers;
	int processes = asked > 0 ? asked : sl_workers_processors();
	bool clusters = first->call->clusters != NULL;
	double rows = (double) first->prepared->part_rows[SL_TRAIN] * first->plan.epochs;
	double operations = sl_run_operations(first, rows) * (clusters ? 1 : networks);
	char *reason;

	if (!IsUnderPostmaster || (asked == 0 && operations < WORTH_STARTING))
		return 1;
	processes = Min(processes, Min(networks, sl_max_workers));
	return processes >= sl_run_processes(first, &reason) ? processes : 1;
}

/* Says why there are not as many as were asked for; of networks in a row each says it
 * itself, but for those of clusters. */
static void
tell_processes(const SlSide *side, const SlRun *first, int networks)
{
	bool clusters = first->call->clusters != NULL;
	int asked = first->options->workers;
	int most = side->processes;
	char *reason;

	if (networks < 2 || (most == 1 && !clusters))
		return;
	if (clusters)
		most = Max(most, sl_run_processes(first, &reason));
	if (asked > most)
		ereport(NOTICE, (errmsg("training with %d of %d workers", most, asked),
						 most == sl_max_workers
							 ? errdetail("sessionlen.max_workers is %d.", sl_max_workers)
							 : errdetail("There are %d networks to train.", networks)));
}

SlSide *
sl_side_begin(const SlRun *first, int networks, Size limit)
{
	SlSide *side = palloc0(sizeof(SlSide));

	side->processes = choose_processes(first, networks);
	side->limit = limit;
	side->room = side->processes == 1 ? 1 : Min(networks, SL_MAX_ITEMS);
	side->run = palloc_extended(sizeof(SlRun *) * side->room, MCXT_ALLOC_HUGE);
	tell_processes(side, first, networks);
	return side;
}

/* ---- memory ---- */

static SlJob *
make_jobs(const SlSide *side)
{
	SlJob *job = MemoryContextAllocExtended(CurrentMemoryContext,
											sizeof(SlJob) * Max(side->count, 1),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (int i = 0; i < side->count; i++)
		job[i] = (SlJob){.net = side->run[i]->net,
						 .set = &side->run[i]->prepared->set,
						 .plan = &side->run[i]->plan,
						 .work = side->run[i]->work,
						 .may_diverge = side->run[i]->may_diverge};
	return job;
}

/* Whether all those added fit into memory: shared, each process's own, and the sets they
 * are copied from. */
static bool
fits(const SlSide *side)
{
	SlJobs jobs = {.job = make_jobs(side), .count = side->count};
	Size own;
	Size total = sl_jobs_memory(&jobs, &own);

	pfree(jobs.job);
	if (total > side->limit || own > side->limit)
		return false;
	total += own * Min(side->processes, side->count);
	for (int i = 0; i < side->count && total <= side->limit; i++)
		if (i == 0 || side->run[i]->prepared != side->run[i - 1]->prepared)
			total += side->run[i]->prepared->bytes;
	return total <= side->limit;
}

bool
sl_side_add(SlSide *side, SlRun *run)
{
	if (side->count == side->room)
		return false;
	side->run[side->count++] = run;
	if (side->count == 1 || fits(side))
		return true;
	side->count--;
	return false;
}

/* ---- training ---- */

static void
together_step(void *arg, const SlProgress *progress)
{
	Together *together = arg;

	sl_run_step(together->side->run[together->jobs.item], progress);
}

static void
together_epoch(void *arg, int job, const SlEpoch *epoch)
{
	Together *together = arg;

	sl_run_epoch(together->side->run[job], epoch);
}

static void
together_again(void *arg, int job)
{
	Together *together = arg;
	const SlRun *run = together->side->run[job];

	sl_store_forget_epochs(run->call->model, run->version, run->cluster);
}

static void
together_idle(void *arg)
{
	Together *together = arg;

	CHECK_FOR_INTERRUPTS();
	sl_workers_check(together->workers);
}

/* False if there is no memory to share. */
static bool
train_together(SlSide *side, double time_limit)
{
	Together together = {.side = side};
	SlJobs *jobs = &together.jobs;
	const SlOptions *options = side->run[0]->options;
	SlArena own = {0};
	Size shared;
	double begin;

	*jobs = (SlJobs){.hooks = {&together, sl_run_should_stop, together_step, NULL,
							   sl_workers_now, NULL},
					 .job = make_jobs(side),
					 .count = side->count,
					 .deadline = time_limit > 0 ? sl_workers_now(NULL) + time_limit : 0,
					 .epoch = together_epoch,
					 .again = together_again,
					 .idle = together_idle};
	shared = sl_jobs_memory(jobs, &own.size);
	together.workers =
		sl_workers_begin(&sl_service_networks, Min(side->processes, side->count), shared,
						 options->workers > 0 || options->verbose ? NOTICE : DEBUG1);
	if (together.workers == NULL)
		return false;
	jobs->team = sl_workers_team(together.workers);
	own.base = sl_run_aligned(own.size);
	if (!sl_jobs_share(jobs, &own))
		elog(ERROR, "could not lay out the memory of %d networks", side->count);
	for (int i = 0; i < side->count; i++)
	{
		SlRun *run = side->run[i];

		CHECK_FOR_INTERRUPTS();
		run->workers = together.workers;
		run->state = jobs->job[i].state;
		sl_run_begin(run);
		jobs->job[i].state = run->state;
	}
	begin = sl_workers_now(NULL);
	sl_run_check(sl_jobs_run(jobs));
	side->seconds = sl_workers_now(NULL) - begin;
	for (int i = 0; i < side->count; i++)
	{
		SlRun *run = side->run[i];

		CHECK_FOR_INTERRUPTS();
		run->workers = NULL;
		run->state = jobs->job[i].state;
		run->result = jobs->job[i].result;
		sl_run_end(run, jobs->job[i].status);
	}
	sl_workers_end(together.workers);
	return true;
}

/* It has what those before have left of time_limit: an epoch's first step at least. */
static void
train_one(SlSide *side, SlRun *run, double time_limit)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen training", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (time_limit > 0)
		run->plan.time_limit = sl_train_time_left(&run->plan, time_limit - side->seconds);
	run->label = NULL;
	sl_run(run, side->limit);
	side->seconds += run->result.seconds;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

int
sl_side_train(SlSide *side, double time_limit)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen trainings", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int count = side->count;

	side->seconds = 0;
	side->out_of_time = false;
	if (count == 1 || !train_together(side, time_limit))
		for (int i = 0; i < count; i++)
			train_one(side, side->run[i], time_limit);
	for (int i = 0; i < count; i++)
		side->out_of_time |= side->run[i]->result.out_of_time;
	side->count = 0;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return count;
}
