/*
 * option_rules.c: options that depend on the task and on each other: what is left out is
 * filled in, what does not go together is refused.
 *
 * Stored options are read back through the same rules with every key given, so a value
 * that changes nothing is never refused.
 */
#include "postgres.h"

#include "store/json.h"
#include "train/options.h"

#define EXACT_ITEMS 10000 /* classes up to which the exact softmax is the default */

const char *
sl_task_name(int task)
{
	static const char *const names[] = {"regression", "binary", "skip", "next_items"};

	return task >= 0 && task < (int) lengthof(names) ? names[task] : NULL;
}

const SlArch *
sl_options_arch(const SlOptions *options)
{
	return sl_arch_find(sl_arch_name(options->architecture));
}

bool
sl_loss_is_scaled(int loss)
{
	return loss == SL_LOSS_MAPE || loss == SL_LOSS_WEIBULL;
}

static bool
given_option(Jsonb *given, Jsonb *over, const char *key)
{
	return (given != NULL && sl_json_get(&given->root, key) != NULL) ||
		   (over != NULL && sl_json_get(&over->root, key) != NULL);
}

/* ---- loss and target ---- */

static const char *
losses_of_task(SlModelTask task)
{
	switch (task)
	{
		case SL_TASK_REGRESSION:
			return "mae, mse, huber, log_cosh, mape, weibull or quantile";
		case SL_TASK_BINARY:
		case SL_TASK_SKIP:
			return "bce";
		case SL_TASK_NEXT_ITEMS:
			return "cross_entropy, sampled_softmax, bpr_max or top1_max";
	}
	return "";
}

static bool
loss_fits(SlModelTask task, int loss)
{
	switch (loss)
	{
		case SL_LOSS_BCE:
			return task == SL_TASK_BINARY || task == SL_TASK_SKIP;
		case SL_LOSS_CROSS_ENTROPY:
		case SL_LOSS_SAMPLED_SOFTMAX:
		case SL_LOSS_BPR_MAX:
		case SL_LOSS_TOP1_MAX:
			return task == SL_TASK_NEXT_ITEMS;
		default:
			return task == SL_TASK_REGRESSION;
	}
}

static void
settle_loss(SlOptions *options, Jsonb *given, Jsonb *over)
{
	if (!given_option(given, over, "loss"))
	{
		options->loss_by_items = options->task == SL_TASK_NEXT_ITEMS;
		if (options->task == SL_TASK_NEXT_ITEMS)
			options->loss = SL_LOSS_CROSS_ENTROPY;
		else if (options->task != SL_TASK_REGRESSION)
			options->loss = SL_LOSS_BCE;
		else if (given_option(given, over, "quantiles"))
			options->loss = SL_LOSS_QUANTILE;
	}
	if (!loss_fits(options->task, options->loss))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("loss \"%s\" does not fit the task %s",
							   sl_loss_name(options->loss), sl_task_name(options->task)),
						errhint("Use %s.", losses_of_task(options->task))));
	if (given_option(given, over, "quantiles") && options->loss != SL_LOSS_QUANTILE &&
		options->loss != SL_LOSS_WEIBULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"quantiles\" needs the loss quantile or weibull"),
						errdetail("The loss is %s.", sl_loss_name(options->loss))));
}

void
sl_options_for_items(SlOptions *options, int items)
{
	if (options->loss_by_items)
		options->loss =
			items > EXACT_ITEMS ? SL_LOSS_SAMPLED_SOFTMAX : SL_LOSS_CROSS_ENTROPY;
}

static void
settle_target(SlOptions *options, Jsonb *given, Jsonb *over)
{
	bool scaled = sl_loss_is_scaled(options->loss);
	bool regression = options->task == SL_TASK_REGRESSION;

	if (!given_option(given, over, "target_transform"))
		options->target_transform = options->standardize && regression && !scaled
										? SL_TARGET_STANDARDIZE
										: SL_TARGET_NONE;
	if (scaled && options->target_transform != SL_TARGET_NONE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("loss \"%s\" needs target_transform none",
							   sl_loss_name(options->loss)),
						errdetail("It is defined on the target's own scale.")));
	if (!regression && options->target_transform != SL_TARGET_NONE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("task %s needs target_transform none",
							   sl_task_name(options->task)),
						errdetail("Its target is a class, not a quantity.")));
	if (!regression && options->upper_percentile != 100)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("task %s takes no upper_percentile", sl_task_name(options->task)),
				 errdetail("Its target is a class, not a quantity.")));
}

/* ---- sequences ---- */

static int
default_horizon(const SlOptions *options)
{
	const SlArch *arch = sl_options_arch(options);

	if (arch->last_row)
		return 1;
	return arch->whole || options->task == SL_TASK_SKIP ? SL_HORIZON_HALF : 0;
}

static void
check_horizon(const SlOptions *options)
{
	const SlArch *arch = sl_options_arch(options);

	if (options->horizon == 0 && (arch->whole || options->task == SL_TASK_SKIP))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 arch->whole ? errmsg("architecture \"%s\" needs a horizon", arch->name)
							 : errmsg("task skip needs a horizon"),
				 errdetail("It predicts a sequence's last rows from those before."),
				 errhint("Give a number of rows or \"half\"%s.",
						 arch->whole ? "" : "; task binary predicts every row")));
	if (arch->last_row && options->horizon != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("architecture \"%s\" needs a horizon of 1", arch->name),
						errdetail("It predicts a sequence's last row.")));
	if (options->horizon != 0 && options->sequence_length <= Max(options->horizon, 1))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("sequence_length must be above the horizon, and above 1"),
						errdetail("Only the last %d rows of a sequence are used.",
								  options->sequence_length),
						errhint("Raise sequence_length.")));
}

/* The split by user_tail takes sequences apart. */
static void
settle_split(SlOptions *options, Jsonb *given, Jsonb *over)
{
	JsonbValue *split = NULL;

	if (options->horizon == 0 || options->split.by != SL_SPLIT_USER_TAIL)
		return;
	if (over != NULL)
		split = sl_json_get(&over->root, "split");
	if (split == NULL && given != NULL)
		split = sl_json_get(&given->root, "split");
	if (split != NULL && sl_json_get(split->val.binary.data, "by") != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a split by user_tail does not go with a horizon"),
						errdetail("Sequences are held out whole."),
						errhint("Split by user, which stands for partition_by, time or "
								"column.")));
	options->split.by = SL_SPLIT_USER;
}

static void
settle_sequences(SlOptions *options, Jsonb *given, Jsonb *over)
{
	if (!given_option(given, over, "horizon"))
		options->horizon = default_horizon(options);
	check_horizon(options);
	settle_split(options, given, over);
}

bool
sl_options_same_sequences(const SlOptions *a, const SlOptions *b)
{
	return a->horizon == b->horizon &&
		   (a->horizon == 0 || a->sequence_length == b->sequence_length) &&
		   sl_options_arch(a)->unit_inputs == sl_options_arch(b)->unit_inputs;
}

/* ---- architectures and items ---- */

static void
check_architecture(const SlOptions *options)
{
	const SlArch *arch = sl_options_arch(options);
	bool decodes = arch->whole && !arch->last_row;

	if (arch->last_row &&
		(options->task != SL_TASK_SKIP || options->past_skips == SL_PAST_SKIPS_TOKEN ||
		 options->past_skips == SL_PAST_SKIPS_NONE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 options->task != SL_TASK_SKIP
					 ? errmsg("architecture \"%s\" is for task skip only", arch->name)
					 : errmsg("architecture \"%s\" needs past_skips column or both",
							  arch->name),
				 errdetail("It reads the sequence of past skips.")));
	if (!arch->has_cell && (options->bidirectional || options->cell != SL_CELL_GRU))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" does not fit the architecture %s",
						options->bidirectional ? "bidirectional" : "cell", arch->name),
				 errhint("It belongs to encoder_decoder.")));
	if (options->teacher_forcing != 1 &&
		!(decodes && options->task == SL_TASK_NEXT_ITEMS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"teacher_forcing\" does not fit"),
				 errdetail("It belongs to task next_items with encoder_decoder.")));
}

static void
check_items(const SlOptions *options)
{
	if (options->past_skips != SL_PAST_SKIPS_COLUMN && options->task != SL_TASK_SKIP)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"past_skips\" does not fit the task %s",
							   sl_task_name(options->task)),
						errhint("It belongs to task skip.")));
	if (options->item_features_trained && options->item_features == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"item_features_trained\" needs item_features")));
}

void
sl_options_settle(SlOptions *options, Jsonb *given, Jsonb *over)
{
	if (!given_option(given, over, "learning_rate"))
		options->learning_rate = sl_optim_default_rate(options->optimizer);
	settle_loss(options, given, over);
	settle_target(options, given, over);
	settle_sequences(options, given, over);
	check_architecture(options);
	check_items(options);
}
