/*
 * run.c: one network's training: memory, weights to start from, progress, storing.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "train/run.h"

#define NOTICE_SECONDS 5.0

static double
hook_now(void *arg)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return INSTR_TIME_GET_DOUBLE(now);
}

/* Only what ends the statement: other interrupts wait for the next step. */
static bool
hook_should_stop(void *arg)
{
	return QueryCancelPending || ProcDiePending;
}

static void
hook_step(void *arg, const SlProgress *progress)
{
	SlRun *run = arg;
	double left;

	CHECK_FOR_INTERRUPTS();
	if (!run->options->verbose || progress->seconds - run->last_notice < NOTICE_SECONDS)
		return;
	run->last_notice = progress->seconds;
	left =
		progress->seconds *
		((double) progress->epochs * progress->steps /
			 Max((double) (progress->epoch - 1) * progress->steps + progress->step, 1) -
		 1);
	ereport(NOTICE,
			(errmsg("epoch %d/%d, step " INT64_FORMAT "/" INT64_FORMAT
					": loss %.4g, %.0f rows/s, %.0f s left",
					progress->epoch, progress->epochs, (int64) progress->step,
					(int64) progress->steps, progress->loss,
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
	appendStringInfo(&line, "epoch %d/%d: loss %.4g", epoch->epoch, run->plan.epochs,
					 epoch->training_loss);
	if (!isnan(epoch->validation_loss))
		appendStringInfo(&line, ", validation %.4g (MAE %.4g)", epoch->validation_loss,
						 epoch->validation_mae);
	appendStringInfo(&line, ", %.0f rows/s, %.0f s left",
					 epoch->rows / Max(epoch->seconds, 1e-9),
					 run->seconds_per_epoch * (run->plan.epochs - epoch->epoch));
	ereport(NOTICE, (errmsg("%s", line.data)));
}

/* There may be a million epochs: nothing stays in memory. */
static void
hook_epoch(void *arg, const SlEpoch *epoch)
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
plan_from_options(SlTrainPlan *plan, const SlOptions *options)
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
						  .weight_decay = (float) options->weight_decay};
	sl_loss_from_options(&plan->loss, options);
}

static void *
aligned(Size bytes)
{
	char *memory = MemoryContextAllocHuge(CurrentMemoryContext, bytes + SL_ALIGN);

	return (void *) TYPEALIGN(SL_ALIGN, memory);
}

/* Bytes a run needs; refuses what is over the limit before anything is allocated. */
static Size
check_memory(const SlRun *run, Size limit)
{
	Size work = sl_train_memory(run->net, &run->prepared->set, &run->plan);
	Size weights = run->net->params.total * sizeof(float) *
				   (1 + sl_optim_moments(run->plan.optimizer));
	Size total = work == SIZE_MAX ? SIZE_MAX : work + weights + run->prepared->bytes;

	if (total > limit)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 work == SIZE_MAX
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

static void
copy_base_weights(SlRun *run, const SlModel *base)
{
	const SlParams *params = &run->net->params;
	bool same = params->count == base->net.params.count &&
				params->total == base->net.params.total;

	for (int i = 0; same && i < params->count; i++)
		same = strcmp(params->item[i].name, base->net.params.item[i].name) == 0 &&
			   params->item[i].rows == base->net.params.item[i].rows &&
			   params->item[i].cols == base->net.params.item[i].cols;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("warm_start needs the network of version %d", base->version),
				 errhint("Give the same architecture, hidden_dim and loss.")));
	memcpy(run->state.value, base->value, sizeof(float) * params->total);
	if (base->cluster == SL_NO_CLUSTER &&
		base->options.optimizer == run->options->optimizer)
		sl_store_load_checkpoint(base->model, base->version, &run->state,
								 sl_optim_moments(run->plan.optimizer), params->total);
}

static void
initial_weights(SlRun *run)
{
	const SlParams *params = &run->net->params;
	SlArena count = {NULL, SIZE_MAX, 0};
	SlArena work;
	SlStatus status;

	sl_params_init(params, (SlInitStyle) run->options->init, run->plan.seed,
				   run->state.value, &count);
	work = (SlArena){aligned(count.used), count.used, 0};
	status = sl_params_init(params, (SlInitStyle) run->options->init, run->plan.seed,
							run->state.value, &work);
	if (status != SL_OK)
		elog(ERROR, "could not initialise weights: status %d", (int) status);
	/* a network of one output starts from the training target's median */
	if (run->net->spec.outputs == 1)
		run->state.value[params->item[run->net->head_bias].offset] =
			(float) run->prepared->start_value;
}

static void
check_status(SlStatus status)
{
	switch (status)
	{
		case SL_OK:
			return;
		case SL_STOPPED:
			CHECK_FOR_INTERRUPTS();
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
						.target = call->target,
						.partition_by = call->partition_by,
						.order_by = call->order_by,
						.censored = call->censored,
						.task = call->task,
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
	sl_store_vocabularies(model, run->version, run->prepared->inputs);
	sl_store_checkpoint(model, run->version, &run->state,
						sl_optim_moments(run->plan.optimizer), run->net->params.total);
	sl_store_baselines(model, run->version, source->keys_with_rows, source->keys,
					   source->key_rows, source->key_mean, source->key_median);
	if (source->all_rows > 0)
		sl_store_baselines(model, run->version, 1, NULL, &source->all_rows,
						   &source->all_mean, &source->all_median);
	sl_store_result(model, run->version, &run->result, run->result.out_of_time);
}

/* Trains and stores one network; that of all users comes first and makes the version. */
void
sl_run(SlRun *run, const SlModel *base, Size limit)
{
	SlTrainHooks hooks = {run, hook_should_stop, hook_step, hook_epoch, hook_now, NULL};
	SlArena work;
	Size bytes;

	run->net = palloc(sizeof(SlNet));
	plan_from_options(&run->plan, run->options);
	sl_net_from_options(run->net, run->options, run->prepared->inputs, &run->plan.loss);
	run->plan.loss.one = (float) (1 / run->prepared->set.target.scale);
	bytes = check_memory(run, limit);
	run->state.value = aligned(run->net->params.total * sizeof(float));
	run->state.moments = aligned(run->net->params.total * sizeof(float) * 2);
	memset(run->state.moments, 0, run->net->params.total * sizeof(float) * 2);
	run->state.mu_product = 1;
	if (base)
		copy_base_weights(run, base);
	else
		initial_weights(run);
	work = (SlArena){aligned(bytes), bytes, 0};
	if (run->cluster == SL_NO_CLUSTER)
	{
		SlVersionRow row = version_row(run);

		sl_store_version(&row);
	}
	check_status(sl_train(run->net, &run->prepared->set, &run->plan, &hooks, &run->state,
						  &work, &run->result));
	store_run(run);
}
