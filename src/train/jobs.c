/*
 * jobs.c: whole networks as items of a board; see jobs.h.
 *
 * A slot of shared memory keeps the weights a network starts from until it is trained:
 * whoever trains it works on a copy, so that what one process leaves undone another can
 * begin anew.  Epochs come to the leader through a ring in each slot; a member that is
 * far ahead of a busy leader waits.
 */
#include "train/jobs.h"

#include <stdio.h>
#include <string.h>

#include "nn/optim.h"
#include "train/share.h"

#define WAITING 64 /* epochs of a network that the leader has not heard of */

typedef struct Slot
{
	char arch[SL_NAME_MAX];
	SlNet net;
	SlTrainPlan plan;
	SlTrainSet set;
	bool same_set; /* as the slot before */
	bool may_diverge;
	int64_t step; /* of the state */
	double mu_product;
	SlStatus status;
	SlTrainResult result;
	/* numbers of epochs, in this order: only its trainer tells, only the leader hears */
	_Atomic uint32_t told;
	_Atomic uint32_t heard;
	SlEpoch epoch[WAITING];
} Slot;

struct SlJobsShared
{
	SlBoard board;
	char arithmetic[SL_ARITHMETIC_MAX];
	int count;
	double deadline;
	size_t each;		   /* bytes of a process's own memory */
	_Atomic uint32_t told; /* epochs of all */
	_Atomic int failed;	   /* status of a job that ends all */
};

struct SlJobView
{
	Slot *slot;
	SlTrainSet set;
	const int32_t *code[SL_MAX_EMBEDDINGS];
	float *value;
	float *moments;
};

/* What the hooks of one training are called with. */
typedef struct Trainee
{
	SlJobs *jobs;
	int job;
} Trainee;

/* ---- memory ---- */

static size_t
moments_of(const SlNet *net, const SlTrainPlan *plan)
{
	return net->params.total * sl_optim_moments(plan->optimizer);
}

/* What a process needs for one training, apart from what sl_train() does. */
static SlNet *
lay_out_work(SlArena *arena, const SlNet *net, const SlTrainPlan *plan,
			 SlTrainState *state)
{
	SlNet *copy = sl_alloc(arena, 1, sizeof(SlNet));

	state->value = sl_alloc(arena, net->params.total, sizeof(float));
	state->moments = sl_alloc(arena, moments_of(net, plan), sizeof(float));
	return copy;
}

/* The most that any of the jobs takes. */
static size_t
count_work(const SlJobs *jobs)
{
	size_t most = 0;

	for (int j = 0; j < jobs->count; j++)
	{
		SlArena arena = {NULL, SIZE_MAX, 0};
		SlTrainState state;

		(void) lay_out_work(&arena, jobs->job[j].net, jobs->job[j].plan, &state);
		(void) sl_alloc(&arena, jobs->job[j].work, 1);
		if (arena.used > most)
			most = arena.used;
	}
	return most;
}

static bool
same_set(const SlJobs *jobs, int j)
{
	const SlJob *job = &jobs->job[j];

	return j > 0 && job->set == job[-1].set &&
		   job->net->spec.embeddings == job[-1].net->spec.embeddings &&
		   job->net->spec.items == job[-1].net->spec.items;
}

static void
fill_slot(Slot *slot, const SlJobs *jobs, int j)
{
	const SlJob *job = &jobs->job[j];

	memset(slot, 0, sizeof(*slot));
	snprintf(slot->arch, sizeof(slot->arch), "%s", job->net->spec.arch->name);
	slot->net = *job->net;
	slot->plan = *job->plan;
	slot->set = *job->set;
	slot->same_set = same_set(jobs, j);
	slot->may_diverge = job->may_diverge;
}

/* Sets and weights of slot j; the leader, counting, has no slot yet. */
static void
lay_out_slot(SlJobs *jobs, int j, Slot *slot, SlArena *shared)
{
	const SlJob *job = jobs->job == NULL ? NULL : &jobs->job[j];
	const SlNet *net = job != NULL ? job->net : &slot->net;
	const SlTrainPlan *plan = job != NULL ? job->plan : &slot->plan;
	SlJobView nowhere;
	SlJobView *view = jobs->view == NULL ? &nowhere : &jobs->view[j];

	view->slot = slot;
	if (job != NULL ? !same_set(jobs, j) : !slot->same_set)
	{
		view->set = sl_share_set(shared, job != NULL ? job->set : &slot->set, &net->spec,
								 view->code, job != NULL && slot != NULL);
		view->set.code = view->code;
	}
	else if (jobs->view != NULL)
		view->set = view[-1].set;
	view->value = sl_alloc(shared, net->params.total, sizeof(float));
	view->moments = sl_alloc(shared, moments_of(net, plan), sizeof(float));
}

/* Takes memory from both arenas; with empty ones it only counts. */
static bool
lay_out(SlJobs *jobs, SlArena *shared, SlArena *own, size_t work)
{
	bool leader = jobs->job != NULL;
	Slot *slot;

	jobs->item = -1;
	jobs->shared = sl_alloc(shared, 1, sizeof(SlJobsShared));
	slot = sl_alloc(shared, jobs->count, sizeof(Slot));
	jobs->view = sl_alloc(own, jobs->count, sizeof(SlJobView));
	for (int j = 0; j < jobs->count && shared->used != SIZE_MAX; j++)
	{
		if (leader && slot != NULL)
			fill_slot(&slot[j], jobs, j);
		lay_out_slot(jobs, j, slot == NULL ? NULL : &slot[j], shared);
	}
	jobs->work = (SlArena){sl_alloc(own, work, 1), work, 0};
	return shared->used != SIZE_MAX && own->used != SIZE_MAX;
}

size_t
sl_jobs_memory(const SlJobs *jobs, size_t *each)
{
	SlArena shared = {NULL, SIZE_MAX, 0};
	SlArena own = {NULL, SIZE_MAX, 0};
	SlJobs counted = *jobs;
	bool fits = lay_out(&counted, &shared, &own, count_work(jobs));

	*each = own.used;
	return fits ? shared.used : SIZE_MAX;
}

bool
sl_jobs_share(SlJobs *jobs, SlArena *own)
{
	SlJobsShared *shared;

	if (!lay_out(jobs, &jobs->team->shared, own, count_work(jobs)))
		return false;
	shared = jobs->shared;
	sl_board_init(&shared->board);
	sl_share_arithmetic(shared->arithmetic);
	shared->count = jobs->count;
	shared->deadline = jobs->deadline;
	shared->each = own->used;
	atomic_init(&shared->told, 0);
	atomic_init(&shared->failed, SL_OK);
	for (int j = 0; j < jobs->count; j++)
	{
		jobs->job[j].state.value = jobs->view[j].value;
		jobs->job[j].state.moments = jobs->view[j].moments;
	}
	return true;
}

/* ---- epochs ---- */

/* Tells the leader; a member that is asked to stop need not. */
static void
tell(SlJobs *jobs, Slot *slot, const SlEpoch *epoch)
{
	uint32_t told = atomic_load(&slot->told);

	while (told - atomic_load(&slot->heard) >= WAITING)
	{
		if (jobs->hooks.should_stop(jobs->hooks.arg))
			return;
		jobs->team->sleep(jobs->team->arg);
	}
	slot->epoch[told % WAITING] = *epoch;
	atomic_store(&slot->told, told + 1);
	atomic_fetch_add(&jobs->shared->told, 1);
	jobs->team->wake(jobs->team->arg);
}

/* True if its trainer may be waiting. */
static bool
hear_slot(SlJobs *jobs, int j)
{
	Slot *slot = jobs->view[j].slot;
	uint32_t heard = atomic_load(&slot->heard);
	bool full = atomic_load(&slot->told) - heard >= WAITING;

	while (heard != atomic_load(&slot->told))
	{
		SlEpoch epoch = slot->epoch[heard % WAITING];

		full |= atomic_load(&slot->told) - heard >= WAITING;
		atomic_store(&slot->heard, ++heard);
		jobs->epoch(jobs->hooks.arg, j, &epoch);
	}
	return full;
}

/* Leader: takes notice of all epochs so far. */
static void
hear(SlJobs *jobs)
{
	uint32_t told = atomic_load(&jobs->shared->told);
	bool waiting = false;

	if (told == jobs->heard)
		return;
	jobs->heard = told;
	for (int j = 0; j < jobs->count; j++)
		waiting |= hear_slot(jobs, j);
	if (waiting)
		jobs->team->wake(jobs->team->arg);
}

/* ---- one training ---- */

static bool
trainee_should_stop(void *arg)
{
	const SlJobs *jobs = ((Trainee *) arg)->jobs;

	return jobs->hooks.should_stop(jobs->hooks.arg) ||
		   atomic_load(&jobs->shared->failed) != SL_OK;
}

static void
trainee_step(void *arg, const SlProgress *progress)
{
	SlJobs *jobs = ((Trainee *) arg)->jobs;

	if (jobs->member == 0)
		hear(jobs);
	if (jobs->hooks.step)
		jobs->hooks.step(jobs->hooks.arg, progress);
}

static void
trainee_epoch(void *arg, const SlEpoch *epoch)
{
	const Trainee *trainee = arg;
	SlJobs *jobs = trainee->jobs;

	if (jobs->member == 0)
		jobs->epoch(jobs->hooks.arg, trainee->job, epoch);
	else
		tell(jobs, jobs->view[trainee->job].slot, epoch);
}

static double
trainee_now(void *arg)
{
	const SlJobs *jobs = ((Trainee *) arg)->jobs;

	return jobs->hooks.now(jobs->hooks.arg);
}

/* The slot is as it was unless the training came to an end. */
static SlStatus
train(SlJobs *jobs, int j)
{
	SlJobView *view = &jobs->view[j];
	Slot *slot = view->slot;
	Trainee trainee = {jobs, j};
	SlTrainHooks hooks = {&trainee,		 trainee_should_stop, trainee_step,
						  trainee_epoch, trainee_now,		  NULL};
	SlTrainPlan plan = slot->plan;
	SlTrainState state = {.step = slot->step, .mu_product = slot->mu_product};
	SlArena arena = {jobs->work.base, jobs->work.size, 0};
	SlNet *net = lay_out_work(&arena, &slot->net, &plan, &state);
	size_t weights = sizeof(float) * slot->net.params.total;
	size_t moments = sizeof(float) * moments_of(&slot->net, &plan);
	SlTrainResult result;
	SlArena work;
	SlStatus status;

	if (arena.used == SIZE_MAX)
		return SL_NO_MEMORY;
	*net = slot->net;
	net->spec.arch = sl_arch_find(slot->arch);
	memcpy(state.value, view->value, weights);
	memcpy(state.moments, view->moments, moments);
	sl_train_rest(net, &plan, &state);
	if (jobs->shared->deadline > 0)
		plan.time_limit = sl_train_time_left(&plan, jobs->shared->deadline -
														jobs->hooks.now(jobs->hooks.arg));
	work = (SlArena){arena.base + arena.used, arena.size - arena.used, 0};
	status = sl_train(net, &view->set, &plan, &hooks, &state, &work, &result);
	if (status != SL_OK)
		return status;
	memcpy(view->value, state.value, weights);
	memcpy(view->moments, state.moments, moments);
	slot->step = state.step;
	slot->mu_product = state.mu_product;
	slot->result = result;
	return SL_OK;
}

/* False if the item is not done, because this process has been asked to stop. */
static bool
run_item(SlJobs *jobs, int item)
{
	Slot *slot;
	SlStatus status;

	jobs->item = item;
	slot = jobs->view[item].slot;
	status = train(jobs, item);
	if (status == SL_STOPPED && jobs->hooks.should_stop(jobs->hooks.arg))
		return false;
	slot->status = status;
	if (status != SL_OK && status != SL_STOPPED &&
		!(status == SL_NOT_FINITE && slot->may_diverge))
		atomic_store(&jobs->shared->failed, (int) status);
	jobs->item = -1;
	if (sl_board_finish(&jobs->shared->board) && jobs->member != 0)
		jobs->team->wake(jobs->team->arg);
	return true;
}

/* ---- the leader ---- */

/* An item that nobody is at work on, or -1. */
static int
next_item(SlJobs *jobs)
{
	int item = sl_board_claim(&jobs->shared->board);

	if (item >= 0)
		return item;
	item = sl_board_reclaim(&jobs->shared->board);
	if (item >= 0)
	{
		hear(jobs);
		jobs->again(jobs->hooks.arg, item);
	}
	return item;
}

static void
collect(SlJobs *jobs)
{
	hear(jobs);
	for (int j = 0; j < jobs->count; j++)
	{
		SlJob *job = &jobs->job[j];
		const Slot *slot = jobs->view[j].slot;

		job->status = slot->status;
		job->result = slot->result;
		job->state.step = slot->step;
		job->state.mu_product = slot->mu_product;
	}
}

SlStatus
sl_jobs_run(SlJobs *jobs)
{
	SlBoard *board = &jobs->shared->board;

	for (int j = 0; j < jobs->count; j++)
	{
		jobs->view[j].slot->step = jobs->job[j].state.step;
		jobs->view[j].slot->mu_product = jobs->job[j].state.mu_product;
	}
	sl_board_publish(board, jobs->count);
	jobs->team->wake(jobs->team->arg);
	while (!sl_board_all_done(board) && atomic_load(&jobs->shared->failed) == SL_OK)
	{
		int item = next_item(jobs);

		if (item >= 0 ? !run_item(jobs, item) : jobs->hooks.should_stop(jobs->hooks.arg))
			return SL_STOPPED;
		hear(jobs);
		if (item >= 0)
			continue;
		if (jobs->idle)
			jobs->idle(jobs->hooks.arg);
		jobs->team->sleep(jobs->team->arg);
	}
	if (atomic_load(&jobs->shared->failed) != SL_OK)
		return (SlStatus) atomic_load(&jobs->shared->failed);
	collect(jobs);
	return SL_OK;
}

/* ---- members ---- */

size_t
sl_jobs_join_memory(void *shared, size_t size)
{
	SlArena arena = {shared, size, 0};
	const SlJobsShared *jobs = sl_alloc(&arena, 1, sizeof(SlJobsShared));
	const Slot *slot = jobs == NULL ? NULL : sl_alloc(&arena, jobs->count, sizeof(Slot));
	char arithmetic[SL_ARITHMETIC_MAX];

	if (slot == NULL)
		return SIZE_MAX;
	sl_share_arithmetic(arithmetic);
	for (int j = 0; j < jobs->count; j++)
		if (sl_arch_find(slot[j].arch) == NULL)
			return SIZE_MAX;
	return strcmp(arithmetic, jobs->arithmetic) == 0 ? jobs->each : SIZE_MAX;
}

bool
sl_jobs_join(SlJobs *jobs, void *shared, size_t size, SlArena *own)
{
	SlArena arena = {shared, size, 0};
	const SlJobsShared *there = shared;
	SlArena views = {NULL, SIZE_MAX, 0};

	jobs->job = NULL;
	jobs->count = there->count;
	(void) sl_alloc(&views, jobs->count, sizeof(SlJobView));
	return lay_out(jobs, &arena, own, there->each - views.used);
}

void
sl_jobs_serve(SlJobs *jobs)
{
	while (!jobs->hooks.should_stop(jobs->hooks.arg))
	{
		int item = sl_board_claim(&jobs->shared->board);

		if (item < 0)
			jobs->team->sleep(jobs->team->arg);
		else if (!run_item(jobs, item))
			break;
	}
	sl_jobs_leave(jobs);
}

void
sl_jobs_leave(SlJobs *jobs)
{
	int item = jobs->item;

	jobs->item = -1;
	if (item >= 0)
		sl_board_abandon(&jobs->shared->board, jobs->member, item);
}
