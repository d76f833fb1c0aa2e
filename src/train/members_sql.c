/*
 * members_sql.c: workers of a training; see step.h and jobs.h for what they serve.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"

#include "train/jobs.h"
#include "train/step.h"
#include "train/workers.h"

PGDLLEXPORT void sl_steps_main(Datum arg);
PGDLLEXPORT void sl_networks_main(Datum arg);

const SlService sl_service_steps = {"training", "sl_steps_main"};
const SlService sl_service_networks = {"training", "sl_networks_main"};

/* They outlive what the detach callback needs. */
static SlStep step = {.item = -1};
static SlJobs jobs = {.item = -1};

/* Memory of so many bytes; SIZE_MAX: this process would compute something else. */
static SlArena
worker_memory(size_t bytes)
{
	SlArena own = {.size = bytes};

	sl_worker_check_arithmetic(bytes != SIZE_MAX);
	own.base = MemoryContextAllocHuge(TopMemoryContext, own.size + SL_ALIGN);
	own.base = (char *) TYPEALIGN(SL_ALIGN, own.base);
	return own;
}

static void
serve_steps(SlMember *member)
{
	SlArena own;

	step = (SlStep){.should_stop = member->should_stop,
					.stop_arg = member->arg,
					.team = &member->team,
					.member = member->number,
					.item = -1};
	own = worker_memory(sl_step_join_memory(&step, member->shared, member->size));
	if (!sl_step_join(&step, member->shared, member->size, &own))
		elog(ERROR, "could not lay out a training worker's memory");
	sl_step_serve(&step);
}

static void
leave_steps(SlMember *member)
{
	sl_step_leave(&step);
}

void
sl_steps_main(Datum arg)
{
	sl_worker_run(arg, serve_steps, leave_steps);
}

static void
serve_networks(SlMember *member)
{
	SlArena own;

	jobs = (SlJobs){
		.team = &member->team,
		.hooks = {.arg = member->arg,
				  .should_stop = member->should_stop,
				  .now = sl_workers_now},
		.member = member->number,
		.item = -1,
	};
	own = worker_memory(sl_jobs_join_memory(member->shared, member->size));
	if (!sl_jobs_join(&jobs, member->shared, member->size, &own))
		elog(ERROR, "could not lay out a training worker's memory");
	sl_jobs_serve(&jobs);
}

static void
leave_networks(SlMember *member)
{
	sl_jobs_leave(&jobs);
}

void
sl_networks_main(Datum arg)
{
	sl_worker_run(arg, serve_networks, leave_networks);
}
