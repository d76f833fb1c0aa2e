/*
 * train_sql.c: train(): arguments, memory, progress, storing.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "sessionlen.h"
#include "store/query.h"
#include "train/prepare.h"

PG_FUNCTION_INFO_V1(sl_train_model);

#define NOTICE_SECONDS 5.0

/* ---- arguments ---- */

static char *
text_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* A name the parser would not cut off. */
static void
check_name(const char *value, const char *name)
{
	if (value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must not be empty", name)));
	if (strlen(value) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("%s is too long", name),
						errdetail("Names have at most %d bytes.", NAMEDATALEN - 1)));
}

static char *
name_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	char *value = text_argument(fcinfo, number, name);

	check_name(value, name);
	return value;
}

/* Appends the columns of one role's array argument. */
static void
role_argument(FunctionCallInfo fcinfo, int number, const char *name, SlRole role,
			  SlTrainCall *call)
{
	ArrayType *array;
	Datum *element;
	bool *isnull;
	int count;

	if (PG_ARGISNULL(number))
		return;
	array = PG_GETARG_ARRAYTYPE_P(number);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &element, &isnull, &count);
	call->names = call->names ? repalloc(call->names, sizeof(char *) * (call->count + count + 1))
							  : palloc(sizeof(char *) * (count + 1));
	call->roles = call->roles ? repalloc(call->roles, sizeof(SlRole) * (call->count + count + 1))
							  : palloc(sizeof(SlRole) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		char *column;

		if (isnull[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s must not hold NULL", name)));
		column = TextDatumGetCString(element[i]);
		check_name(column, psprintf("a name in %s", name));
		for (int j = 0; j < call->count; j++)
			if (strcmp(call->names[j], column) == 0)
				ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
								errmsg("column \"%s\" is named twice as an input", column)));
		call->names[call->count] = column;
		call->roles[call->count++] = role;
	}
}

/* The future must not leak: the target is known only after the row. */
static void
check_roles(const SlTrainCall *call)
{
	if (call->count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no input column"),
						errhint("Name columns in known, static or observed.")));
	for (int i = 0; i < call->count; i++)
		if (call->roles[i] != SL_ROLE_OBSERVED &&
			(strcmp(call->names[i], call->target) == 0 ||
			 (call->censored && strcmp(call->names[i], call->censored) == 0)))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("column \"%s\" is not known before its row happens",
								   call->names[i]),
							errdetail("The network would read the answer."),
							errhint("Name it in observed: it then enters one row later.")));
}

static void
read_call(FunctionCallInfo fcinfo, SlTrainCall *call)
{
	memset(call, 0, sizeof(*call));
	call->model = name_argument(fcinfo, 0, "model");
	call->source = text_argument(fcinfo, 1, "source");
	call->target = name_argument(fcinfo, 2, "target");
	call->partition_by = name_argument(fcinfo, 3, "partition_by");
	call->order_by = name_argument(fcinfo, 4, "order_by");
	role_argument(fcinfo, 5, "known", SL_ROLE_KNOWN, call);
	role_argument(fcinfo, 6, "static", SL_ROLE_STATIC, call);
	role_argument(fcinfo, 7, "observed", SL_ROLE_OBSERVED, call);
	call->censored = PG_ARGISNULL(8) ? NULL : name_argument(fcinfo, 8, "censored");
	call->task = PG_ARGISNULL(9) ? pstrdup("regression") : text_argument(fcinfo, 9, "task");
	if (strcmp(call->task, "regression") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unrecognized task \"%s\"", call->task),
						errhint("Valid tasks are: regression.")));
	check_roles(call);
}

/* ---- one run ---- */

typedef struct Run
{
	const SlTrainCall *call;
	const SlOptions *options;
	const SlPrepared *prepared;
	int version;
	SlNet *net;
	SlTrainPlan plan;
	SlTrainState state;
	SlTrainResult result;
	double last_notice;
	double seconds_per_epoch;
} Run;

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
	Run *run = arg;
	double left;

	CHECK_FOR_INTERRUPTS();
	if (!run->options->verbose || progress->seconds - run->last_notice < NOTICE_SECONDS)
		return;
	run->last_notice = progress->seconds;
	left = progress->seconds *
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
hook_epoch(void *arg, const SlEpoch *epoch)
{
	Run *run = arg;
	StringInfoData line;

	sl_store_epoch(run->call->model, run->version, epoch);
	if (!run->options->verbose)
		return;
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
	appendStringInfo(&line, ", %.0f rows/s, %.0f s left", epoch->rows / Max(epoch->seconds, 1e-9),
					 run->seconds_per_epoch * (run->plan.epochs - epoch->epoch));
	ereport(NOTICE, (errmsg("%s", line.data)));
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
check_memory(const Run *run, Size limit)
{
	Size work = sl_train_memory(run->net, &run->prepared->set, &run->plan);
	Size weights = run->net->params.total * sizeof(float) *
				   (1 + sl_optim_moments(run->plan.optimizer));
	Size total = work == SIZE_MAX ? SIZE_MAX : work + weights + run->prepared->bytes;

	if (total > limit)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 work == SIZE_MAX
					 ? errmsg("training with these sizes is not possible in memory")
					 : errmsg("training would need %zu MB, more than sessionlen.memory_limit (%zu MB)",
							  total >> 20, limit >> 20),
				 errdetail("%zu weights, %d rows of %d features, %d sequences of %d rows in a step.",
						   run->net->params.total, run->prepared->set.rows,
						   run->prepared->set.inputs, run->plan.batch_size,
						   run->plan.sequence_length),
				 errhint("Lower batch_size, sequence_length or hidden_dim, or raise "
						 "sessionlen.memory_limit.")));
	return work;
}

static void
copy_base_weights(Run *run, const SlModel *base)
{
	const SlParams *params = &run->net->params;
	bool same = params->count == base->net.params.count && params->total == base->net.params.total;

	for (int i = 0; same && i < params->count; i++)
		same = strcmp(params->item[i].name, base->net.params.item[i].name) == 0 &&
			   params->item[i].rows == base->net.params.item[i].rows &&
			   params->item[i].cols == base->net.params.item[i].cols;
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("warm_start needs the network of version %d", base->version),
						errhint("Give the same architecture, hidden_dim and loss.")));
	memcpy(run->state.value, base->value, sizeof(float) * params->total);
	if (base->options.optimizer == run->options->optimizer)
		sl_store_load_checkpoint(base->model, base->version, &run->state,
								 sl_optim_moments(run->plan.optimizer), params->total);
}

static void
initial_weights(Run *run)
{
	const SlParams *params = &run->net->params;
	SlArena count = {NULL, SIZE_MAX, 0};
	SlArena work;
	SlStatus status;

	sl_params_init(params, (SlInitStyle) run->options->init, run->plan.seed, run->state.value,
				   &count);
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
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("training was canceled")));
		case SL_NOT_FINITE:
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("training diverged: the loss or its gradient is not finite"),
							errhint("Lower learning_rate, set clip_norm, or standardize the columns.")));
		default:
			elog(ERROR, "training failed with status %d", (int) status);
	}
}

static void
store_run(const Run *run)
{
	const char *model = run->call->model;
	const SlPrepared *p = run->prepared;

	sl_store_vocabularies(model, run->version, p->inputs);
	sl_store_weights(model, run->version, &run->net->params, run->state.value);
	sl_store_checkpoint(model, run->version, &run->state, sl_optim_moments(run->plan.optimizer),
						run->net->params.total);
	sl_store_baselines(model, run->version, p->keys_with_rows, p->keys, p->key_rows, p->key_mean,
					   p->key_median);
	if (p->all_rows > 0)
		sl_store_baselines(model, run->version, 1, NULL, &p->all_rows, &p->all_mean,
						   &p->all_median);
	sl_store_result(model, run->version, &run->result,
					run->result.out_of_time);
}

static void
store_version(const Run *run)
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
						.split = &run->prepared->split,
						.sequences = run->prepared->set.sequences};

	memcpy(row.part_rows, run->prepared->part_rows, sizeof(row.part_rows));
	sl_store_version(&row);
}

/* Trains and stores one version. */
static void
run_training(Run *run, const SlModel *base, Size limit)
{
	SlTrainHooks hooks = {run, hook_should_stop, hook_step, hook_epoch, hook_now};
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
	store_version(run);
	check_status(sl_train(run->net, &run->prepared->set, &run->plan, &hooks, &run->state, &work,
						  &run->result));
	store_run(run);
}

/*
 * By which runs of a search are compared: the validation loss, or the MAE where the losses
 * themselves differ; training loss without validation rows.
 */
static double
score(const SlTrainResult *result, bool by_mae)
{
	if (by_mae)
		return result->best.validation_mae;
	return isnan(result->best.validation_loss) ? result->best.training_loss
											   : result->best.validation_loss;
}

static Datum
result_row(FunctionCallInfo fcinfo, const Run *run)
{
	TupleDesc desc;
	const SlTrainResult *result = &run->result;
	Datum values[10] = {
		CStringGetTextDatum(run->call->model),
		Int32GetDatum(run->version),
		Int32GetDatum(result->epochs),
		Float8GetDatum(result->best.training_loss),
		Float8GetDatum(result->best.validation_loss),
		Float8GetDatum(result->best.validation_mae),
		Float8GetDatum(result->seconds),
		Float8GetDatum(result->rows / Max(result->seconds, 1e-9)),
		BoolGetDatum(true),
		BoolGetDatum(result->out_of_time),
	};
	bool nulls[10] = {false};

	nulls[4] = isnan(result->best.validation_loss);
	nulls[5] = isnan(result->best.validation_mae);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "train() must return a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * The options of every run, read before any of them starts: a mistake in the last one
 * should not cost the others' time.  The data is prepared once, for options.
 */
static SlOptions *
read_combinations(const SlOptions *options, Jsonb *given, List *search, bool *by_mae)
{
	SlOptions *combined = palloc(sizeof(SlOptions) * list_length(search));

	*by_mae = false;
	for (int i = 0; i < list_length(search); i++)
	{
		sl_options_read(&combined[i], given, list_nth(search, i));
		if (!sl_options_same_target(&combined[i], options))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a search can't go over losses that scale the target differently"),
							errdetail("The losses mape and weibull take it as it is."),
							errhint("Give target_transform none, or search them apart.")));
		*by_mae |= combined[i].loss != combined[0].loss ||
				   combined[i].quantiles != combined[0].quantiles ||
				   memcmp(combined[i].quantile, combined[0].quantile,
						  sizeof(combined[0].quantile)) != 0;
	}
	return combined;
}

Datum
sl_train_model(PG_FUNCTION_ARGS)
{
	MemoryContext outer = CurrentMemoryContext;
	Size limit = (Size) sl_memory_limit * 1024;
	Jsonb *given = PG_ARGISNULL(10) ? NULL : PG_GETARG_JSONB_P(10);
	SlTrainCall call;
	SlOptions options;
	SlOptions *combined;
	bool by_mae;
	SlModel *base = NULL;
	SlPrepared *prepared;
	List *search;
	int first_version;
	Run best = {0};
	Datum row;

	read_call(fcinfo, &call);
	sl_options_read(&options, given, NULL);
	search = sl_options_search(given);
	if (search == NIL)
		search = list_make1(NULL);
	combined = read_combinations(&options, given, search, &by_mae);
	SPI_connect();
	(void) sl_store_blas(); /* a missing library is known before the work */
	first_version = sl_store_begin(call.model);
	if (options.warm_start && first_version == 1)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("warm_start needs a version of model \"%s\" that serves", call.model),
						errhint("Train it without warm_start first.")));
	if (options.warm_start)
		base = sl_store_load(call.model, 0);
	prepared = sl_prepare(&call, &options, base, limit);
	if (by_mae && prepared->part_rows[SL_VALIDATION] == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("a search over losses needs validation rows"),
						errdetail("Versions of different losses are compared by validation MAE."),
						errhint("Raise split.validation.")));
	for (int i = 0; i < list_length(search); i++)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "sessionlen training",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);
		Run run = {.call = &call, .options = &combined[i], .prepared = prepared};

		if (list_nth(search, i) != NULL && options.verbose)
			ereport(NOTICE, (errmsg("search %d/%d: %s", i + 1, list_length(search),
									JsonbToCString(NULL, &((Jsonb *) list_nth(search, i))->root,
												   -1))));
		run.version = first_version + i;
		run_training(&run, base, limit);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		if (i == 0 || score(&run.result, by_mae) < score(&best.result, by_mae))
			best = run;
	}
	sl_store_deploy(call.model, best.version);
	MemoryContextSwitchTo(outer);
	row = result_row(fcinfo, &best);
	SPI_finish();
	return row;
}
