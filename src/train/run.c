/*
 * run.c: one network's training: memory, weights to start from, progress, storing.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "storage/pmsignal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "sessionlen.h"
#include "train/run.h"

#define NOTICE_SECONDS 5.0
#define CHECK_SECONDS 1.0

/* Operations in a step that make waking other processes worth their while: some
 * millisecond. */
#define WORTH_SHARING 5e7

/* Only what ends the statement: other interrupts wait for the next step. */
bool
sl_run_should_stop(void *arg)
{
	return QueryCancelPending || ProcDiePending || !PostmasterIsAlive();
}

void
sl_run_step(void *arg, const SlProgress *progress)
{
	SlRun *run = arg;
	double left;

	CHECK_FOR_INTERRUPTS();
	if (run->workers && progress->seconds - run->last_check >= CHECK_SECONDS)
	{
		run->last_check = progress->seconds;
		sl_workers_check(run->workers);
	}
	if (!run->options->verbose || progress->seconds - run->last_notice < NOTICE_SECONDS)
		return;
	run->last_notice = progress->seconds;
	left =
		progress->seconds *
		((double) progress->epochs * progress->steps /
			 Max((double) (progress->epoch - 1) * progress->steps + progress->step, 1) -
		 1);
	ereport(NOTICE,
			(errmsg("%sepoch %d/%d, step " INT64_FORMAT "/" INT64_FORMAT
					": loss %.4g, %.0f rows/s, %.0f s left",
					run->label ? run->label : "", progress->epoch, progress->epochs,
					(int64) progress->step, (int64) progress->steps, progress->loss,
					progress->rows / Max(progress->seconds, 1e-9), Max(left, 0))));
}

static void
tell_epoch(SlRun *run, const SlEpoch *epoch)
{
	StringInfoData line;

	run->last_notice = 0;
	run->seconds_per_epoch =
		(run->seconds_per_epoch * (epoch->epoch - 1) + epoch->seconds) / epoch->epoch;
	run->last_notice = run->seconds_per_epoch * epoch->epoch;
	initStringInfo(&line);
	appendStringInfo(&line, "%sepoch %d/%d: loss %.4g", run->label ? run->label : "",
					 epoch->epoch, run->plan.epochs, epoch->training_loss);
	if (!isnan(epoch->validation_loss))
		appendStringInfo(&line, ", validation %.4g", epoch->validation_loss);
	if (!isnan(epoch->validation_mae))
		appendStringInfo(&line, " (MAE %.4g)", epoch->validation_mae);
	appendStringInfo(&line, ", %.0f rows/s, %.0f s left",
					 epoch->rows / Max(epoch->seconds, 1e-9),
					 run->seconds_per_epoch * (run->plan.epochs - epoch->epoch));
	ereport(NOTICE, (errmsg("%s", line.data)));
}

/* There may be a million epochs: nothing stays in memory. */
void
sl_run_epoch(void *arg, const SlEpoch *epoch)
{
	SlRun *run = arg;
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen epoch", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	sl_store_epoch(run->call->model, run->version, run->cluster, epoch);
	if (run->options->verbose)
		tell_epoch(run, epoch);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

static void
plan_from_options(SlTrainPlan *plan, const SlOptions *options, int items)
{
	*plan = (SlTrainPlan){.batch_size = options->batch_size,
						  .sequence_length = options->sequence_length,
						  .epochs = options->epochs,
						  .time_limit = options->time_limit,
						  .patience = options->patience,
						  .shuffle = options->shuffle,
						  .seed = (uint64) options->seed,
						  .optimizer = (SlOptimKind) options->optimizer,
						  .learning_rate = (float) options->learning_rate,
						  .schedule = (SlScheduleKind) options->schedule,
						  .warmup = options->warmup,
						  .clip_norm = (float) options->clip_norm,
						  .weight_decay = (float) options->weight_decay,
						  .negatives = options->negatives,
						  .teacher_forcing = (float) options->teacher_forcing};
	sl_loss_from_options(&plan->loss, options, items);
}

/* Bytes a run by so many processes needs in all; *own: in work memory, *shared: in the
 * team's. */
static Size
memory_needed(const SlRun *run, int processes, Size *own, Size *shared)
{
	const SlTrainSet *set = &run->prepared->set;
	Size weights = run->net->params.total * sizeof(float) *
				   (1 + sl_optim_moments(run->plan.optimizer));
	Size each;

	*shared = 0;
	if (processes == 1)
		*own = sl_train_memory(run->net, set, &run->plan);
	else
		*shared = sl_train_team_memory(run->net, set, &run->plan, own);
	if (*own > SIZE_MAX / 32 || *shared > SIZE_MAX / 32)
		return SIZE_MAX;
	each = *own * processes;
	return each + *shared + weights + run->prepared->bytes;
}

/* Refuses what is over the limit before anything is allocated; returns work memory. */
static Size
check_memory(const SlRun *run, Size limit)
{
	Size work;
	Size shared;
	Size total = memory_needed(run, 1, &work, &shared);

	if (total > limit)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 total == SIZE_MAX
				 ? errmsg("training with these sizes is not possible in memory")
				 : errmsg(
					   "training would need %zu MB, more than sessionlen.memory_limit (%zu MB)",
					   total >> 20, limit >> 20),
			 errdetail(
				 "%zu weights, %d rows of %d features, %d sequences of %d rows in a step.",
				 run->net->params.total, run->prepared->set.rows,
				 run->prepared->set.inputs, run->plan.batch_size,
				 run->plan.sequence_length),
			 errhint("Lower batch_size, sequence_length or hidden_dim, or raise "
					 "sessionlen.memory_limit.")));
	return work;
}

double
sl_run_operations(const SlRun *run, double rows)
{
	return rows * sl_train_operations(run->net, &run->prepared->set, &run->plan);
}

int
sl_run_processes(const SlRun *run, char **reason)
{
	int asked = run->options->workers;
	int shards = sl_train_team_size(run->net, &run->prepared->set, &run->plan);
	int processes = asked > 0 ? asked : sl_workers_processors();
	int sequences = Min(run->plan.batch_size, run->prepared->set.rows);
	double rows = (double) sequences * run->plan.sequence_length;

	*reason = NULL;
	if (!IsUnderPostmaster ||
		(asked == 0 && sl_run_operations(run, rows) < WORTH_SHARING))
		return 1;
	if (processes > sl_max_workers)
	{
		processes = sl_max_workers;
		*reason = psprintf("sessionlen.max_workers is %d.", sl_max_workers);
	}
	if (processes > shards)
	{
		processes = shards;
		*reason = psprintf("A step of %d sequences has work for %d.", sequences, shards);
	}
	return processes;
}

/*
 * Makes the run's team, if it is to have one, and returns bytes of work memory.  Results
 * are the same with any, so that one that can't be had is a notice.
 */
static Size
begin_workers(SlRun *run, Size limit)
{
	int asked = run->options->workers;
	int elevel = asked > 0 || run->options->verbose ? NOTICE : DEBUG1;
	Size alone = check_memory(run, limit);
	char *reason;
	int processes = sl_run_processes(run, &reason);
	Size own;
	Size shared;

	if (processes > 1 && memory_needed(run, processes, &own, &shared) > limit)
	{
		processes = 1;
		reason = "More would need more than sessionlen.memory_limit.";
	}
	if (asked > processes && run->call->clusters == NULL)
		ereport(NOTICE, (errmsg("training with %d of %d workers", processes, asked),
						 errdetail("%s", reason)));
	run->workers = processes > 1
					   ? sl_workers_begin(&sl_service_steps, processes, shared, elevel)
					   : NULL;
	return run->workers ? own : alone;
}

void
sl_run_check(SlStatus status)
{
	switch (status)
	{
		case SL_OK:
			return;
		case SL_STOPPED:
			CHECK_FOR_INTERRUPTS();
			if (!PostmasterIsAlive())
				ereport(
					FATAL,
					(errcode(ERRCODE_ADMIN_SHUTDOWN),
					 errmsg("terminating connection due to unexpected postmaster exit")));
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED), errmsg("training was canceled")));
		case SL_NOT_FINITE:
			ereport(
				ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("training diverged: the loss or its gradient is not finite"),
				 errhint(
					 "Lower learning_rate, set clip_norm, or standardize the columns.")));
		default:
			elog(ERROR, "training failed with status %d", (int) status);
	}
}

/* What the store is told of a run's version or network. */
static SlVersionRow
version_row(const SlRun *run)
{
	const SlTrainCall *call = run->call;
	SlVersionRow row = {.model = call->model,
						.version = run->version,
						.source = call->source,
						.target = call->target ? call->target : call->item,
						.partition_by = call->partition_by,
						.order_by = call->order_by,
						.censored = call->censored,
						.options = run->options,
						.inputs = run->prepared->inputs,
						.scale = &run->prepared->set.target,
						.split = &run->source->split,
						.sequences = run->prepared->set.sequences};

	memcpy(row.part_rows, run->prepared->part_rows, sizeof(row.part_rows));
	return row;
}

static void
store_run(const SlRun *run)
{
	const char *model = run->call->model;
	const SlTrainSource *source = run->source;

	sl_store_weights(model, run->version, run->cluster, &run->net->params,
					 run->state.value);
	if (run->cluster != SL_NO_CLUSTER)
	{
		SlVersionRow row = version_row(run);

		sl_store_network(&row, run->cluster, &run->result);
		return;
	}
	sl_store_vocabularies(model, run->version, run->prepared->inputs,
						  source->items ? source->items->rows : NULL);
	sl_store_checkpoint(model, run->version, &run->state,
						sl_optim_moments(run->plan.optimizer), run->net->params.total);
	sl_store_baselines(model, run->version, source->keys_with_rows, source->keys,
					   source->key_rows, source->key_mean, source->key_median);
	if (source->all_rows > 0)
		sl_store_baselines(model, run->version, 1, NULL, &source->all_rows,
						   &source->all_mean, &source->all_median);
	sl_store_result(model, run->version, &run->result, run->result.out_of_time);
}

/* ---- one run ---- */

void
sl_run_define(SlRun *run)
{
	run->net = palloc(sizeof(SlNet));
	plan_from_options(&run->plan, run->options,
					  run->source->items ? run->source->items->count : 0);
	sl_net_from_options(run->net, run->options, run->prepared->inputs, &run->plan.loss);
	run->plan.loss.one = (float) (1 / run->prepared->set.target.scale);
	run->work = sl_train_memory(run->net, &run->prepared->set, &run->plan);
}

/* The network of all users comes first and makes the version. */
void
sl_run_begin(SlRun *run)
{
	memset(run->state.moments, 0,
		   run->net->params.total * sizeof(float) *
			   sl_optim_moments(run->plan.optimizer));
	run->state.step = 0;
	run->state.mu_product = 1;
	sl_run_start(run);
	if (run->cluster == SL_NO_CLUSTER)
	{
		SlVersionRow row = version_row(run);

		sl_store_version(&row);
	}
}

void
sl_run_end(SlRun *run, SlStatus status)
{
	run->diverged = status == SL_NOT_FINITE && run->may_diverge;
	if (run->diverged)
	{
		sl_store_remove(run->call->model, run->version);
		return;
	}
	sl_run_check(status);
	store_run(run);
}

void
sl_run(SlRun *run, Size limit)
{
	SlTrainHooks hooks = {run,			sl_run_should_stop, sl_run_step,
						  sl_run_epoch, sl_workers_now,		NULL};
	Size bytes = begin_workers(run, limit);
	Size weights = run->net->params.total * sizeof(float);
	SlArena work;
	SlStatus status;

	run->state.value = sl_run_aligned(weights);
	run->state.moments = sl_run_aligned(weights * sl_optim_moments(run->plan.optimizer));
	sl_run_begin(run);
	sl_train_rest(run->net, &run->plan, &run->state);
	work = (SlArena){sl_run_aligned(bytes), bytes, 0};
	if (run->workers)
		hooks.team = sl_workers_team(run->workers);
	status = sl_train(run->net, &run->prepared->set, &run->plan, &hooks, &run->state,
					  &work, &run->result);
	if (status != SL_NOT_FINITE || !run->may_diverge)
		sl_run_check(status);
	if (run->workers)
		sl_workers_end(run->workers);
	run->workers = NULL;
	sl_run_end(run, status);
}
