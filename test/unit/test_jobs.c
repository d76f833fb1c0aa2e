/*
 * test_jobs.c: networks trained side by side by threads are, bit for bit, those that are
 * trained one after the other; also when members leave in the middle of their work, when
 * one diverges, and when all are stopped.
 */
#include "crew.h"
#include "nn/blas.h"
#include "train/jobs.h"
#include "training.h"

#define JOBS 6
#define MANY_EPOCHS 300 /* more than wait for a leader */

typedef struct Together
{
	Crew crew;
	SlJobs jobs;
	int stop_at; /* question of the leader's; 0: never */
	int asked;
	/* heard of each job */
	int epochs[JOBS];
	bool in_order;
	SlEpoch last[JOBS];
	int again;
} Together;

static double
no_clock(void *arg)
{
	(void) arg;
	return 0;
}

static bool
serve(Member *member)
{
	const SlArena *shared = &member->crew->team.shared;
	SlTeam team = member_team(member);
	SlJobs jobs = {
		.team = &team,
		.hooks = {.arg = member, .should_stop = member_should_stop, .now = no_clock},
		.member = member->number};
	SlArena own = {.size = sl_jobs_join_memory(shared->base, shared->size)};
	bool joined;

	own.base = aligned_alloc(SL_ALIGN, own.size);
	joined =
		sl_jobs_join(&jobs, shared->base, shared->size, &own) && own.used == own.size;
	if (joined)
		sl_jobs_serve(&jobs);
	free(own.base);
	return joined;
}

static bool
should_stop(void *arg)
{
	Together *all = arg;

	return all->stop_at > 0 && ++all->asked >= all->stop_at;
}

static void
hear_epoch(void *arg, int job, const SlEpoch *epoch)
{
	Together *all = arg;

	all->in_order &= epoch->epoch == ++all->epochs[job];
	all->last[job] = *epoch;
}

static void
hear_again(void *arg, int job)
{
	Together *all = arg;

	all->epochs[job] = 0;
	all->again++;
}

/* Trains them by members + 1 threads; patience of the first member. */
static SlStatus
trained_by(Together *all, Case *const *c, SlJob *job, float **value)
{
	Crew *crew = &all->crew;
	SlArena own = {0};
	SlStatus status;

	for (int j = 0; j < JOBS; j++)
	{
		job[j].net = &c[j]->net;
		job[j].set = &c[j]->set;
		job[j].plan = &c[j]->plan;
		job[j].work = sl_train_memory(job[j].net, job[j].set, job[j].plan);
	}
	all->in_order = true;
	all->jobs =
		(SlJobs){.team = &crew->team,
				 .hooks = {.arg = all, .should_stop = should_stop, .now = no_clock},
				 .job = job,
				 .count = JOBS,
				 .epoch = hear_epoch,
				 .again = hear_again};
	crew->serve = serve;
	crew_begin(crew, sl_jobs_memory(&all->jobs, &own.size));
	own.base = aligned_alloc(SL_ALIGN, own.size);
	if (!sl_jobs_share(&all->jobs, &own))
		abort();
	for (int j = 0; j < JOBS; j++)
	{
		memcpy(job[j].state.value, c[j]->initial, sizeof(float) * c[j]->net.params.total);
		memset(job[j].state.moments, 0,
			   sizeof(float) * c[j]->net.params.total *
				   sl_optim_moments(c[j]->plan.optimizer));
		job[j].state.mu_product = 1;
	}
	status = sl_jobs_run(&all->jobs);
	if (!crew_end(crew) || own.used != own.size)
		status = SL_NO_MEMORY;
	for (int j = 0; j < JOBS; j++)
		value[j] = memcpy(malloc(sizeof(float) * c[j]->net.params.total),
						  job[j].state.value, sizeof(float) * c[j]->net.params.total);
	free(own.base);
	free(crew->team.shared.base);
	return status;
}

/* Whether job j is what training it alone gives, with all its epochs heard. */
static bool
same_as(const Run *alone, const Case *c, const Together *all, const SlJob *job,
		const float *value, int j)
{
	const SlEpoch *last =
		&alone->epoch[alone->epochs > 0 && alone->epochs <= MAX_EPOCHS ? alone->epochs - 1
																	   : 0];
	bool heard = all->in_order && all->epochs[j] == alone->epochs;

	if (alone->status != job[j].status)
		return false;
	if (alone->status != SL_OK)
		return true;
	return heard &&
		   memcmp(alone->state.value, value, sizeof(float) * c->net.params.total) == 0 &&
		   alone->state.step == job[j].state.step &&
		   alone->state.mu_product == job[j].state.mu_product &&
		   alone->result.rows == job[j].result.rows &&
		   alone->result.best.epoch == job[j].result.best.epoch &&
		   (alone->epochs > MAX_EPOCHS ||
			memcmp(&last->training_loss, &all->last[j].training_loss, sizeof(double)) ==
				0);
}

static void
make_cases(Case **c)
{
	c[0] = case_new(61, "lstm", 90, 9, 1, 7, 0);
	c[1] = case_new(62, "gru", 300, 9, 2, 24, 0.3f);
	c[2] = case_new(62, "lstm", 300, 9, 1, 12, 0);
	c[3] = case_new(63, "lstm", 40, 5, 1, 3, 0);
	c[4] = case_new(64, "gru", 20, 4, 1, 4, 0);
	c[5] = case_new(65, "lstm", 150, 6, 1, 6, 0.1f);
	c[1]->plan.batch_size = 256; /* shards */
	c[1]->plan.optimizer = SL_OPTIM_NADAM;
	c[3]->plan.sequence_length = 1; /* rows by time */
	c[3]->plan.shuffle = false;
	c[4]->plan.epochs = MANY_EPOCHS;
	c[5]->plan.epochs = 5;
	c[5]->plan.patience = 1;
	c[5]->plan.shuffle = true;
}

/* Case 2 has the rows of case 1, as in a search. */
static int
check_same(const char *what, Crew crew, Case **c, const Run *alone, int may_diverge)
{
	Together all = {.crew = crew};
	SlJob job[JOBS] = {0};
	float *value[JOBS];
	SlTrainSet own = c[2]->set;
	SlStatus status;
	int same = 0;

	if (may_diverge >= 0)
		job[may_diverge].may_diverge = true;
	c[2]->set = c[1]->set;
	status = trained_by(&all, c, job, value);
	c[2]->set = own;
	for (int j = 0; j < JOBS; j++)
	{
		same += same_as(&alone[j], c[j], &all, job, value[j], j);
		free(value[j]);
	}
	ok(status == SL_OK && same == JOBS, "%s: %d of %d are the same (%d)", what, same,
	   JOBS, (int) status);
	return all.again;
}

static void
run_alone(Case **c, Run *alone)
{
	for (int j = 0; j < JOBS; j++)
	{
		alone[j] = (Run){0};
		run_in(&alone[j], c[j], 0);
	}
}

static void
check_all(void)
{
	Case *c[JOBS];
	Run alone[JOBS];
	char what[64];
	int again = 0;
	int left = 0;

	make_cases(c);
	run_alone(c, alone);
	is_int(alone[4].epochs, MANY_EPOCHS, "many epochs");
	for (int members = 0; members <= 3; members++)
	{
		snprintf(what, sizeof(what), "%d processes", members + 1);
		check_same(what, (Crew){.members = members}, c, alone, -1);
	}
	for (int patience = 1; patience < 4000; patience = patience * 2 + 1)
	{
		snprintf(what, sizeof(what), "a member leaves at question %d", patience);
		check_same(what, (Crew){.members = 2, .member[0].patience = patience}, c, alone,
				   -1);
		again +=
			check_same("the only member leaves",
					   (Crew){.members = 1, .slow = true, .member[0].patience = patience},
					   c, alone, -1);
		left += patience > 1; /* with an item */
	}
	is_int(again, left, "what it has left is done again");
	for (int j = 0; j < JOBS; j++)
		run_free(&alone[j]);

	/* one that diverges */
	c[5]->plan.learning_rate = 1e30f;
	run_alone(c, alone);
	ok(alone[5].status == SL_NOT_FINITE, "one diverges");
	check_same("as it may", (Crew){.members = 2}, c, alone, 5);
	for (int members = 0; members <= 2; members++)
	{
		Together all = {.crew.members = members};
		SlJob job[JOBS] = {0};
		float *value[JOBS];

		ok(trained_by(&all, c, job, value) == SL_NOT_FINITE,
		   "as it may not: %d processes", members + 1);
		for (int j = 0; j < JOBS; j++)
			free(value[j]);
	}
	for (int j = 0; j < JOBS; j++)
	{
		run_free(&alone[j]);
		case_free(c[j]);
	}
}

static void
check_cancel(void)
{
	Case *c[JOBS];
	int bad = 0;

	make_cases(c);
	c[4]->plan.epochs = 3;
	for (int at = 1; at < 600; at += 37)
	{
		Together all = {.crew.members = 2, .stop_at = at};
		SlJob job[JOBS] = {0};
		float *value[JOBS];
		SlStatus status = trained_by(&all, c, job, value);

		/* the others may have left it nothing to ask about */
		bad += status != SL_STOPPED && !(status == SL_OK && all.asked < at);
		for (int j = 0; j < JOBS; j++)
			free(value[j]);
	}
	is_int(bad, 0, "stopped at any question");
	for (int j = 0; j < JOBS; j++)
		case_free(c[j]);
}

int
main(void)
{
	(void) sl_blas_load(); /* not by several threads at once */
	check_all();
	check_cancel();
	return done_testing();
}
